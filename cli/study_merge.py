"""What `bamgate study merge` and `add-seeds` say."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from bamgate.cli.console import err, out
from bamgate.cli.signals import StopRequest
from bamgate.cli.study_run import PEEKING, ways_of
from bamgate.cli.user_code import no_early_end
from bamgate.errors import DataError
from bamgate.record.collect import collected
from bamgate.study.add_seeds import Added, add_seeds
from bamgate.study.code import gate_loader
from bamgate.study.folder import stored_content
from bamgate.study.merge import Joined, join
from bamgate.study.parts import Survey, damage, parts_of, survey
from bamgate.study.study import MANY, from_plain, gates_of_code


def merge_parts(folders: Sequence[Path], into: Path, *, keep_first: bool) -> None:
    """Join, or refuse with every reason."""
    parts = parts_of(folders, into)
    _refuse(damage(parts), "the parts are damaged")
    found = survey(parts, into)
    lines = [line for of_cell in found.differences.values() for line in of_cell]
    if keep_first:
        for line in lines:
            err().print(f"kept the first: {line}", markup=False)
    else:
        many = f"{len(found.differences)} cell{'s have' if len(found.differences) > 1 else ' has'}"
        _refuse(lines, f"{many} different results in different parts (--keep-first keeps those of the first)")
    _show_joined(found, join(found, into), into)


def _refuse(lines: list[str], why: str) -> None:
    for line in lines:
        out().print(line, markup=False, soft_wrap=True)
    if lines:
        raise DataError(f"{why}; nothing was written")


def _show_joined(found: Survey, joined: Joined, into: Path) -> None:
    content = found.content
    cells = len({row["cell"] for row in content["cells"]})
    there = len(found.sources) - joined.copied - len(joined.held)
    missing = cells - joined.copied - there
    where = f"{into}: {content['name']}, seeds {content['study']['seeds']}, {cells} cells"
    out().print(f"{where}: {joined.copied} copied, {there} there before, {missing} missing", markup=False)
    same = sum(len(folders) > 1 for cell, folders in found.sources.items() if cell not in found.differences)
    if same:
        out().print(f"{same} with the same results in several parts, kept once", markup=False)
    for part, cell in found.unfinished:
        now = "at work on it; merge again when it has ended" if cell.status == "running" else "nobody at work on it"
        text = f"left out: {cell.name}, epoch {cell.epoch} of {cell.epochs} in {part}, {now}"
        err().print(text, markup=False)
    for folder in joined.held:
        err().print(f"left out: a process is at work on {folder}; merge again when it has ended", markup=False)
    if ways := ways_of(collected(into)[0]):
        err().print(f"the cells were executed in different ways ({ways}) and will not be compared", markup=False)
    _next(into, ["study", "run"] if missing else ["report"])


def _next(folder: Path, command: list[str]) -> None:
    content = stored_content(folder)
    words = ["bamgate", *command, str(folder)]
    if command == ["study", "run"]:
        words += ["--allow-code"] if gates_of_code(from_plain(content["study"])) else []
        words += ["--yes"] if len({row["cell"] for row in content["cells"]}) > MANY else []
    err().print(f"Next: {shlex.join(words)}", markup=False)


def add(folder: Path, number: int, data_dir: Path | None, *, code: bool) -> None:
    """Add seeds, and say what that does to the statistics. A signal waits until it has been said."""
    with StopRequest(), no_early_end():
        load = gate_loader(from_plain(stored_content(folder)["study"]), allowed=code, file=None, out=folder)
        add_seeds(folder, number, data_dir, load, lambda added: _tell_added(folder, added))
        err().print(PEEKING, markup=False)
        _next(folder, ["study", "run"])


def _tell_added(folder: Path, added: Added) -> None:
    if added.before:
        why = "the same command added them and was interrupted. Nothing was added now; repeat it to add more"
        out().print(f"{folder}: seeds {added.seeds} are there already: {why}", markup=False)
    else:
        cells = f"{added.cells - added.cells_before} cells more, {added.cells} in all"
        out().print(f"{folder}: seeds {added.seeds} added, {cells}", markup=False)
