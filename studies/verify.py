"""Every file of a study held against its schema and its hashes."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bamgate.collect import collected
from bamgate.errors import BamgateError, UsageError
from bamgate.gates import fingerprint, load_gate
from bamgate.runlog import CELL_TABLES, CellLog, read_config, read_json
from bamgate.storage import is_held
from bamgate.studies.expand import study_sha256
from bamgate.studies.folder import added_seeds
from bamgate.studies.settings import parse_seeds
from bamgate.studies.study import from_plain
from bamgate.tables import OUTCOMES, read_rows
from bamgate.training.checkpoint import CURRENT, HASHES, PREVIOUS

Problems = Iterator[str]


def verify(out: Path, *, tables: bool = True) -> list[str]:
    """All that is wrong in the folder of a study, a line each; none where nothing is.

    Args:
        tables: whether the folder's tables are looked at too; they can be rebuilt from its cells.

    Raises:
        UsageError: `out` is no study's folder.
    """
    if not (out / "study.json").is_file():
        raise UsageError(f"{out} is no folder of a study: it has no study.json")
    found: list[str] = []
    content = _guarded(found, lambda: read_json(out / "study.json"))
    if content is None:
        return found
    found += _guarded(found, lambda: list(_study(out / "study.json", content))) or []
    known, gates = _guarded(found, lambda: ({row["cell"] for row in content["cells"]}, content["gates"])) or (None, {})
    if known is None:
        return found
    folders = sorted(path for path in (out / "cells").glob("*") if path.is_dir())
    for folder in folders:
        if folder.name not in known:
            found.append(f"{folder} is no cell of this study")
            continue
        found += verify_cell(folder, gates)
    if tables and not any(is_held(folder) for folder in folders):
        found += _guarded(found, lambda: list(_tables(out))) or []
    return list(dict.fromkeys(found))


def _guarded(found: list[str], check: Callable[[], Any]) -> Any:
    """What `check` returns; None, and a line in `found`, where it cannot be done."""
    try:
        return check()
    except BamgateError as error:
        found.append(str(error))
    except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
        found.append(f"a file is not as it was written: {type(error).__name__} {error}")
    return None


def _study(path: Path, content: dict[str, Any]) -> Problems:
    study = from_plain(content["study"])
    if content["study_sha256"] != study_sha256(study) or content["name"] != study.name:
        yield f"{path}: study_sha256 is not that of the study in it"
    seeds = parse_seeds(study.seeds)
    if list(dict.fromkeys(row["seed"] for row in content["cells"])) != seeds or set(added_seeds(content)) - set(seeds):
        yield f"{path}: the cells, or the seeds that were added, are not those of the seeds {study.seeds}"
    for name, mark in content["gates"].items():
        if (":" not in name or name.startswith("expr:")) and fingerprint(load_gate(name)) != mark:
            yield f"{path}: gate {name!r} is another function in this bamgate"


def verify_cell(folder: Path, gates: dict[str, str]) -> list[str]:
    """What is wrong in one cell; each file is looked at, whatever is wrong with another.

    Args:
        gates: name -> fingerprint, of the study.
    """
    log = CellLog(folder, folder.name)
    found: list[str] = []
    result = _guarded(found, log.result)
    checks: list[Callable[[], Problems]] = [
        lambda: _config(folder, gates, ended=result is not None),
        lambda: _environment(folder, ended=result is not None),
        lambda: _rows(log, result),
        lambda: _checkpoints(folder, result),
    ]
    if result is not None:
        checks.append(lambda: _outcomes(folder, result))
    for check in checks:
        before = len(found)
        found += _guarded(found, lambda check=check: list(check())) or []  # type: ignore[misc]
        found[before:] = [text if str(folder) in text else f"{folder}: {text}" for text in found[before:]]
    return found


def _config(folder: Path, gates: dict[str, str], *, ended: bool) -> Problems:
    path = folder / "config.json"
    stored = read_config(folder)
    if stored is None:
        if ended:
            yield f"{path} is missing"
        return
    gate = stored["gate"]
    if gate["fingerprint"] != gates.get(gate["name"]) or gate["name"] != stored["config"]["attention"]["gate"]:
        yield f"{path}: gate {gate['name']!r} is not the study's"


def _environment(folder: Path, *, ended: bool) -> Problems:
    path = folder / "environment.json"
    stored = read_json(path)
    if stored is None:
        if ended:
            yield f"{path} is missing"
        return
    missing = [name for name in ("env_id", "torch", "device", "device_name", "threads") if name not in stored]
    if missing:
        yield f"{path}: no {missing[0]}"


def _rows(log: CellLog, result: dict[str, Any] | None) -> Problems:
    for number, attempt in enumerate(log.attempts(), start=1):
        if attempt["attempt"] != number:
            yield f"{log.folder / 'attempts.csv'}, line {number + 1}: attempt {attempt['attempt']} instead of {number}"
    if result is not None and not log.attempts():
        yield f"{log.folder / 'attempts.csv'} is missing"
    for table in CELL_TABLES:
        path, rows = log.folder / table, log.rows(table)
        if any(row["cell"] != log.cell for row in rows):
            yield f"{path} has rows of another cell"
        if result is None:
            continue
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            yield f"{path} is cut off in its last line"
        epochs = [row["epoch"] for row in rows]
        wanted = list(range(1, result["epochs"] + 1))
        if table == "epochs.csv" and epochs != wanted:
            yield f"{path} has the epochs {epochs}, the run has {result['epochs']}"
        if table == "gates.csv" and rows and list(dict.fromkeys(epochs)) != [0, *wanted]:
            yield f"{path} does not have each epoch from 0 to {result['epochs']}"


def _checkpoints(folder: Path, result: dict[str, Any] | None) -> Problems:
    listed = (folder / HASHES).read_text(errors="replace").split() if (folder / HASHES).exists() else []
    for name in (CURRENT, PREVIOUS):
        path = folder / name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() not in listed:
            yield f"{path} is damaged: its sha256 is not in {HASHES}"
    if result is None:
        return
    if not (folder / CURRENT).exists():
        yield f"{folder / CURRENT} is missing"
    if listed != [result["checkpoint_sha256"]]:
        yield f"{folder / HASHES} is not what result.json says"


def _outcomes(folder: Path, result: dict[str, Any]) -> Problems:
    if result["status"] not in ("finished", "diverged") or result["cell"] != folder.name:
        yield f"{folder / 'result.json'} is not this cell's"
    path = folder / "outcomes.csv.gz"
    rows = read_rows(OUTCOMES, path)
    if (len(rows), sum(row["correct"] for row in rows)) != (result["total"], result["correct"]):
        yield f"{path} does not have the {result['correct']} correct of {result['total']} that result.json says"


def _tables(out: Path) -> Problems:
    """What stands in the folder's tables is what the cells say."""
    _, texts = collected(out)
    for name, text in texts.items():
        path = out / name
        if path.exists() and path.read_bytes() != text.encode():
            yield f"{path} is not what the cells say; `bamgate study run` rebuilds it"
