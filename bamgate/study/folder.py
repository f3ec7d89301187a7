"""The folder of a study: study.json says which cells belong to it; the cells are those of `bamgate run`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bamgate.config.settings import format_seeds, parse_seeds
from bamgate.errors import TryAgainError, UsageError
from bamgate.gates import gate_facts
from bamgate.record.ended import gate_mark, same_gate
from bamgate.record.runlog import PATIENCE_S, first_difference, make_folder, refuse_foreign_tables
from bamgate.record.sealed import SEALED, write_sealed
from bamgate.record.storage import sole_writer
from bamgate.record.study_file import MAY_CHANGE, read_declared
from bamgate.study.code import code_facts
from bamgate.study.expand import StudyCell, study_sha256
from bamgate.study.study import Study


def open_study(out: Path, study: Study, cells: Iterable[StudyCell]) -> list[int]:
    """Make `out` the folder of this study, or add its new seeds; UsageError where it is another's.

    Args:
        study: as `with_added_seeds` returns it, where seeds have been added to `out`.

    Returns:
        The new seeds, where runs of `out` had ended before they came: they were not planned.
    """
    make_folder(out)
    with sole_writer(out, patience_s=PATIENCE_S):
        before = read_declared(out)
        late = _late_seeds(out, before, study)
        now = study_content(out, study, cells, [*added_seeds(before), *late])
        _check(out, before, now)
        write_study(out, before, now)
    return late


def check_study(out: Path, study: Study, cells: Iterable[StudyCell]) -> None:
    """UsageError where `open_study` would refuse; nothing is written."""
    before = read_declared(out)
    _check(out, before, study_content(out, study, cells, [*added_seeds(before), *_late_seeds(out, before, study)]))


def write_study(out: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """study.json, where it is not `before` that is there; the caller is the folder's sole writer."""
    if before != now:
        write_sealed(out / "study.json", now)


def stored_content(out: Path) -> dict[str, Any]:
    """study.json; UsageError where `out` is no study's folder."""
    content = read_declared(out)
    if content is None:
        raise UsageError(f"{out} is no folder of a study: it has no study.json")
    return content


def check_cells(out: Path, stored: Iterable[str], now: Iterable[str]) -> None:
    """UsageError where the cells (ids; twice where contexts share one) of a study are others than those stored."""
    if list(dict.fromkeys(stored)) != list(dict.fromkeys(now)):
        raise UsageError(f"{out} was begun by another version of bamgate, whose cells were others; go on with that one")


def _has_ended_runs(out: Path) -> bool:
    return next(out.glob("cells/*/result.json"), None) is not None


def _late_seeds(out: Path, before: dict[str, Any] | None, study: Study) -> list[int]:
    """Seeds that the study has and the folder has not, though results could be looked at."""
    if before is None or not _has_ended_runs(out):
        return []
    known = parse_seeds(before["study"]["seeds"])
    return [seed for seed in parse_seeds(study.seeds) if seed not in known]


def added_seeds(content: dict[str, Any] | None) -> list[int]:
    """The seeds that a study.json got after runs had ended, from `bamgate study add-seeds` or the study's file."""
    return list((content or {}).get("added_seeds", []))


def with_added_seeds(out: Path, study: Study) -> Study:
    """The study with the seeds that were added to its folder `out`."""
    added = added_seeds(read_declared(out))
    own = parse_seeds(study.seeds)
    more = [seed for seed in added if seed not in own]
    return replace(study, seeds=format_seeds([*own, *more])) if more else study


def study_content(out: Path, study: Study, cells: Iterable[StudyCell], added: list[int]) -> dict[str, Any]:
    """What study.json in `out` holds; UsageError where two different gates have one name.

    Args:
        added: those of the study's seeds that came after runs had ended.
    """
    gates: dict[str, str] = {}
    code: dict[str, dict[str, str]] = {}
    rows = []
    for cell in cells:
        name, mark = cell.gate.name, gate_mark(gate_facts(cell.gate))
        if gates.setdefault(name, mark) != mark:
            raise UsageError(f"study {study.name}: two different gates are called {name!r}; rename one of them")
        code |= code_facts(cell.gate, out)
        facts = {"arm": cell.arm, "context": cell.context, "seed": cell.config.seed}
        rows.append({"cell": cell.config.cell, **facts, "epochs": cell.config.training.epochs})
    content = {"name": study.name, "study_sha256": study_sha256(study), "study": study.to_dict()}
    more = {**({"added_seeds": added} if added else {}), **({"code": code} if code else {})}
    return {"schema": SEALED, **content, **more, "gates": gates, "cells": rows}


def _check(out: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    if before is None:
        refuse_foreign_folder(out)
        return
    if difference := design_difference(before, now):
        raise UsageError(f"{out} belongs to another study: {difference}; choose another --out")
    _check_seeds(out, before, now)
    expected = [content["study"]["expected"] for content in (before, now)]
    if expected[0] != expected[1] and _has_ended_runs(out):
        raise UsageError(
            f"{out} was begun with expected = {expected[0]!r}, and runs have ended since; "
            "put it back as it was or choose another --out"
        )
    if gate := changed_gate(before, now):
        raise UsageError(
            f"gate {gate!r} is not the function it was when {out} was begun; "
            "give it another name or choose another --out"
        )


def refuse_foreign_folder(out: Path) -> None:
    """UsageError where `out`, which has no study.json, holds something else of ours or of somebody's."""
    if (out / "design.json").exists():
        raise UsageError(f"{out} is a folder of `bamgate run`, not of a study; choose another --out")
    refuse_foreign_tables(out, "study.json")


def design_difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Where the designs of two study.json part, with both values; empty where they are the same study."""
    if before["study_sha256"] == now["study_sha256"]:
        return ""
    parts = [{k: v for k, v in content["study"].items() if k not in MAY_CHANGE} for content in (before, now)]
    return first_difference(parts[0], parts[1])


def changed_gate(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first gate that is another function in another study.json; empty where there is none."""
    gates = now["gates"].items()
    return next((name for name, mark in gates if not same_gate(before["gates"].get(name, mark), mark)), "")


def _check_seeds(out: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    added = added_seeds(before)
    of_before, of_now = (parse_seeds(content["study"]["seeds"]) for content in (before, now))
    own = [[seed for seed in seeds if seed not in added] for seeds in (of_before, of_now)]
    if set(own[0]) - set(own[1]):
        now_says = format_seeds(own[1]) or "none of them"
        raise UsageError(
            f"{out} has the seeds {format_seeds(own[0])}, the study now says {now_says}: "
            "seeds may be added, not taken away"
        )
    if set(added) - set(of_now):
        raise TryAgainError(f"seeds were added to {out} meanwhile; the same command takes them up")
