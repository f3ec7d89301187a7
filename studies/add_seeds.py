"""More seeds for a study that has been begun, without its file. study.json keeps which seeds were not planned."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamgate.config import LARGEST_SEED
from bamgate.errors import BusyError, UsageError
from bamgate.gates import named_gate
from bamgate.runlog import PATIENCE_S
from bamgate.storage import is_held, sole_writer
from bamgate.studies.expand import expand
from bamgate.studies.folder import (
    added_seeds,
    changed_gate,
    check_cells,
    stored_content,
    study_content,
    write_study,
)
from bamgate.studies.plan import Loader
from bamgate.studies.settings import MOST_SEEDS, format_seeds, parse_seeds
from bamgate.studies.study import from_plain


@dataclass(frozen=True, kw_only=True)
class Added:
    """What was added: seeds as a text, and how many cells there were and are now."""

    seeds: str
    cells_before: int
    cells: int


def add_seeds(out: Path, number: int, data_root: Path | None = None, load: Loader = named_gate) -> Added:
    """Add the `number` seeds that follow the largest one of the study in `out`.

    Args:
        load: makes a gate of its name; by default one that runs no code.

    Raises:
        UsageError: no such number, no study, or it was begun by another bamgate or with another function as a gate.
        BusyError: a cell of the study is being trained.
    """
    if not 1 <= number <= MOST_SEEDS:
        raise UsageError(f"{number} seeds cannot be added (allowed: 1 to {MOST_SEEDS:,} at a time)")
    stored_content(out)  # before a lock is left where no study is
    with sole_writer(out, patience_s=PATIENCE_S):
        before = stored_content(out)
        _refuse_held(out, before)
        new = _following(parse_seeds(before["study"]["seeds"]), number)
        now = _larger(out, before, new, data_root, load)
        write_study(out, before, now)
    cells = [len({row["cell"] for row in content["cells"]}) for content in (before, now)]
    return Added(seeds=format_seeds(new), cells_before=cells[0], cells=cells[1])


def _refuse_held(out: Path, content: dict[str, Any]) -> None:
    folders = [out / "cells" / row["cell"] for row in content["cells"]]
    held = next((folder for folder in folders if is_held(folder)), None)
    if held is not None:
        raise BusyError(f"a process is at work on {held}; add seeds when the study has ended or was stopped")


def _following(seeds: list[int], number: int) -> list[int]:
    first = max(seeds) + 1
    if first + number - 1 > LARGEST_SEED:
        many = f"{number} seed{'s' if number > 1 else ''}"
        raise UsageError(f"{many} cannot be added above {max(seeds)}: the largest possible is {LARGEST_SEED}")
    return list(range(first, first + number))


def _larger(out: Path, before: dict[str, Any], new: list[int], data_root: Path | None, load: Loader) -> dict[str, Any]:
    """study.json with the new seeds and their cells."""
    study = from_plain(before["study"])
    study = replace(study, seeds=format_seeds([*parse_seeds(study.seeds), *new]))
    now = study_content(out, study, expand(study, data_root, load), [*added_seeds(before), *new])
    if gate := changed_gate(before, now):
        raise UsageError(f"gate {gate!r} is not the function it was when {out} was begun")
    of_before = (row["cell"] for row in now["cells"] if row["seed"] not in new)
    check_cells(out, (row["cell"] for row in before["cells"]), of_before)
    return now
