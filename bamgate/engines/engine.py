"""The seam between cells and devices: how cells are executed, what is told of it, and what an engine is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bamgate.data import DataSet, default_root, default_workers
from bamgate.devices import check_number
from bamgate.engines.session import Session
from bamgate.errors import TryAgainError, UsageError
from bamgate.registry import Registry


class StoppedError(TryAgainError):
    """A run was asked to stop and has saved where it stood."""


class Engine(Protocol):
    """Trains cells on a device. Its name stands in the record of each cell.

    To add one: a file that registers it, and one import line in `bamgate.engines`.
    """

    name: str

    def train(self, sessions: Sequence[Session], should_stop: Callable[[], bool]) -> None:
        """Bring every session to its end: train, `end_epoch` after each epoch, then `finish`.

        Args:
            should_stop: asked at every step boundary.

        Raises:
            StoppedError: `should_stop` said so; every session that was begun is saved.
        """
        ...


ENGINES: Registry[Engine] = Registry("engine", "bamgate.engines")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How and where cells are run; recorded beside the cell, no part of its identity.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        threads: of the CPU. One by default: seeds side by side are faster than threads, and rounding stays the same.
        data_root: the folder of the data sets.
        workers: processes that decode image files, 0 for none; None: a core less than there are.
        engine: by name. A cell that was begun by one engine is not continued by another.
        should_stop: asked at every step boundary.
    """

    device: str = "cpu"
    threads: int = 1
    data_root: Path | None = None
    workers: int | None = None
    engine: str = "single"
    should_stop: Callable[[], bool] = lambda: False

    @property
    def root(self) -> Path:
        return self.data_root or default_root()

    def workers_for(self, data: DataSet) -> int:
        """How many processes decode; UsageError if a number was given and there is nothing to decode."""
        if data.files:
            if self.workers is not None:
                check_number("workers", self.workers, low=0)
            return default_workers() if self.workers is None else self.workers
        if self.workers is not None:
            raise UsageError(f"workers would have no effect: {data.name} is in memory; leave it out")
        return 0
