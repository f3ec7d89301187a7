"""study.json read back: what a study declares, its cells and its gates, as they were declared."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bamgate.errors import DataError
from bamgate.record.sealed import read_json

NAME = "study.json"
MAY_CHANGE = ("seeds", "question", "cost", "expected")  # without becoming another study
_SHAPES: dict[str, type] = {"name": str, "study_sha256": str, "study": dict, "gates": dict, "cells": list}
_OF_CELL: dict[str, type] = {"cell": str, "arm": str, "context": dict, "seed": int, "epochs": int}


def study_digest(study: dict[str, Any]) -> str:
    """Hash of all that decides which cells there are and how they are judged, without the seeds: those may be added to.

    Args:
        study: in plain types, as study.json holds it.
    """
    plain = {name: value for name, value in study.items() if name not in MAY_CHANGE}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_declared(out: Path) -> dict[str, Any] | None:
    """study.json of a folder; None if there is none.

    Raises:
        DataError: see `read_shape`; or the study in it is not the one that was declared.
    """
    content = read_shape(out)
    if content is not None and content["study_sha256"] != study_digest(content["study"]):
        raise DataError(f"{out / NAME}: study_sha256 is not that of the study in it")
    return content


def read_shape(out: Path) -> dict[str, Any] | None:
    """study.json for those who take cells and their places from it; DataError if it is damaged or lacks something."""
    path = out / NAME
    content = read_json(path)
    if content is None:
        return None
    wrong = _misshapen(content, _SHAPES) or next(
        (f"cells[{number}]" for number, row in enumerate(content["cells"]) if _is_wrong_cell(row)), None
    )
    if wrong is not None:
        raise DataError(f"{path}: {wrong} is missing, or is not as bamgate wrote it; put it right")
    return content


def _misshapen(content: dict[str, Any], shapes: dict[str, type]) -> str | None:
    return next((name for name, kind in shapes.items() if type(content.get(name)) is not kind), None)


def _is_wrong_cell(row: object) -> bool:
    """Whether a row of the cells is not one; its name becomes a folder's."""
    return not isinstance(row, dict) or bool(_misshapen(row, _OF_CELL)) or Path(row["cell"]).name != row["cell"]
