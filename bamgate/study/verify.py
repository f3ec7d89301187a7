"""Every file of a study, or of a folder of runs, held against its schema, its hash, and what other files say."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bamgate.config.gate_names import is_code
from bamgate.config.settings import parse_seeds
from bamgate.engines.checkpoint import CURRENT, HASHES, PREVIOUS
from bamgate.errors import BamgateError, UsageError, one_line
from bamgate.gates import has_fingerprint, named_gate
from bamgate.record.collect import REBUILD, collected, disagreements
from bamgate.record.ended import RESULT, EndedCell, gate_mark, read_config, same_gate
from bamgate.record.metric import FIRST_TASK
from bamgate.record.runlog import CELL_TABLES, CellLog
from bamgate.record.sealed import is_sealed, read_json
from bamgate.record.storage import is_held
from bamgate.record.study_file import read_shape
from bamgate.record.tables import ATTEMPTS
from bamgate.study.expand import study_sha256
from bamgate.study.folder import added_seeds
from bamgate.study.study import from_plain
from bamgate.tasks import TASKS

Problems = Iterator[str]


def verify(out: Path, *, tables: bool = True) -> list[str]:
    """All that is wrong in the folder of a study or of runs, a line each; an empty list if nothing is.

    Args:
        tables: whether the folder's tables are looked at too; they can be rebuilt from its cells.

    Raises:
        UsageError: `out` is not such a folder.
    """
    found: list[str] = []
    if os.path.lexists(out / "study.json"):
        content = _guarded(found, lambda: read_shape(out))
        if content is None:
            return found
        found += _guarded(found, lambda: list(_study(out / "study.json", content))) or []
        plan = _guarded(found, lambda: ({row["cell"] for row in content["cells"]}, dict(content["gates"])))
        if plan is None:
            return found
        known, gates = plan
    elif (out / "design.json").is_file():
        _guarded(found, lambda: read_json(out / "design.json"))
        known, gates = None, {}
    else:
        raise UsageError(f"{out} is not a folder of a study or of runs: it has no study.json and no design.json")
    folders = sorted(path for path in (out / "cells").glob("*") if path.is_dir())
    for folder in folders:
        if known is not None and folder.name not in known:
            found.append(f"{folder} is not a cell of this study")
            continue
        found += verify_cell(folder, gates)
    if tables and not any(is_held(folder) for folder in folders):
        found += _guarded(found, lambda: list(_tables(out))) or []
    return list(dict.fromkeys(found))


def without_hashes(out: Path) -> list[str]:
    """What has no hash to be held against, a name each: a bamgate from before there were any wrote it."""
    names = [name for name in ("study.json", "design.json") if not is_sealed(read_json(out / name) or {"schema": 2})]
    cells = [EndedCell.at(path) for path in sorted((out / "cells").glob("*")) if path.is_dir()]
    return names + [f"cell {cell.folder.name}" for cell in cells if cell and not cell.has_hashes]


def _guarded(found: list[str], check: Callable[[], Any]) -> Any:
    """What `check` returns; None, and a line in `found`, if it cannot be done."""
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
        if not is_code(name) and not has_fingerprint(named_gate(name), mark):
            yield f"{path}: gate {name!r} is another function in this bamgate"


def verify_cell(folder: Path, gates: dict[str, str]) -> list[str]:
    """What is wrong in one cell; each file is looked at, whatever is wrong with another.

    Args:
        gates: name -> mark (`bamgate.record.ended.gate_mark`) of the study; empty for a folder of runs.
    """
    log = CellLog(folder, folder.name)
    found: list[str] = []
    ended = _guarded(found, log.ended)
    checks: list[Callable[[], Problems]] = [lambda: _identity(folder, gates), lambda: _checkpoints(folder)]
    if ended is None:
        checks.append(lambda: _unfinished(log))
    else:
        checks += [lambda name=name: _whole(ended, name) for name in ended.files]  # type: ignore[misc]
        checks += [lambda: _environment(ended), lambda: _rows(ended), lambda: _outcomes(ended), lambda: _last(ended)]
    for check in checks:
        before = len(found)
        found += _guarded(found, lambda check=check: list(check())) or []  # type: ignore[misc]
        found[before:] = [text if str(folder) in text else f"{folder}: {text}" for text in found[before:]]
    return list(dict.fromkeys(found))


def _whole(ended: EndedCell, name: str) -> Problems:
    ended.read(name)
    yield from ()


def _identity(folder: Path, gates: dict[str, str]) -> Problems:
    stored = read_config(folder)
    if stored is None:
        return
    gate = stored["gate"]
    named_so = gate["name"] == stored["config"]["attention"]["gate"]
    if not named_so or not same_gate(gates.get(gate["name"], "" if gates else gate_mark(gate)), gate_mark(gate)):
        yield f"{folder / 'config.json'}: gate {gate['name']!r} is not the study's"


def _environment(ended: EndedCell) -> Problems:
    ended.identity()
    ended.environment()
    yield from ()


def _unfinished(log: CellLog) -> Problems:
    """The tables of a cell that goes on can be read, and are its own."""
    yield from _attempts(log.folder, log.attempts())
    for table in CELL_TABLES:
        if any(row["cell"] != log.cell for row in log.rows(table)):
            yield f"{log.folder / table} has rows of another cell"


def _attempts(folder: Path, attempts: list[dict[str, Any]]) -> Problems:
    for number, attempt in enumerate(attempts, start=1):
        if attempt["attempt"] != number:
            yield f"{folder / 'attempts.csv'}, line {number + 1}: attempt {attempt['attempt']} instead of {number}"


def _rows(ended: EndedCell) -> Problems:
    yield from _attempts(ended.folder, ended.rows(ATTEMPTS, "attempts.csv"))
    for table, columns in CELL_TABLES.items():
        path = ended.folder / table
        ended.lines(columns, table)
        rows = ended.rows(columns, table) if ended.has(table) else []
        if any(row["cell"] != ended.folder.name for row in rows):
            yield f"{path} has rows of another cell"
        epochs = [row["epoch"] for row in rows]
        wanted = list(range(1, ended.result["epochs"] + 1))
        if table == "epochs.csv" and epochs != wanted:
            yield f"{path} has the epochs {epochs}, the run has {ended.result['epochs']}"
        if table == "gates.csv" and rows and list(dict.fromkeys(epochs)) != [0, *wanted]:
            yield f"{path} does not have each epoch from 0 to {ended.result['epochs']}"


def _checkpoints(folder: Path) -> Problems:
    listed = (folder / HASHES).read_text(errors="replace").split() if (folder / HASHES).exists() else []
    for name in (CURRENT, PREVIOUS):
        path = folder / name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() not in listed:
            yield f"{path} is damaged: its sha256 is not in {HASHES}"


def _last(ended: EndedCell) -> Problems:
    """The one checkpoint that a cell keeps is the one that its result was computed with."""
    ended.read(CURRENT)
    if ended.read(HASHES).decode(errors="replace").split() != [ended.result["checkpoint_sha256"]]:
        yield f"{ended.folder / HASHES} is not what result.json says"


def _outcomes(ended: EndedCell) -> Problems:
    """What is judged by is what the outcomes lead to. Of a task that is not installed here, their hash must do."""
    name = ended.result.get("task", FIRST_TASK)
    if name not in TASKS:
        return
    task = TASKS.get(name)
    if task.metric != ended.metric:
        yield f"{ended.folder / RESULT}: the metric is {ended.metric}; task {name!r} is judged by {task.metric} here"
        return
    rows = ended.rows(task.outcomes, "outcomes.csv.gz")
    try:
        score = task.score(rows)
    except ValueError as error:
        yield f"{ended.folder / 'outcomes.csv.gz'}, {error}"
        return
    except Exception as error:  # it is somebody else's code
        yield f"{ended.folder / 'outcomes.csv.gz'}: task {name!r} cannot read it: {one_line(error)}"
        return
    if score is not None and task.metric.is_count:
        ended.require_outcomes(len(rows), int(score))
    elif score is not None:
        ended.require_score(score)


def _tables(out: Path) -> Problems:
    """What stands in the folder's tables is what the cells say."""
    _, texts = collected(out)
    named = list(disagreements(out, texts))
    yield from named
    for name, text in texts.items():
        path = out / name
        if path.exists() and path.read_bytes() != text.encode() and not any(str(path) in line for line in named):
            yield f"{path} lacks cells that have ended; {REBUILD}"
