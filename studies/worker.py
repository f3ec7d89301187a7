"""A worker of a study: trains one cell after the other, whichever is missing and free."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bamgate.config import RunConfig
from bamgate.data import find_dataset
from bamgate.errors import BusyError
from bamgate.experiment import Execution, Listener, StoppedError, run_cell
from bamgate.gates import named_gate
from bamgate.storage import is_held
from bamgate.studies.expand import StudyCell, expand
from bamgate.studies.folder import check_cells, stored_content
from bamgate.studies.plan import Loader
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


def work(out: Path, execution: Execution, orders: Orders, load: Loader = named_gate) -> None:
    """Train until no missing cell is free.

    Args:
        load: makes a gate of its name; by default one that runs no code.

    Raises:
        StoppedError: `execution.should_stop` said so; what was begun is saved.
        UsageError, DataError, TryAgainError: see run_cell.
    """
    content = stored_content(out)
    cells = {cell.config.cell: cell for cell in expand(from_plain(content["study"]), execution.data_root, load)}
    check_cells(out, (row["cell"] for row in content["cells"]), cells)
    ended: set[str] = set()
    while any(_work_on(cell, out, execution, orders) for cell in cells.values() if not _has_ended(cell, out, ended)):
        pass  # from the first again: meanwhile somebody may have left one


def _has_ended(cell: StudyCell, out: Path, known: set[str]) -> bool:
    """Asked of the disk until it is so; `known` keeps it."""
    name = cell.config.cell
    if name not in known and (out / "cells" / name / "result.json").exists():
        known.add(name)
    return name in known


def _work_on(cell: StudyCell, out: Path, execution: Execution, orders: Orders) -> bool:
    """Whether the cell was free and is finished now."""
    if execution.should_stop():
        raise StoppedError("stopped between two cells")
    folder = out / "cells" / cell.config.cell
    if cell.config.cell in orders.skipped() or is_held(folder):
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
