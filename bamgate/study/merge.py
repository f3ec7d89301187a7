"""The joining of a study's parts in one folder.

A cell is copied beside, checked, and then renamed into its place: whenever the process dies, each cell of the folder is
whole or not there, and the same call completes it.
"""

import errno
from dataclasses import dataclass
from pathlib import Path

from bamgate.errors import BusyError, DataError, TryAgainError
from bamgate.record.collect import collect
from bamgate.record.runlog import PATIENCE_S, make_folder
from bamgate.record.storage import disk_errors, make_folders, move, remove_tree, sole_writer, write_atomic
from bamgate.record.study_file import read_declared
from bamgate.study.folder import write_study
from bamgate.study.parts import Survey
from bamgate.study.verify import verify_cell

_BESIDE = ".merge"  # in the folder, outside its cells: what is in it counts for nothing


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What was done: cells copied, and the folders of those that had to be left out, being trained in."""

    copied: int
    held: list[Path]


def join(found: Survey, out: Path) -> Joined:
    """Copy what `out` does not have, then rebuild its tables.

    Raises:
        TryAgainError: the disk is full, or somebody has changed study.json since the survey.
        DataError: a cell was changed while it was copied.
    """
    make_folder(out)
    held, copied = [], 0
    with sole_writer(out, patience_s=PATIENCE_S):
        if read_declared(out) != found.before:
            raise TryAgainError(f"the study in {out} was changed meanwhile; nothing was written, try again")
        # First of all: from here on it is known whose folder this is, and the same call goes on in it.
        write_study(out, found.before, found.content)
        make_folder(out / "cells")
        for cell, (source, *_) in found.sources.items():
            target = out / "cells" / cell
            if (target / "result.json").is_file():
                continue
            beside = _copied(source, out, found.content["gates"])
            if _put(beside, target):
                copied += 1
            else:
                held.append(target)
        remove_tree(out / _BESIDE)
    collect(out)
    return Joined(copied=copied, held=held)


def _copied(source: Path, out: Path, gates: dict[str, str]) -> Path:
    """A synced and checked copy beside the cells."""
    beside = out / _BESIDE / source.name
    with disk_errors(beside):
        remove_tree(out / _BESIDE)
        make_folders(beside)
        for path in sorted(source.iterdir()):
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".tmp":  # not who held it
                write_atomic(beside / path.name, path.read_bytes())
    if problems := verify_cell(beside, gates):
        raise DataError(f"{source} was changed while it was copied: {problems[0]}; the cells before it are there")
    return beside


def _put(beside: Path, target: Path) -> bool:
    """Rename into place, over what was begun there and never finished; False where a process is at work on it."""
    try:
        if target.exists():
            with sole_writer(target):
                move(target, beside.with_name(f"{target.name}.begun"))
        move(beside, target)
    except BusyError:
        return False
    except TryAgainError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False  # somebody has begun it this moment
        raise
    return True
