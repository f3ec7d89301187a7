"""`bamgate study run` on a real terminal: what it draws, Ctrl-C typed at it, and the terminal closed."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import bamgate, without_times
from study_samples import study_file, trained

from bamgate.record.tables import RUNS, read_rows
from bamgate.study.state import MISSING, RUNNING, StudyState

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
pytestmark = pytest.mark.slow

# A terminal of its own around the command: what is written to its stdin is typed, and when it dies the terminal closes.
TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`bamgate study run FILE` typed at a terminal 160 columns wide."""

    def __init__(self, file: Path, out: Path, log: Path) -> None:
        command = [sys.executable, "-m", "bamgate", "study", "run", str(file), "--out", str(out), "--jobs", "2"]
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
        self._log = log
        with log.open("wb") as screen:
            self.process = subprocess.Popen(
                [sys.executable, "-c", TERMINAL, *command], stdin=subprocess.PIPE, stdout=screen, env=environment
            )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def shown(self) -> str:
        return CONTROL.sub("", self._log.read_text(errors="replace")).replace("\r", "")

    def type(self, keys: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys)
        self.process.stdin.flush()


def until(seen: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "not seen in time"
        time.sleep(0.05)


def at_work(out: Path) -> bool:
    return any(state.status == RUNNING for state in StudyState(out).read())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    return trained(folder / "study", study_file(folder))


def test_the_live_view_shows_counts_running_cells_and_arms(tmp_path: Path) -> None:
    with Terminal(study_file(tmp_path), tmp_path / "out", tmp_path / "screen") as terminal:
        assert terminal.process.wait(240) == 0, terminal.shown
        shown = terminal.shown
    assert re.search(r"tiny: .*\b2 running\b", shown)
    assert re.search(r"  sigmoid seed 0  epoch [12]/2", shown)
    assert re.search(r"about \d:\d\d:\d\d left", shown)
    rows = read_rows(RUNS, tmp_path / "out" / "runs.csv")
    for row in rows:
        accuracy = f"{100 * row['correct'] / row['total']:.2f}"
        assert re.search(rf"\[\d/4\] {row['gate']} seed {row['seed']}  {accuracy} %", shown)
    assert len(rows) == 4
    assert re.search(r"^sigmoid +1 .*\n^tanh +\d ", shown, re.MULTILINE), "the arms' means so far"


def test_ctrl_c_stops_the_study_and_the_same_command_ends_it(tmp_path: Path, undisturbed: Path) -> None:
    file, out = study_file(tmp_path), tmp_path / "out"
    with Terminal(file, out, tmp_path / "screen") as terminal:
        until(lambda: "epoch" in terminal.shown)
        terminal.type(b"\x03")
        assert terminal.process.wait(120) == 130, terminal.shown
        assert "Traceback" not in terminal.shown
    assert bamgate("study", "run", str(file), "--out", str(out)).returncode == 0
    assert without_times(out) == without_times(undisturbed)


def test_a_closed_terminal_stops_the_study_and_leaves_no_cell_at_work(tmp_path: Path, undisturbed: Path) -> None:
    file, out = study_file(tmp_path), tmp_path / "out"
    with Terminal(file, out, tmp_path / "screen") as terminal:
        until(lambda: "epoch" in terminal.shown)
        terminal.process.kill()
        until(lambda: not at_work(out))
    assert any(state.status == MISSING for state in StudyState(out).read())
    assert bamgate("study", "run", str(file), "--out", str(out)).returncode == 0
    assert without_times(out) == without_times(undisturbed)
