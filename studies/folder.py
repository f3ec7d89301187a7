"""The folder of a study: study.json says which cells belong to it; the cells are those of `bamgate run`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bamgate.config import SCHEMA
from bamgate.errors import UsageError
from bamgate.gates import fingerprint
from bamgate.runlog import PATIENCE_S, first_difference, make_folder, read_json, refuse_foreign_tables
from bamgate.storage import sole_writer, write_atomic
from bamgate.studies.expand import StudyCell, study_sha256
from bamgate.studies.settings import parse_seeds
from bamgate.studies.study import Study

_MAY_CHANGE = ("seeds", "question", "cost", "expected")


def open_study(out: Path, study: Study, cells: Iterable[StudyCell]) -> None:
    """Make `out` the folder of this study, or add its new seeds; UsageError where it is another's."""
    make_folder(out)
    with sole_writer(out, patience_s=PATIENCE_S):
        before = read_json(out / "study.json")
        now = _content(study, cells)
        _check(out, before, now)
        if before != now:
            # Not sorted: the order of arms and axes is the study's.
            write_atomic(out / "study.json", (json.dumps(now, indent=2) + "\n").encode())


def check_study(out: Path, study: Study, cells: Iterable[StudyCell]) -> None:
    """UsageError where `open_study` would refuse; nothing is written."""
    _check(out, read_json(out / "study.json"), _content(study, cells))


def _content(study: Study, cells: Iterable[StudyCell]) -> dict[str, Any]:
    gates: dict[str, str] = {}
    rows = []
    for cell in cells:
        name, mark = cell.gate.name, fingerprint(cell.gate)
        if gates.setdefault(name, mark) != mark:
            raise UsageError(f"study {study.name}: two different gates are called {name!r}; rename one of them")
        facts = {"arm": cell.arm, "context": cell.context, "seed": cell.config.seed}
        rows.append({"cell": cell.config.cell, **facts, "epochs": cell.config.training.epochs})
    content = {"name": study.name, "study_sha256": study_sha256(study), "study": study.to_dict()}
    return {"schema": SCHEMA, **content, "gates": gates, "cells": rows}


def _check(out: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    if before is None:
        if (out / "design.json").exists():
            raise UsageError(f"{out} is a folder of `bamgate run`, not of a study; choose another --out")
        refuse_foreign_tables(out, "study.json")
        return
    if before["study_sha256"] != now["study_sha256"]:
        parts = [{k: v for k, v in content["study"].items() if k not in _MAY_CHANGE} for content in (before, now)]
        difference = first_difference(parts[0], parts[1])
        raise UsageError(f"{out} belongs to another study: {difference}; choose another --out")
    seeds = [content["study"]["seeds"] for content in (before, now)]
    if set(parse_seeds(seeds[0])) - set(parse_seeds(seeds[1])):
        raise UsageError(
            f"{out} has the seeds {seeds[0]}, the study now says {seeds[1]}: seeds may be added, not taken away"
        )
    for name, mark in now["gates"].items():
        if before["gates"].get(name, mark) != mark:
            raise UsageError(
                f"gate {name!r} is not the function it was when {out} was begun; "
                "give it another name or choose another --out"
            )
