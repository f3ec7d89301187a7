"""The CSV files of a run: their columns, how a value is written, and readers that name what they refuse.

Every row starts with the schema version. A last line without its newline was never written.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bamgate.errors import DataError

SCHEMA = 1

Columns = Mapping[str, type]
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

EPOCHS: Columns = {
    "schema": int,
    "cell": str,
    "epoch": int,
    "lr": float,
    "train_loss": float,
    "train_correct": int,
    "train_total": int,
    "test_loss": float,
    "test_correct": int,
    "test_top5_correct": int,
    "test_total": int,
    "images_per_s": float,
    "wall_s": float,
}
GATES: Columns = {
    "schema": int,
    "cell": str,
    "epoch": int,
    "site": str,
    "channels": int,
    "height": int,
    "width": int,
    "values": int,
    "mean": float,
    "sd": float,
    "min": float,
    "q01": float,
    "q05": float,
    "q25": float,
    "q50": float,
    "q75": float,
    "q95": float,
    "q99": float,
    "max": float,
    "attenuated": int,
    "relatively_attenuated": int,
    "saturated": int,
    "mean_slope": float,
    "logit_mean": float,
    "logit_sd": float,
    "channel_sd": float,
    "spatial_sd": float,
    "on_object": float,
    "off_object": float,
    "gradient_attention": float,
    "gradient_trunk": float,
    "learned": str,
}
ATTEMPTS: Columns = {"schema": int, "attempt": int, "began": str, "epoch": int}
OUTCOMES: Columns = {"schema": int, "index": int, "label": int, "predicted": int, "correct": int}
RUNS: Columns = {
    "schema": int,
    "study": str,
    "cell": str,
    "dataset": str,
    "model": str,
    "attention": str,
    "gate": str,
    "seed": int,
    "attempt": int,
    "status": str,
    "epochs": int,
    "correct": int,
    "total": int,
    "top5_correct": int,
    "test_loss": float,
    "params": int,
    "macs": int,
    "images_per_s": float,
    "wall_s": float,
    "device": str,
    "device_name": str,
    "threads": int,
    "torch": str,
    "precision": str,
    "compile": str,
    "executor": str,
    "config_sha256": str,
    "design_sha256": str,
    "gate_fingerprint": str,
    "gate_source_sha256": str,
    "git_commit": str,
    "env_id": str,
}
TIMES = ("images_per_s", "wall_s")  # columns that differ between two runs of the same thing


def format_rows(columns: Columns, rows: Iterable[Mapping[str, Any]], *, header: bool) -> str:
    """CSV text; missing values are empty, floats keep every digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    for row in rows:
        unknown = row.keys() - columns.keys()
        assert not unknown, f"no such column: {sorted(unknown)}"
        writer.writerow([_format(SCHEMA if name == "schema" else row.get(name)) for name in columns])
    return text.getvalue()


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    text = str(value)
    # A spreadsheet runs a text that starts like a formula.
    return "'" + text if isinstance(value, str) and text.lstrip("'").startswith(_FORMULA_STARTS) else text


def _plain(text: str) -> str:
    """What `_format` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA_STARTS) else text


def parse_rows(columns: Columns, text: str, path: Path) -> list[dict[str, Any]]:
    """Typed rows of a CSV text; an empty cell is None, an unfinished last line is left out.

    Raises DataError that names file, line and column of what is wrong.
    """
    whole = text[: text.rfind("\n") + 1]
    lines = csv.reader(io.StringIO(whole))
    rows: list[dict[str, Any]] = []
    last = 0
    try:
        for fields in lines:
            if last == 0:
                _check_header(columns, fields, path)
            else:
                rows.append(_parse_row(columns, fields, path, lines.line_num))
            last = lines.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {last + 1}: {error}; is a quotation mark left open?") from None
    return rows


def _check_header(columns: Columns, header: list[str], path: Path) -> None:
    if header != list(columns):
        missing = [name for name in columns if name not in header]
        problem = f"no column {missing[0]!r}" if missing else f"columns {', '.join(header)}"
        raise DataError(f"{path}, line 1: {problem}; expected {', '.join(columns)}")


def _parse_row(columns: Columns, fields: Sequence[str], path: Path, line: int) -> dict[str, Any]:
    if len(fields) != len(columns):
        raise DataError(f"{path}, line {line}: {len(fields)} fields instead of {len(columns)}")
    row: dict[str, Any] = {}
    for (name, kind), text in zip(columns.items(), fields, strict=True):
        try:
            row[name] = None if text == "" else kind(_plain(text) if kind is str else text)
        except ValueError:
            raise DataError(f"{path}, line {line}, column {name!r}: {text!r} is no {kind.__name__}") from None
    if row["schema"] != SCHEMA:
        raise DataError(f"{path}, line {line}: schema version {row['schema']}, this bamgate reads version {SCHEMA}")
    return row


def read_rows(columns: Columns, path: Path) -> list[dict[str, Any]]:
    """`parse_rows` of a file; DataError where it is missing or no text."""
    try:
        return parse_rows(columns, path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text (byte {error.start})") from None
