"""What a trainer process does: it trains one cell of a study after the other, whichever is missing and free."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamgate.config import RunConfig
from bamgate.data import find_dataset
from bamgate.engines import Execution, Listener, Position, StoppedError
from bamgate.errors import BamgateError, BusyError, GateError, OutOfMemoryError, machine_fault, one_line
from bamgate.gates import named_gate
from bamgate.record.storage import is_held
from bamgate.run.cells import run_cell
from bamgate.run.resolve import Loader
from bamgate.study.code import gate_loader
from bamgate.study.expand import StudyCell, expand
from bamgate.study.folder import check_cells, stored_content
from bamgate.study.study import from_plain
from bamgate.study.work import End, Message, Work

TELL_S = 0.5  # between two messages of where a cell stands


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What whoever started the training wants of it.

    Args:
        skipped: asked before each cell; ids of cells that are to be left alone.
        tell: gets a message when a cell is begun and left, and when there is something to know about it.
    """

    skipped: Callable[[], set[str]]
    tell: Callable[[Message], None]


class _Teller(Listener):
    """Passes on what a cell tells of itself."""

    def __init__(self, cell: StudyCell, tell: Callable[[Message], None]) -> None:
        self.cell, self.tell = cell, tell
        self._told = -TELL_S

    def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None:
        if note:
            self.tell({"note": f"{self.cell.name}: {note}"})
        elif position.epoch or position.step:
            where = f"going on in epoch {position.epoch + 1} after step {position.step}"
            self.tell({"note": f"{self.cell.name}: {where}"})

    def stepped(self, position: Position, steps: int) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_S:
            self._told = now
            self.tell({"at": [position.epoch, position.step, steps]})

    def epoch_ended(self, row: dict[str, Any]) -> None:
        self.tell({"epoch": row})


def trained(given: Work, orders: Orders, should_stop: Callable[[], bool]) -> Iterator[None]:
    """`each_cell` of a job's work: with the gates that its study names, and on its device."""
    study = from_plain(stored_content(given.out)["study"])
    load = gate_loader(study, allowed=given.allow_code, file=None, out=given.out)
    execution = Execution(
        device=given.device,
        threads=given.threads,
        data_root=given.data_root,
        workers=given.decoders,
        should_stop=should_stop,
    )
    return each_cell(given.out, execution, orders, load)


def each_cell(out: Path, execution: Execution, orders: Orders, load: Loader = named_gate) -> Iterator[None]:
    """Train until no missing cell is free, one for each that is asked for. One whose gate fails is left alone then.

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
    goes_on = True
    while goes_on:
        goes_on = False
        for cell in cells.values():
            if not _is_over(cell, out, over) and _work_on(cell, out, execution, orders, over):
                yield
                goes_on = True
                break  # from the first again: meanwhile somebody may have left one


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
            cell.config, out, gate=cell.gate, execution=execution, listener=_Teller(cell, orders.tell), in_study=True
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


def end_of(error: BaseException) -> End:
    """What an exception that ended the training means: a stop, a refusal, what the machine lacks, or a death."""
    if isinstance(error, StoppedError):
        return End(0, str(error), stopped=True)
    if isinstance(error, GateError):  # it has been told, and another job goes on with the other cells
        return End()
    if isinstance(error, OutOfMemoryError):
        return End(None, str(error))
    known = error if isinstance(error, BamgateError) else machine_fault(error)
    if known is not None:
        return End(known.exit_code, str(known))
    return End(None, one_line(error), traceback="".join(traceback.format_exception(error)))
