"""`bamgate study work`: one worker of a study, started by `bamgate study run`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from bamgate.experiment import Execution, StoppedError
from bamgate.studies.code import gate_loader
from bamgate.studies.state import StudyState
from bamgate.studies.study import from_plain
from bamgate.studies.worker import Orders, work


def work_on(
    folder: Path,
    device: str,
    data_dir: Path | None,
    workers: int | None,
    stop: Callable[[], bool],
    *,
    code: bool,
    parent: int | None,
    skip: list[str],
) -> None:
    """Work until nothing is free, or until asked to stop: both are a good end."""
    load = gate_loader(from_plain(StudyState(folder).content["study"]), allowed=code, file=None, out=folder)

    def should_stop() -> bool:
        return stop() or (parent is not None and os.getppid() != parent)

    execution = Execution(device=device, data_root=data_dir, workers=workers, should_stop=should_stop)
    skipped = set(skip)
    if parent is not None:
        os.set_blocking(sys.stdin.fileno(), False)
    try:
        work(folder, execution, Orders(skipped=lambda: _heard(skipped, parent), tell=_tell), load)
    except StoppedError:
        pass


def _tell(line: str) -> None:
    print(line, flush=True)


def _heard(skipped: set[str], parent: int | None) -> set[str]:
    """With what the parent has written meanwhile: cells that are to be left alone."""
    if parent is not None:
        try:
            skipped |= set(os.read(sys.stdin.fileno(), 1 << 16).decode().split())
        except BlockingIOError:
            pass
    return skipped
