"""What `bamgate report` reads, and the table that it shows in the terminal."""

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bamgate.cli.console import err, out, table
from bamgate.errors import TryAgainError, UsageError
from bamgate.record.collect import collect, require_one_listing, tables_are_current
from bamgate.record.runlog import PATIENCE_S
from bamgate.record.storage import sole_writer
from bamgate.reports.design import Design, arms_in, design_of, restrict
from bamgate.reports.records import Records, read_records, read_runs
from bamgate.reports.words.headline import headline_words
from bamgate.reports.words.measure import Measure, measure_of
from bamgate.reports.words.numbers import ascii_signs, p_cell
from bamgate.reports.words.verdict import WORDS, verdict_sentence


class Asked(NamedTuple):
    """The options that choose what is compared."""

    reference: str | None
    arms: str
    rope: float | None
    where: tuple[str, ...]


def read(folders: Sequence[Path], asked: Asked) -> tuple[Design, Records]:
    """The requested comparison and its rows; tables that lack finished cells are rebuilt first."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("the same folder is given twice")
    for folder in folders:
        _refresh(folder)
    require_one_listing(folders)
    with contextlib.ExitStack() as stack:
        for folder in folders:
            # Hold the folder while reading, so that a running study does not rewrite its tables in between. A read-only
            # folder has no writer.
            if os.access(folder, os.W_OK):
                stack.enter_context(sole_writer(folder, patience_s=PATIENCE_S))
        runs = read_runs(folders)
        design = design_of(folders, runs, asked.reference)
        design = restrict(design, arms=arms_in(asked.arms, design.arms), where=_where(asked.where), rope=asked.rope)
        return design, read_records(folders, design, runs)


def _refresh(folder: Path) -> None:
    """Rebuild tables that lack finished cells. DataError if a table contradicts its cells."""
    has_ended = next(folder.glob("cells/*/result.json"), None) is not None
    if not has_ended and not (folder / "runs.csv").is_file():
        raise UsageError(f"{folder} has no runs.csv and no finished cells; run `bamgate study run` first")
    if has_ended and not tables_are_current(folder):
        _rebuild(folder)


def _rebuild(folder: Path) -> None:
    try:
        collect(folder)
    except TryAgainError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UsageError(
                f"the tables of {folder} lack finished cells, and the folder is not writable; "
                "make it writable, or report a copy of it"
            ) from None
        raise


def _where(given: Sequence[str]) -> dict[str, str]:
    parts = [text.split("=", 1) for text in given]
    for text, part in zip(given, parts, strict=True):
        if len(part) < 2 or not all(part):
            raise UsageError(f"--where {text!r} cannot be read (allowed: NAME=VALUE, as model=resnet20)")
    return dict(part for part in parts if len(part) == 2)


def show_verdicts(stats: dict[str, Any]) -> None:
    """Show the question, the verdict, and one row per comparison."""
    console, head, measure = out(), headline_words(stats), measure_of(stats)
    console.print(stats["design"]["question"], markup=False)
    for text in head:
        if text:
            console.print(ascii_signs(text), markup=False)
    contexts = len(stats["design"]["contexts"]) > 1
    columns = [*(["context"] if contexts else []), "pairs", "mean difference", "95 % interval", "Holm p", "verdict"]
    console.print()
    grid = table(_title(measure, stats["design"]["reference"]), "arm", *columns, text=("context", "verdict"))
    for row in stats["contrasts"]:
        t = row["t"]
        numbers = [str(t["n"]), measure.signed(t["mean"]), measure.reach(t), p_cell(row["holm_p"])]
        names = [row["arm"], row["context"]] if contexts else [row["arm"]]
        grid.add_row(*names, *map(ascii_signs, numbers), WORDS[row["verdict"]["code"]])
    console.print(grid)
    for row in stats["across"]:
        sentence = ascii_signs(verdict_sentence(row["verdict_new"], measure))
        console.print(f"{row['arm']} over all contexts: {sentence}", markup=False)
    if not stats["design"]["rope_declared"]:
        margin = measure.margin(stats["design"]["rope"])
        note = f"no margin was declared: {margin} is taken as too small to matter (--rope)"
        err().print(ascii_signs(note), markup=False)


def _title(measure: Measure, reference: str) -> str:
    if not measure.says_direction:
        return f"Points above {reference} on the same seeds"
    return f"{measure.title} minus that of {reference} on the same seeds{measure.difference_axis} ({measure.direction})"
