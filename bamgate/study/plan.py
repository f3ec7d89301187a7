"""What a study would be: its cells, which of them are missing, and how long they would take here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bamgate.config.settings import parse_seeds
from bamgate.devices import resolve_device
from bamgate.engines import Execution
from bamgate.record.sealed import read_json
from bamgate.study.estimate import estimate
from bamgate.study.folder import check_study
from bamgate.study.runner import cells_of, located
from bamgate.study.study import Study, contexts


def plan(
    study: Study | str | Path,
    out: Path | None = None,
    *,
    device: str = "cpu",
    data_root: Path | None = None,
    measured: bool = True,
    allow_code: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """What `bamgate study plan` says; nothing is written.

    Args:
        measured: whether each kind of cell is trained for a few steps, to say how long all would take.
        tell: told what is measured.
    """
    found, folder = located(study, out)
    resolve_device(device)
    cells = cells_of(study, found, folder, data_root, allow_code=allow_code)
    check_study(folder, found, cells)
    unique = {cell.config.cell: cell for cell in cells}
    missing = [c for c in unique.values() if read_json(folder / "cells" / c.config.cell / "result.json") is None]
    facts = {
        "study": found.name,
        **{text: getattr(found, text) for text in ("question", "cost", "expected", "reference")},
        "out": str(folder),
        "arms": list(found.arms),
        "contexts": [context for context in contexts(found) if context],
        "seeds": parse_seeds(found.seeds),
        "cells": len(unique),
        "missing": [{"cell": cell.config.cell, "name": cell.name} for cell in missing],
        "device": device,
    }
    if measured:
        kinds = estimate(missing, Execution(device=device, data_root=data_root), tell)
        facts |= {"kinds": [kind.to_dict() for kind in kinds], "hours": sum(kind.hours for kind in kinds)}
    return facts
