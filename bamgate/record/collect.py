"""The tables of a folder of cells: rebuilt from the cells, the same bytes in any order.

runs.csv, epochs.csv and gates.csv; and gate_curves.csv, if a cell has the curve of its gate.
"""

import csv
import io
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bamgate.errors import DataError, UsageError
from bamgate.record.columns import Table
from bamgate.record.ended import ENVIRONMENT, EndedCell
from bamgate.record.environment import FIRST_ENGINE
from bamgate.record.runlog import CELL_TABLES, CURVE, PATIENCE_S
from bamgate.record.storage import require_file, sole_writer, write_atomic
from bamgate.record.study_file import read_shape
from bamgate.record.tables import (
    ATTEMPTS,
    GATE_CURVES,
    PLACES,
    RUNS,
    arms_text,
    columns_in,
    context_text,
    format_rows,
    read_text,
)

CURVES = "gate_curves.csv"
TABLES: Mapping[str, Table] = {"runs.csv": RUNS, **CELL_TABLES, CURVES: GATE_CURVES}
REBUILD = "the command that trained the cells rebuilds it"


def collect(out: Path) -> list[dict[str, Any]]:
    """Write the tables of `out` and return the rows of runs.csv, sorted by gate and seed."""
    with sole_writer(out, patience_s=PATIENCE_S):
        return _collect(out)


def _collect(out: Path) -> list[dict[str, Any]]:
    runs, texts = collected(out)
    for name, text in texts.items():
        write_atomic(out / name, text.encode())
    return runs


def collected(out: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows of runs.csv, and what each table holds, by name; nothing is written.

    Raises:
        DataError: a file of a cell is missing, damaged, or says something else than another file of the cell.
    """
    study = read_shape(out) or {}
    places = _places(study)
    cells = [(_row(cell, study.get("name"), places), cell) for cell in ended_cells(out)]
    cells.sort(
        key=lambda pair: (pair[0]["dataset"], pair[0]["model"], pair[0]["gate"], pair[0]["seed"], pair[0]["cell"])
    )
    runs = [row for row, _ in cells]
    known = RUNS.having(name for row in runs for name, value in row.items() if value is not None)
    texts = {"runs.csv": format_rows(known, [{name: row.get(name) for name in known} for row in runs], header=True)}
    for table, columns in CELL_TABLES.items():
        columns = _written(columns, [cell.folder / table for _, cell in cells])
        head = format_rows(columns, [], header=True)
        # As text, since a study has millions of their values.
        texts[table] = head + "".join(cell.lines(columns, table) for _, cell in cells)
    curves: dict[str, str] = {}
    for row, cell in cells:
        if not curves.get(row["gate"]):
            curves[row["gate"]] = cell.lines(GATE_CURVES, CURVE)
    if any(curves.values()):
        texts[CURVES] = format_rows(GATE_CURVES, [], header=True) + "".join(curves.values())
    return runs, texts


def _written(columns: Table, paths: list[Path]) -> Table:
    """The columns that a file has; without an optional one that all lack, so that old tables stay as they are."""
    names: set[str] = set()
    for path in paths:
        require_file(path)
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                names |= columns_in(columns, file.readline()).keys()
    return columns.having(names) if names else columns


def ended_cells(out: Path) -> Iterator[EndedCell]:
    """The cells of a folder that have ended, in the order of their names."""
    folders = sorted((out / "cells").iterdir()) if (out / "cells").is_dir() else []
    return (cell for cell in map(EndedCell.at, folders) if cell)


def tables_are_current(out: Path) -> bool:
    """Whether the tables of `out` have every cell that has ended.

    Raises:
        DataError: a table says something else of a cell than the cell itself, or a cell is damaged.
    """
    runs, texts = collected(out)
    if not runs:  # published tables need not come with their cells
        return True
    for line in disagreements(out, texts):
        raise DataError(line)
    return all((out / name).is_file() and read_text(out / name) == text for name, text in texts.items())


def require_one_listing(folders: Iterable[Path]) -> None:
    """UsageError if two cells of the folders were trained on other image files of the same data set."""
    known: dict[str, tuple[Path, str]] = {}
    for cell in itertools.chain.from_iterable(map(ended_cells, folders)):
        listing = cell.json("environment.json").get("listing_sha256")
        if listing is None:
            continue
        dataset = cell.identity()["config"]["dataset"]
        first, before = known.setdefault(dataset, (cell.folder, listing))
        if before != listing:
            raise UsageError(
                f"{first} and {cell.folder} were trained on other image files of {dataset}, "
                "and the two cannot be compared"
            )


def disagreements(out: Path, texts: dict[str, str]) -> Iterator[str]:
    """A line for each table in `out` that says something else of a cell than the cell itself does.

    A table may lack cells that have ended since it was written.

    Args:
        texts: what `collected` has just returned for `out`.
    """
    for name, text in texts.items():
        path = out / name
        if not path.is_file():
            continue
        stored = read_text(path)
        if stored == text:
            continue
        optional = {"schema", *TABLES[name].later}
        known = _by_cell(text, optional)
        found = _by_cell(stored, optional)
        for cell, lines in found.items():
            if lines != known.get(cell):
                why = "is not what the cell says" if cell in known else "is of no cell that has ended here"
                yield f"{path}: what stands there of {cell!r} {why}; {REBUILD}"
                break
        else:
            if list(known) == list(found):
                yield f"{path} is not as bamgate wrote it; {REBUILD}"


def _by_cell(text: str, optional: Collection[str]) -> dict[str, list[list[str]]]:
    """The rows of a table by cell, or by gate; what cannot be one, like the header, stands under its own text.

    Args:
        optional: columns that a row may lack, the version of the row among them: it is that of the newest column.
    """
    rows = list(csv.reader(io.StringIO(text)))
    head = rows[0] if rows else []
    column = next((head.index(name) for name in ("cell", "gate") if name in head), 0)
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        key = row[column] if column < len(row) else ",".join(row)
        # An optional column that is empty, or has only its head, is as good as none.
        said = [
            text
            for name, text in itertools.zip_longest(rows[0], row)
            if name not in optional or (name != "schema" and text not in ("", name))
        ]
        found.setdefault(key, []).append(said)
    return found


def _places(study: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Cell -> arm and context, more than one where contexts share the cell; from study.json."""
    places: dict[str, list[tuple[str, str]]] = {}
    for row in study.get("cells", []):
        places.setdefault(row["cell"], []).append((row["arm"], context_text(row["context"])))
    return places


def _row(cell: EndedCell, study: str | None, places: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """The cell's row of runs.csv."""
    stored, environment = cell.identity(), cell.environment()
    name = cell.folder.name
    arms, contexts = zip(*places.get(name, [(stored["config"]["attention"]["gate"], "")]), strict=True)
    beside: dict[str, Any] = {
        "study": study,
        "arm": arms_text(arms),
        "context": PLACES.join(contexts) if any(contexts) else None,
        "attempt": len(cell.rows(ATTEMPTS, "attempts.csv")) if cell.has("attempts.csv") else None,
    }
    return {**beside, **_run_row(cell.result, stored, environment)}


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
        **{name: environment[name] for name in ENVIRONMENT},
        "precision": config["training"]["precision"],
        "compile": config["training"]["compile"],
        "executor": environment.get("engine", FIRST_ENGINE),
        "config_sha256": stored["config_sha256"],
        "design_sha256": stored["design_sha256"],
        "gate_fingerprint": stored["gate"]["fingerprint"],
        "gate_source_sha256": stored["gate"]["source_sha256"],
    }
