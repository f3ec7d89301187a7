"""Where claims are files: an owner that is paused at any operation, and wakes when its successor has finished."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from file_faults import at_operation
from helpers import FORKS

from bamgate.config import AttentionConfig, RunConfig
from bamgate.config.recipes import RECIPES
from bamgate.engines.checkpoint import CURRENT
from bamgate.errors import TryAgainError
from bamgate.record import claims
from bamgate.run.cells import run_cell

CONFIG = RunConfig(
    dataset="digits",
    model="resnet8",
    attention=AttentionConfig(gate="tanh"),
    training=replace(RECIPES.get("quick"), epochs=2, train_limit=64, batch_size=32),
)


def patient(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("BAMGATE_LOCKS", "files")
    patch.setattr(claims, "BEAT_S", 0.02)
    patch.setattr(claims, "SILENT_S", 0.4)
    patch.setattr(claims, "_WATCH", claims.Watch())


def own(out: Path, number: int) -> None:
    """Train the cell, and stop as by SIGSTOP at an operation in its folder; 75 if another has taken over."""
    patient(pytest.MonkeyPatch())
    with at_operation(out / "cells", number, lambda: os.kill(os.getpid(), signal.SIGSTOP)) as hook:
        try:
            run_cell(CONFIG, out)
        except TryAgainError:
            os._exit(75)
        (out / "operations").write_text(str(hook.seen))
    os._exit(0)


def files(out: Path) -> dict[str, bytes]:
    found = [path for path in (out / "cells" / CONFIG.cell).iterdir() if not path.name.startswith(".claim.")]
    return {path.name: path.read_bytes() for path in found}


def owner(out: Path, number: int) -> multiprocessing.process.BaseProcess:
    process = FORKS.Process(target=own, args=(out, number))
    process.start()
    return process


def until_stopped(pid: int) -> bool:
    """Whether it stopped before it ended."""
    while True:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state in "TZX":
            return state == "T"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> int:
    out = tmp_path_factory.mktemp("whole")
    owner(out, 1 << 30).join()
    return int((out / "operations").read_text())


# Of all operations, evenly.
PAUSES = range(5)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("part", PAUSES)
def test_a_finished_cell_stays_as_its_successor_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operations: int, part: int
) -> None:
    patient(monkeypatch)
    number = 2 + part * (operations - 2) // (len(PAUSES) - 1)
    process = owner(tmp_path, number)
    assert process.pid is not None
    try:
        assert until_stopped(process.pid)
        run_cell(CONFIG, tmp_path)
        before = files(tmp_path)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.join(60)
    assert process.exitcode in (0, 75)  # 0: it had claimed nothing yet
    assert files(tmp_path) == before
    assert CURRENT in before
    assert not [name for name in before if name.endswith(".tmp")]
