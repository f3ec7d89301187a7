"""What the machine cannot do just now is one line and exit code 75; what may be a fault of ours keeps its traceback."""

import errno

import pytest

from bamgate.cli import app
from bamgate.errors import machine_fault

FAULTS = [
    (
        OSError(errno.EMFILE, "x", "a.json"),
        "Too many open files: 'a.json'; the same command resumes once that is fixed",
    ),
    (OSError(errno.EIO, "x"), "Input/output error; the same command resumes"),
    (BlockingIOError(errno.EAGAIN, "x"), "Resource temporarily unavailable; the same"),
    (MemoryError(), "there is no memory left; the same"),
    (RuntimeError("can't start new thread"), "no thread can be started; the same"),
]


def ended(error: BaseException, patch: pytest.MonkeyPatch) -> int:
    def command() -> None:
        raise error

    patch.setattr(app, "app", command)
    with pytest.raises(SystemExit) as end:
        app.main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(("error", "line"), FAULTS)
def test_a_fault_of_the_machine_is_a_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error, monkeypatch) == 75
    said = capsys.readouterr().err
    assert said.startswith(f"bamgate: {line}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "x"), RuntimeError("x"), ValueError("x"), KeyError("x")])
def test_a_fault_of_ours_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_fault(error) is None
    with pytest.raises(type(error)):
        ended(error, monkeypatch)
