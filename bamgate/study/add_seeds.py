"""More seeds for a study that has been begun, without its file. study.json keeps which seeds were not planned.

A note in the folder says what is being added, from before the seeds are written until they have been told of. Whoever
repeats a command that was interrupted in between adds nothing twice.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamgate.config import LARGEST_SEED, SCHEMA
from bamgate.config.settings import MOST_SEEDS, format_seeds, parse_seeds
from bamgate.errors import BusyError, DataError, TryAgainError, UsageError
from bamgate.gates import named_gate
from bamgate.record.runlog import PATIENCE_S
from bamgate.record.sealed import read_json, write_json
from bamgate.record.storage import is_held, remove, sole_writer
from bamgate.run.resolve import Loader
from bamgate.study.expand import expand
from bamgate.study.folder import (
    added_seeds,
    changed_gate,
    check_cells,
    stored_content,
    study_content,
    write_study,
)
from bamgate.study.study import from_plain

_NOTE = ".adding.json"


@dataclass(frozen=True, kw_only=True)
class Added:
    """What was added: seeds as a text, and how many cells there were and are now.

    `before`: they were there already, added by the same command, which was interrupted before it could say so.
    """

    seeds: str
    cells_before: int
    cells: int
    before: bool = False


def add_seeds(
    out: Path,
    number: int,
    data_root: Path | None = None,
    load: Loader = named_gate,
    tell: Callable[[Added], None] = lambda added: None,
) -> Added:
    """Add the `number` seeds that follow the largest one of the study in `out`.

    Args:
        load: makes a gate of its name; by default one that runs no code.
        tell: told of what was added. A call that ends before it has been told is repeated without adding twice.

    Raises:
        UsageError: no such number, no study, or it was begun by another bamgate or with another function as a gate.
        BusyError: a cell of the study is being trained.
        TryAgainError: nothing could be written, and no seeds were added.
    """
    if not 1 <= number <= MOST_SEEDS:
        raise UsageError(f"{number} seeds cannot be added (allowed: 1 to {MOST_SEEDS:,} at a time)")
    stored_content(out)  # before a lock is left where no study is
    try:
        with sole_writer(out, patience_s=PATIENCE_S):
            before = stored_content(out)
            _refuse_held(out, before)
            added = _interrupted(out, before, number) or _add(out, before, number, data_root, load)
            tell(added)
            with contextlib.suppress(TryAgainError):  # then the next call says once more that they are there
                remove(out / _NOTE)
    except BusyError:
        raise
    except TryAgainError as error:
        raise TryAgainError(f"{error}; no seeds were added") from error
    return added


def _add(out: Path, before: dict[str, Any], number: int, data_root: Path | None, load: Loader) -> Added:
    new = _following(parse_seeds(before["study"]["seeds"]), number)
    now = _larger(out, before, new, data_root, load)
    try:
        write_json(out / _NOTE, {"schema": SCHEMA, "number": number, "seeds": new})
        write_study(out, before, now)
    except TryAgainError:
        if stored_content(out)["cells"] != now["cells"]:
            raise
    return Added(seeds=format_seeds(new), cells_before=_cells(before), cells=_cells(now))


def _interrupted(out: Path, stored: dict[str, Any], number: int) -> Added | None:
    """What the same command has added, if it was interrupted after that; None if it has added nothing."""
    try:
        note = read_json(out / _NOTE) or {}
    except DataError:  # half of a note is no note
        return None
    seeds = note.get("seeds", [])
    if note.get("number") != number or not seeds or seeds != added_seeds(stored)[-len(seeds) :]:
        return None
    return Added(seeds=format_seeds(seeds), cells_before=_cells(stored), cells=_cells(stored), before=True)


def _cells(content: dict[str, Any]) -> int:
    return len({row["cell"] for row in content["cells"]})


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
