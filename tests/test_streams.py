"""What is printed where not everything can be printed: ASCII terminals, closed and full outputs, readers that leave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BAMGATE = f"{sys.executable} -m bamgate"
LIST = f"{BAMGATE} study list"
# Prints as a command does, at once and without torch.
PRINTS = """
import sys
from bamgate.cli.streams import lasting_streams
from bamgate.cli.console import err, out
with lasting_streams():
    out().print("±0.5 → 1…9 × 門"); print("s ≥ 1")
    err().print("note −1")
    open("file.txt", "w").write("data")
    sys.exit({code})
"""


def shell(command: str, folder: Path, **settings: str) -> tuple[int, str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "LC_ALL")}
    made = subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**environment, **settings}, capture_output=True, timeout=120
    )
    return made.returncode, made.stdout.decode("latin-1"), made.stderr.decode("latin-1")


def prints(redirection: str, folder: Path, code: int = 0, **settings: str) -> tuple[int, str, str]:
    (folder / "prints.py").write_text(PRINTS.format(code=code), encoding="utf-8")
    return shell(f"{sys.executable} prints.py {redirection}", folder, **settings)


@pytest.mark.parametrize(
    ("encoding", "first"),
    [
        ("ascii", "+-0.5 -> 1...9 x \\u9580"),
        ("latin-1", "\xb10.5 -> 1...9 \xd7 \\u9580"),
        ("utf-8", "±0.5 → 1…9 × 門".encode().decode("latin-1")),
    ],
)
def test_any_text_is_printed_in_any_encoding(tmp_path: Path, encoding: str, first: str) -> None:
    code, out, err = prints("", tmp_path, PYTHONIOENCODING=encoding)
    assert (code, out.splitlines()[0]) == (0, first)
    assert err.startswith("note ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["run --help", "report --help", "study plan --help", "--help", "study list"])
def test_help_is_printed_in_ascii(tmp_path: Path, command: str) -> None:
    code, out, err = shell(f"{BAMGATE} {command}", tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (code, err if "Next" not in err else "") == (0, "")
    assert out.isascii()
    assert len(out.splitlines()) > 5


FULL = "bamgate: cannot write to the standard output: No space left on device\n"
CLOSED = "bamgate: cannot write to the standard output: Bad file descriptor\n"


@pytest.mark.parametrize(("redirection", "said"), [("> /dev/full", FULL), (">&-", CLOSED)])
def test_data_that_could_not_be_printed_is_no_good_end(tmp_path: Path, redirection: str, said: str) -> None:
    code, out, err = prints(redirection, tmp_path)
    assert (code, out) == (75, "")
    assert err == f"note \xe2\x88\x921\n{said}"
    assert (tmp_path / "file.txt").read_text() == "data"
    assert prints(redirection, tmp_path, code=3)[0] == 3


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", "<&-", "0<&- 2>&-"])
def test_messages_that_nobody_hears_stop_nothing(tmp_path: Path, redirection: str) -> None:
    code, out, _ = prints(redirection, tmp_path, PYTHONIOENCODING="utf-8")
    assert (code, out.count("\n")) == (0, 2)
    assert (tmp_path / "file.txt").read_text() == "data"  # and no message


def test_a_reader_that_leaves_has_seen_enough(tmp_path: Path) -> None:
    code, out, err = shell(f"{LIST} | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (code, out.count("\n")) == (0, 1)
    assert "Traceback" not in err


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "> /dev/full", "2> /dev/full", ">&- 2>&- <&-"])
def test_a_refusal_keeps_its_exit_code(tmp_path: Path, redirection: str) -> None:
    code, out, err = shell(f"{BAMGATE} report nowhere {redirection}", tmp_path)
    assert (code, out) == (2, "")
    assert err in ("", "bamgate: there is no folder 'nowhere'\n")


@pytest.mark.parametrize("command", ["report {}", "report . --out {}", "gates plot --out {}", "run --out {}"])
def test_a_name_that_is_too_long_is_refused(tmp_path: Path, command: str) -> None:
    code, out, err = shell(f"{BAMGATE} {command.format('n' * 252 + '.png')}", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_not_drawn_onto_a_folder(tmp_path: Path) -> None:
    (tmp_path / "there.png").mkdir()
    assert shell(f"{BAMGATE} gates plot --out there.png", tmp_path) == (
        2,
        "",
        "bamgate: --out 'there.png' is a folder; name a file in it\n",
    )
