"""Real processes, really killed: the same command goes on and ends with the same bytes, times apart."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers import SMALL, Started, bamgate, without_times

RUN = ["run", "--gate", "tanh,sigmoid", "--dataset", "digits", *SMALL, "--quiet"]


def _start(out: Path) -> Started:
    return Started(*RUN, "--out", str(out))


def _logged(out: Path) -> int:
    """Lines of all tables of epochs."""
    return sum(len(path.read_text().splitlines()) for path in out.glob("cells/*/epochs.csv"))


def _wait_until_training(process: Started, out: Path, before: int = 0) -> None:
    """Until more has been logged than `before`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if _logged(out) > before:
            return
        time.sleep(0.005)
    raise AssertionError(f"no epoch was logged: {process.communicate()}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    finished = bamgate(*RUN, "--out", str(out))
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, undisturbed: Path) -> None:
    """Each time after the run has made progress, so that it is training which dies and not a start-up."""
    chance, kills = random.Random(20180717), 0
    while kills < 4 and not (kills and all((c / "result.json").exists() for c in tmp_path.glob("cells/*"))):
        before = _logged(tmp_path)
        process = _start(tmp_path)
        try:
            _wait_until_training(process, tmp_path, before)
        except AssertionError:
            break  # what was left to do was no whole epoch
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    finished = bamgate(*RUN, "--out", str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert kills >= 2
    assert without_times(tmp_path) == without_times(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGHUP, 75)])
def test_asked_to_stop(tmp_path: Path, undisturbed: Path, number: signal.Signals, code: int) -> None:
    process = _start(tmp_path)
    _wait_until_training(process, tmp_path)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert output == ""
    assert errors.startswith(f"{number.name}: stopped in epoch ")
    assert errors.endswith("it is saved. The same command goes on from there.\n")
    finished = bamgate(*RUN, "--out", str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert without_times(tmp_path) == without_times(undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_asked_to_stop_while_it_is_prepared(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A gate that takes a minute to load stands for libraries and data that do."""
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path(__file__).with_name('loading').touch()\n"
        "time.sleep(60)\n"
        "from torch import nn\n"
        "g = nn.Tanh\n"
    )
    process = Started("run", "--gate", "./slow.py:g", "--dataset", "digits", "--out", "out", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "loading").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    sent = time.monotonic()
    output, errors = process.communicate(timeout=50)
    assert time.monotonic() - sent < 20
    assert (process.returncode, output) == (code, ""), errors
    assert errors == f"{number.name}: stopped before training. The same command starts it.\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_second_process_on_the_same_cell_says_so_and_leaves(tmp_path: Path) -> None:
    first = _start(tmp_path)
    _wait_until_training(first, tmp_path)
    first.send_signal(signal.SIGSTOP)
    try:
        second = bamgate(*RUN, "--out", str(tmp_path))
    finally:
        first.send_signal(signal.SIGCONT)
        _, errors = first.communicate(timeout=120)
    assert second.returncode == 75
    assert "another process is at work on" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert first.returncode == 0, errors


@pytest.mark.slow
def test_a_disk_that_fills_up(tmp_path: Path, undisturbed: Path) -> None:
    """A tmpfs that holds one checkpoint but not two; freed, the run goes on and ends as it should."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2200k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        full = bamgate(*RUN, "--out", str(disk / "run"))
        assert full.returncode == 75, full.stderr
        assert full.stderr.count("\n") == 1
        assert "No space left on device" in full.stderr
        assert not list(disk.rglob("*.tmp"))
        ballast.unlink()
        shutil.copytree(disk / "run", tmp_path / "run")
        finished = bamgate(*RUN, "--out", str(tmp_path / "run"))
        assert finished.returncode == 0, finished.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert without_times(tmp_path / "run") == without_times(undisturbed)
