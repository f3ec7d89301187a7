"""runs.csv, epochs.csv and gates.csv of a folder of cells: rebuilt from the cells, the same bytes in any order."""

from pathlib import Path
from typing import Any

from bamgate.runlog import CELL_TABLES, PATIENCE_S, CellLog, read_json
from bamgate.storage import sole_writer, write_atomic
from bamgate.tables import RUNS, format_rows


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
    study = (read_json(out / "study.json") or {}).get("name")
    folders = sorted((out / "cells").iterdir()) if (out / "cells").is_dir() else []
    cells = [cell for cell in (_read_cell(folder, study) for folder in folders) if cell]
    cells.sort(
        key=lambda cell: (cell[0]["dataset"], cell[0]["model"], cell[0]["gate"], cell[0]["seed"], cell[0]["cell"])
    )
    runs = [row for row, _ in cells]
    texts = {"runs.csv": format_rows(RUNS, runs, header=True)}
    for table, columns in CELL_TABLES.items():
        texts[table] = format_rows(columns, [row for _, log in cells for row in log.rows(table)], header=True)
    return runs, texts


def _read_cell(folder: Path, study: str | None) -> tuple[dict[str, Any], CellLog] | None:
    """The cell's row of runs.csv and its log; None where it has not finished."""
    log = CellLog(folder, folder.name)
    result, stored = log.result(), read_json(folder / "config.json")
    environment = read_json(folder / "environment.json")
    if result is None or stored is None or environment is None:
        return None
    beside = {"study": study, "attempt": len(log.attempts()) or None}
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
