"""Parts of one study that were run in different places, held against each other before they are joined."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bamgate.config.settings import format_seeds, parse_seeds
from bamgate.errors import UsageError
from bamgate.record.runlog import first_difference
from bamgate.record.sealed import read_json
from bamgate.record.study_file import read_declared
from bamgate.study.code import with_code_from
from bamgate.study.compare import metric_of_ended
from bamgate.study.folder import added_seeds, changed_gate, design_difference, refuse_foreign_folder
from bamgate.study.repeats import differences
from bamgate.study.state import RUNNING, CellState, StudyState
from bamgate.study.verify import verify

Kind = tuple[str, str]  # arm, and context as JSON


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the parts hold together; nothing has been written.

    Args:
        before: study.json of the folder that they are joined in, None where there is none.
        content: study.json of them all.
        sources: cell -> its folders, of every cell that has ended, the one that is kept first.
        differences: cell -> a line for each file that differs in two folders of it; only cells that have some.
        unfinished: (folder of a part, cell) that was begun there, and has ended nowhere.
    """

    before: dict[str, Any] | None
    content: dict[str, Any]
    sources: dict[str, list[Path]]
    differences: dict[str, list[str]]
    unfinished: list[tuple[Path, CellState]]


def parts_of(folders: Sequence[Path], out: Path) -> list[Path]:
    """The parts that are joined in `out`; `out` itself is the first of them where it is a study's folder already.

    Raises:
        UsageError: a folder that is no study's, the same one twice, or one inside of another.
    """
    for folder in folders:
        if not (folder / "study.json").is_file():
            raise UsageError(f"{folder} is no folder of a study: it has no study.json")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a file; name a folder")
    for number, folder in enumerate(folders):
        for other in folders[:number]:
            if folder.resolve() == other.resolve():
                raise UsageError(f"{other} and {folder} are the same folder; name each part once")
    others = [folder for folder in folders if folder.resolve() != out.resolve()]
    if not others:
        raise UsageError(f"{out} is the only folder named; name the parts that are to be joined with it")
    _refuse_nested([out, *others], out)
    if (out / "study.json").is_file():
        return [out, *others]
    refuse_foreign_folder(out)
    if _holds_cells(out):
        raise UsageError(f"{out} holds cells but no study.json, so it is no folder of a study; choose another --out")
    return others


def _holds_cells(out: Path) -> bool:
    """An empty folder of cells is nobody's work."""
    cells = out / "cells"
    return cells.exists() and (not cells.is_dir() or any(cells.iterdir()))


def _refuse_nested(folders: list[Path], out: Path) -> None:
    for inner in folders:
        for outer in folders:
            if outer.resolve() in inner.resolve().parents:
                hint = "choose another --out" if out in (inner, outer) else "name folders that lie side by side"
                raise UsageError(f"{inner} lies inside of {outer}; {hint}")


def damage(parts: Sequence[Path]) -> list[str]:
    """All that is wrong in the parts, a line each; their tables are left aside, they are rebuilt."""
    return [line for part in parts for line in verify(part, tables=False)]


def survey(parts: Sequence[Path], out: Path) -> Survey:
    """Hold undamaged parts against each other; UsageError if they are not of one study, DataError if cells are judged
    by different metrics."""
    states = [StudyState(part) for part in parts]
    for state in states[1:]:
        _require_same(states[0].content, state, states[0].out)
    found = [(state.out, cell) for state in states for cell in state.read()]
    metric_of_ended(cell for _, cell in found)
    sources: dict[str, list[Path]] = {}
    names = {cell.cell: cell.name for _, cell in found}
    for part, cell in found:
        if cell.ended:
            sources.setdefault(cell.cell, []).append(part / "cells" / cell.cell)
    lines = {cell: _repeats(names[cell], folders) for cell, folders in sources.items()}
    content = with_code_from(states[0].out, _union([state.content for state in states]), out)
    _require_comparable(content, sources)
    return Survey(
        before=read_declared(out),
        content=content,
        sources=sources,
        differences={cell: of_cell for cell, of_cell in lines.items() if of_cell},
        unfinished=[
            (part, cell)
            for part, cell in found
            if cell.cell not in sources and (cell.epoch or cell.status == RUNNING) and part.resolve() != out.resolve()
        ],
    )


def _repeats(name: str, folders: list[Path]) -> list[str]:
    return [f"{name}: {line}" for other in folders[1:] for line in differences(folders[0], other)]


def _require_same(first: dict[str, Any], state: StudyState, where: Path) -> None:
    if difference := design_difference(state.content, first):
        raise UsageError(f"{state.out} belongs to another study than {where}: {difference}")
    if gate := changed_gate(first, state.content):
        raise UsageError(f"gate {gate!r} in {state.out} is not the function that it is in {where}")
    known = {_place(row): row for row in first["cells"]}
    kinds = [{kind for _, kind in map(_place, content["cells"])} for content in (first, state.content)]
    if kinds[0] != kinds[1] or any(known.get(_place(row), row) != row for row in state.content["cells"]):
        raise UsageError(f"{state.out} was begun by another version of bamgate than {where}, whose cells were others")


def _place(row: dict[str, Any]) -> tuple[int, Kind]:
    """Seed, and arm with context, of a row of study.json."""
    return row["seed"], (row["arm"], json.dumps(row["context"], sort_keys=True))


def _union(contents: list[dict[str, Any]]) -> dict[str, Any]:
    """study.json with the seeds of all; texts, and the order within a seed, are those of the first."""
    first = contents[0]
    own = parse_seeds(first["study"]["seeds"])
    every = {seed for content in contents for seed in parse_seeds(content["study"]["seeds"])}
    seeds = own if every == set(own) else sorted(every)
    rows = {_place(row): row for content in contents for row in content["cells"]}
    kinds = dict.fromkeys(kind for _, kind in map(_place, first["cells"]))
    study = {**first["study"], "seeds": first["study"]["seeds"] if seeds is own else format_seeds(seeds)}
    added = sorted({seed for content in contents for seed in added_seeds(content)})
    gates = {name: mark for content in contents for name, mark in content["gates"].items()}
    head = {name: value for name, value in first.items() if name not in ("added_seeds", "gates", "cells")}
    head |= {"study": study, **({"added_seeds": added} if added else {})}
    return {**head, "gates": gates, "cells": [rows[seed, kind] for seed in seeds for kind in kinds]}


def _require_comparable(content: dict[str, Any], sources: dict[str, list[Path]]) -> None:
    """UsageError where cells of one arm and context were trained with other settings, or on other image files."""
    designs: dict[Kind, tuple[Path, Any]] = {}
    listings: dict[str, tuple[Path, str]] = {}
    for kind, folder in _finished(content, sources):
        config = (read_json(folder / "config.json") or {})["config"]
        design = {name: value for name, value in config.items() if name != "seed"}
        where, before = designs.setdefault(kind, (folder, design))
        if before != design:
            raise UsageError(
                f"{where} and {folder} are the same arm with other settings: {first_difference(before, design)}; "
                "they were begun by different versions of bamgate"
            )
        listing = (read_json(folder / "environment.json") or {}).get("listing_sha256")
        if listing is None:
            continue
        where, known = listings.setdefault(config["dataset"], (folder, listing))
        if known != listing:
            raise UsageError(f"{where} and {folder} were trained on other image files, and the two cannot be compared")


def _finished(content: dict[str, Any], sources: dict[str, list[Path]]) -> Iterator[tuple[Kind, Path]]:
    """Arm with context, and folder, of every cell that has ended."""
    for row in content["cells"]:
        for folder in sources.get(row["cell"], []):
            yield _place(row)[1], folder
