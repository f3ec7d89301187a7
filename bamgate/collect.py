"""runs.csv, epochs.csv and gates.csv of a folder of cells: rebuilt from the cells, the same bytes in any order."""

from pathlib import Path
from typing import Any

from bamgate.errors import DataError
from bamgate.runlog import CELL_TABLES, PATIENCE_S, CellLog, read_config, read_json
from bamgate.storage import sole_writer, write_atomic
from bamgate.tables import PLACES, RUNS, Columns, checked_lines, context_text, format_rows, read_text


def collect(out: Path) -> list[dict[str, Any]]:
    """Write the three tables of `out` and return the rows of runs.csv, sorted by gate and seed."""
    with sole_writer(out, patience_s=PATIENCE_S):
        return _collect(out)


def _collect(out: Path) -> list[dict[str, Any]]:
    runs, texts = collected(out)
    for name, text in texts.items():
        write_atomic(out / name, text.encode())
    return runs


def collected(out: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows of runs.csv, and what the three tables hold; nothing is written."""
    study = read_json(out / "study.json") or {}
    places = _places(study)
    folders = sorted((out / "cells").iterdir()) if (out / "cells").is_dir() else []
    cells = [cell for cell in (_read_cell(folder, study.get("name"), places) for folder in folders) if cell]
    cells.sort(
        key=lambda cell: (cell[0]["dataset"], cell[0]["model"], cell[0]["gate"], cell[0]["seed"], cell[0]["cell"])
    )
    runs = [row for row, _ in cells]
    texts = {"runs.csv": format_rows(RUNS, runs, header=True)}
    for table, columns in CELL_TABLES.items():
        head = format_rows(columns, [], header=True)
        texts[table] = head + "".join(_lines(log.folder / table, columns, row["epochs"]) for row, log in cells)
    return runs, texts


def _lines(path: Path, columns: Columns, epochs: int) -> str:
    """The rows of an ended cell's table, checked; read as text, since a study has millions of their values."""
    if not path.exists() and (path.name != "epochs.csv" or not epochs):
        return ""
    text = read_text(path)
    lines = checked_lines(columns, text, path)
    way_out = f"put it right, or move {path.parent} away and it is trained again"
    if not text.endswith("\n"):
        raise DataError(f"{path} is cut off in its last line; {way_out}")
    if path.name == "epochs.csv" and lines.count("\n") != epochs:
        raise DataError(f"{path} has {lines.count(chr(10))} rows, the run has {epochs} epochs; {way_out}")
    return lines


def _places(study: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Cell -> arm and context, more than one where contexts share the cell; from study.json."""
    places: dict[str, list[tuple[str, str]]] = {}
    for row in study.get("cells", []):
        places.setdefault(row["cell"], []).append((row["arm"], context_text(row["context"])))
    return places


def _read_cell(
    folder: Path, study: str | None, places: dict[str, list[tuple[str, str]]]
) -> tuple[dict[str, Any], CellLog] | None:
    """The cell's row of runs.csv and its log; None where it has not finished."""
    log = CellLog(folder, folder.name)
    result, stored = log.result(), read_config(folder)
    environment = read_json(folder / "environment.json")
    if result is None or stored is None or environment is None:
        return None
    arms, contexts = zip(*places.get(folder.name, [(stored["config"]["attention"]["gate"], "")]), strict=True)
    beside: dict[str, Any] = {
        "study": study,
        "arm": PLACES.join(arms),
        "context": PLACES.join(contexts) if any(contexts) else None,
    }
    beside["attempt"] = len(log.attempts()) or None
    return {**beside, **_run_row(result, stored, environment)}, log


def _run_row(result: dict[str, Any], stored: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    config = stored["config"]
    return {
        "cell": stored["cell"],
        "dataset": config["dataset"],
        "model": config["model"],
        "attention": config["attention"]["name"],
        "gate": config["attention"]["gate"],
        "seed": config["seed"],
        **{name: result[name] for name in RUNS if name in result and name not in ("schema", "cell")},
        **{name: environment[name] for name in ("device", "device_name", "threads", "torch", "git_commit", "env_id")},
        "precision": config["training"]["precision"],
        "compile": config["training"]["compile"],
        "executor": "single",
        "config_sha256": stored["config_sha256"],
        "design_sha256": stored["design_sha256"],
        "gate_fingerprint": stored["gate"]["fingerprint"],
        "gate_source_sha256": stored["gate"]["source_sha256"],
    }
