"""A screen that is lost, and signals that were ignored from the start, stop no training."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Started
from study_samples import study_file

from bamgate.record.collect import collected

pytestmark = pytest.mark.slow
RUN = ["run", "--gate", "tanh,sigmoid", "--dataset", "digits", "--train-limit", "320", "--batch-size", "32"]


def until(seen: Callable[[], object], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "not seen in time"
        time.sleep(0.01)


def epochs(out: Path) -> list[int]:
    return [row["epochs"] for row in collected(out)[0]]


def test_a_reader_that_leaves_after_a_line_stops_nothing(tmp_path: Path) -> None:
    screen = tmp_path / "screen"
    os.mkfifo(screen)
    process = Started(*RUN, "--epochs", "3", "--out", "out", cwd=tmp_path, screen=screen)
    with screen.open() as reader:
        assert reader.readline().startswith("[1/2] tanh seed 0  epoch 1/3")
    process.communicate()
    assert process.returncode == 0
    assert epochs(tmp_path / "out") == [3, 3]


def test_a_full_screen_stops_nothing_and_hides_no_exit_code(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    process = Started(*RUN, "--epochs", "1", "--out", "out", cwd=tmp_path, screen=full)
    process.communicate()
    assert process.returncode == 75  # all is trained, but what came of it was not printed
    assert epochs(tmp_path / "out") == [1, 1]
    refused = Started("run", "--gate", "tahn", cwd=tmp_path, screen=full)
    refused.communicate()
    assert refused.returncode == 2


def test_a_stop_without_a_screen_is_75(tmp_path: Path) -> None:
    screen = tmp_path / "screen"
    os.mkfifo(screen)
    process = Started(*RUN, "--epochs", "50", "--out", "out", cwd=tmp_path, screen=screen)
    with screen.open() as reader:
        reader.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 75


def test_signals_that_were_ignored_stay_ignored(tmp_path: Path) -> None:
    """As nohup leaves SIGHUP, and a shell without job control SIGINT and SIGQUIT of what runs in its background."""
    ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
    process = Started(*RUN, "--epochs", "6", "--out", "out", cwd=tmp_path, ignored=ignored)
    until(lambda: list(tmp_path.glob("out/cells/*/epochs.csv")) or process.poll() is not None)
    for number in (*ignored, signal.SIGINT):
        process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert epochs(tmp_path / "out") == [6, 6]


def test_a_study_under_nohup_whose_reader_and_terminal_are_gone(tmp_path: Path) -> None:
    file = study_file(tmp_path, seeds="0")
    words = [sys.executable, "-m", "bamgate", "study", "run", str(file), "--out", "out", "--jobs", "1"]
    line = 'nohup "$@" 2>&1 & echo $! > pid; wait $!; echo $? > code'
    with subprocess.Popen(
        ["sh", "-c", f"{{ {line}; }} | head -n 1", "sh", *words],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as shell:
        until(lambda: list(tmp_path.glob("out/cells/*/result.json")))
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
        shell.communicate(timeout=100)
    until((tmp_path / "code").read_text)
    assert (tmp_path / "code").read_text() == "0\n"
    assert epochs(tmp_path / "out") == [2, 2]
