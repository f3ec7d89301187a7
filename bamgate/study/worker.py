"""A worker of a study: trains one cell after the other, whichever is missing and free."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamgate.config import RunConfig
from bamgate.data import find_dataset
from bamgate.engines import Execution, Listener, Position, StoppedError
from bamgate.errors import BusyError, GateError
from bamgate.gates import named_gate
from bamgate.record.storage import is_held
from bamgate.run.cells import run_cell
from bamgate.run.resolve import Loader
from bamgate.study.expand import StudyCell, expand
from bamgate.study.folder import check_cells, stored_content
from bamgate.study.study import from_plain

Message = dict[str, Any]
"""What a worker says, each with one of these keys and what stands beside it:

cell     id of a cell that it begins
left     id of the cell that it was at; `ended`: whether it has a result now
failed   id of the cell that it was at, whose gate failed; `why`
note     a text for people
end      exit code of a worker that knows why it ends; `why`, and `stopped` if it was asked to
died     why a worker ends that does not know
"""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What whoever started a worker wants of it.

    Args:
        skipped: asked before each cell; ids of cells that are to be left alone.
        tell: gets a message when a cell is begun and left, and when there is something to know about it.
    """

    skipped: Callable[[], set[str]]
    tell: Callable[[Message], None]


class _Notes(Listener):
    """Passes on what a cell's own record has to say when it is gone on with."""

    def __init__(self, cell: StudyCell, tell: Callable[[Message], None]) -> None:
        self.cell, self.tell = cell, tell

    def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None:
        if note:
            self.tell({"note": f"{self.cell.name}: {note}"})


def work(out: Path, execution: Execution, orders: Orders, load: Loader = named_gate) -> None:
    """Train until no missing cell is free. A cell whose gate fails is left alone from then on.

    Args:
        load: makes a gate of its name; by default one that runs no code.

    Raises:
        GateError: on a GPU, which a failed gate may have left unusable.
        StoppedError: `execution.should_stop` said so; what was begun is saved.
        UsageError, DataError, TryAgainError: see run_cell.
    """
    content = stored_content(out)
    cells = {cell.config.cell: cell for cell in expand(from_plain(content["study"]), execution.data_root, load)}
    check_cells(out, (row["cell"] for row in content["cells"]), cells)
    over: set[str] = set()  # ended, or failed here
    while any(_work_on(cell, out, execution, orders, over) for cell in cells.values() if not _is_over(cell, out, over)):
        pass  # from the first again: meanwhile somebody may have left one


def _is_over(cell: StudyCell, out: Path, known: set[str]) -> bool:
    """Asked of the disk until it has ended; `known` keeps it."""
    name = cell.config.cell
    if name not in known and (out / "cells" / name / "result.json").exists():
        known.add(name)
    return name in known


def _work_on(cell: StudyCell, out: Path, execution: Execution, orders: Orders, over: set[str]) -> bool:
    """Whether the cell was free and is over now."""
    if execution.should_stop():
        raise StoppedError("stopped between two cells")
    name = cell.config.cell
    if name in orders.skipped() or is_held(out / "cells" / name):
        return False
    orders.tell({"cell": name})
    if not find_dataset(cell.config.dataset, execution.root).files:
        execution = replace(execution, workers=None)  # there is nothing to decode
    try:
        run_cell(
            cell.config, out, gate=cell.gate, execution=execution, listener=_Notes(cell, orders.tell), in_study=True
        )
    except BusyError:
        orders.tell({"left": name, "ended": False})
        return False
    except GateError as error:
        orders.tell({"failed": name, "why": str(error)})
        over.add(name)
        if execution.device != "cpu":
            raise
        return True
    orders.tell({"left": name, "ended": True})
    return True
