"""A report takes its place whole: killed or failing anywhere, the old one or the new one is there, nothing beside."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bamgate.errors import BusyError, TryAgainError, UsageError
from bamgate.reports import swap

WATCHED = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "ctypes.dlsym", "os.scandir", "os.truncate")


def write(out: Path, word: str) -> None:
    with swap.replaced(out) as folder:
        (folder / "figures").mkdir()
        for name in ("stats.json", "provenance.json", "figures/a.svg"):
            (folder / name).write_text(word)


def said(out: Path) -> set[str]:
    return {(out / name).read_text() for name in ("stats.json", "provenance.json", "figures/a.svg")}


def in_child(action: Callable[[], None]) -> int:
    """The signal or exit code of a forked process."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at(number: int, then: Callable[[], None]) -> None:
    """Do something at the n-th look at the disk of this process."""
    seen = 0

    def hook(event: str, arguments: object) -> None:
        nonlocal seen
        if event in WATCHED:
            seen += 1
            if seen == number:
                then()

    sys.addaudithook(hook)


@pytest.mark.slow
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_a_killed_process_leaves_a_report_and_the_next_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, before: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(swap, "_exchanged", lambda one, other: False)

    def killed(number: int, out: Path) -> None:
        at(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        write(out, "new")

    for number in range(1, 100):
        out = tmp_path / str(number) / "report"
        out.parent.mkdir()
        if before:
            write(out, "old")
        end = in_child(lambda number=number, out=out: killed(number, out))
        beside = [path for path in out.parent.iterdir() if path != out]
        assert len(beside) <= 1
        if before and exchange:
            assert said(out) in ({"old"}, {"new"})
        elif out.exists():
            assert said(out) in ({"old"}, {"new"})
        with contextlib.suppress(RuntimeError), swap.replaced(out):
            raise RuntimeError  # the next call, which fails: what was there has come back
        assert out.exists() or not before
        assert list(out.parent.iterdir()) == [out] * out.exists()
        write(out, "next")
        assert (said(out), list(out.parent.iterdir())) == ({"next"}, [out])
        if end == 0:
            break
        assert end == -signal.SIGKILL
    assert 10 < number < 99


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_anywhere_changes_nothing(tmp_path: Path, code: int) -> None:
    def failing(number: int, out: Path) -> None:
        def fail() -> None:
            raise OSError(code, os.strerror(code))

        at(number, fail)
        try:
            write(out, "new")
        except TryAgainError as error:
            os._exit(7 if "\n" not in str(error) else 8)

    for number in range(1, 100):
        out = tmp_path / str(number) / "report"
        out.parent.mkdir()
        write(out, "old")
        end = in_child(lambda number=number, out=out: failing(number, out))
        assert said(out) in ({"old"}, {"new"})
        assert said(out) == {"old"} or end == 0
        assert end in (0, 7)
        write(out, "next")
        assert list(out.parent.iterdir()) == [out]
    assert end == 0


def test_a_folder_without_exchange_swaps_in_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap.ctypes, "CDLL", lambda *_, **__: object())
    for word in ("one", "two"):
        write(tmp_path / "report", word)
        assert said(tmp_path / "report") == {word}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_two_folders_change_places_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if swap._exchanged(tmp_path / "a", tmp_path / "b"):
        assert ((tmp_path / "a" / "b").exists(), (tmp_path / "b" / "a").exists()) == (True, True)
        with pytest.raises(FileNotFoundError):
            swap._exchanged(tmp_path / "a", tmp_path / "nothing")


def test_a_report_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bamgate.reports.swap import replaced\n"
        "with replaced(Path('report')) as folder:\n"
        "    (folder / 'stats.json').touch(); (folder / 'provenance.json').touch()\n"
        "    print('writing', flush=True); sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"writing\n"
        with pytest.raises(BusyError, match="another process is at work"):
            write(tmp_path / "report", "ours")
        other.communicate(timeout=60)
    assert other.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    out = tmp_path / ("n" * 255)
    write(out, "one")
    write(out, "two")
    assert said(out) == {"two"}


def test_what_is_not_a_report_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="holds something that is not a report"):
        write(tmp_path / "report", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
