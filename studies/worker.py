"""A worker of a study: trains one cell after the other, whichever is missing and free."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bamgate.config import RunConfig
from bamgate.data import find_dataset
from bamgate.errors import BusyError, UsageError
from bamgate.experiment import Execution, Listener, StoppedError, run_cell
from bamgate.runlog import read_json
from bamgate.storage import is_held
from bamgate.studies.expand import StudyCell, expand
from bamgate.studies.study import from_plain
from bamgate.training import Position

CELL, NOTE = "cell ", "note "  # how a worker's lines begin


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What whoever started a worker wants of it.

    Args:
        skipped: asked before each cell; ids of cells that are to be left alone.
        tell: gets a line when a cell is begun, and when there is something to know about it.
    """

    skipped: Callable[[], set[str]]
    tell: Callable[[str], None]


class _Notes(Listener):
    """Passes on what a cell's own record has to say when it is gone on with."""

    def __init__(self, cell: StudyCell, tell: Callable[[str], None]) -> None:
        self.cell, self.tell = cell, tell

    def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None:
        if note:
            self.tell(f"{NOTE}{self.cell.name}: {note}")


def work(out: Path, execution: Execution, orders: Orders) -> None:
    """Train until no missing cell is free.

    Raises:
        StoppedError: `execution.should_stop` said so; what was begun is saved.
        UsageError, DataError, TryAgainError: see run_cell.
    """
    content = read_json(out / "study.json")
    if content is None:
        raise UsageError(f"{out} is no folder of a study: it has no study.json")
    cells = {cell.config.cell: cell for cell in expand(from_plain(content["study"]), execution.data_root)}
    if list(cells) != list(dict.fromkeys(row["cell"] for row in content["cells"])):
        raise UsageError(f"{out} was begun by another version of bamgate, whose cells were others; go on with that one")
    while any(_work_on(cell, out, execution, orders) for cell in cells.values()):
        pass  # from the first again: meanwhile somebody may have left one


def _work_on(cell: StudyCell, out: Path, execution: Execution, orders: Orders) -> bool:
    """Whether the cell was free and is finished now."""
    if execution.should_stop():
        raise StoppedError("stopped between two cells")
    folder = out / "cells" / cell.config.cell
    if (folder / "result.json").exists() or cell.config.cell in orders.skipped() or is_held(folder):
        return False
    orders.tell(CELL + cell.config.cell)
    if not find_dataset(cell.config.dataset, execution.root).files:
        execution = replace(execution, workers=None)  # there is nothing to decode
    try:
        run_cell(
            cell.config, out, gate=cell.gate, execution=execution, listener=_Notes(cell, orders.tell), in_study=True
        )
    except BusyError:
        return False
    return True
