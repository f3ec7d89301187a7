"""The CSV files of a run: how a value is written, and readers that name what they refuse.

Every row starts with the version of its table (`bamgate.record.columns`). A last line without its newline was never
written.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bamgate.errors import DataError
from bamgate.record.columns import ATTEMPTS as ATTEMPTS
from bamgate.record.columns import EPOCHS as EPOCHS
from bamgate.record.columns import GATE_CURVES as GATE_CURVES
from bamgate.record.columns import GATES as GATES
from bamgate.record.columns import OUTCOMES as OUTCOMES
from bamgate.record.columns import RUNS as RUNS
from bamgate.record.columns import TIMES as TIMES
from bamgate.record.columns import Table
from bamgate.record.fields import SCALE_EDGES as SCALE_EDGES
from bamgate.record.fields import Columns as Columns
from bamgate.record.fields import regular, value
from bamgate.record.metric import COLUMNS as METRIC_COLUMNS
from bamgate.record.metric import metric_fault
from bamgate.record.storage import require_file

PLACES = " | "  # between the arms, and the contexts, of a cell that stands in several
# Written so that no value is taken for two, nor a line end changed on its way.
_OF_ARMS = {"\\": r"\\", "|": r"\|", "\n": r"\n", "\r": r"\r"}
_OF_CONTEXTS = _OF_ARMS | {";": r"\;"}
_PLAIN = {escaped: character for character, escaped in _OF_CONTEXTS.items()}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def context_text(context: Mapping[str, Any]) -> str:
    """The values of a study's axes as they stand in runs.csv: "model=resnet20; reduction=16"."""
    return "; ".join(f"{name}={_escaped(str(value), _OF_CONTEXTS)}" for name, value in context.items())


def context_values(text: str) -> dict[str, str]:
    """The values, as texts, that `context_text` was given."""
    parts = (part.partition("=") for part in split(text, "; ") if part)
    return {name: _plain(value) for name, _, value in parts}


def arms_text(arms: Iterable[str]) -> str:
    """The arms in which a cell stands, as in runs.csv."""
    return PLACES.join(_escaped(arm, _OF_ARMS) for arm in arms)


def places_in(arms: str, contexts: str | None) -> list[tuple[str, str]]:
    """Arm and context of each place of a cell, from what runs.csv says; contexts as `context_text` writes them."""
    names = [_plain(arm) for arm in split(arms)]
    return list(zip(names, split(contexts) if contexts else [""] * len(names), strict=True))


def _escaped(text: str, special: Mapping[str, str]) -> str:
    return "".join(special.get(character, character) for character in text)


def _plain(text: str) -> str:
    return re.sub(r"\\[\\|;nr]", lambda found: _PLAIN[found[0]], text)


def split(text: str, separator: str = PLACES) -> list[str]:
    """The parts between the separators; what follows a backslash is none."""
    parts = [""]
    for piece in re.findall(rf"(?s)\\.|{re.escape(separator)}|.", text):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def format_rows(columns: Columns, rows: Iterable[Mapping[str, Any]], *, header: bool) -> str:
    """CSV text; missing values are empty, floats keep every digit."""
    version = Table.of(columns).version
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    careful = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    if header:
        writer.writerow(columns)
    for row in rows:
        unknown = row.keys() - columns.keys()
        assert not unknown, f"no such column: {sorted(unknown)}"
        found = map({**row, "schema": version}.get, columns)
        values = [defused(value) if isinstance(value, str) else value for value in found]
        # Python's writer leaves a lone carriage return without the quotation marks that its reader wants.
        unsafe = any(isinstance(value, str) and "\r" in value for value in values)
        (careful if unsafe else writer).writerow(values)
    return text.getvalue()


def defused(text: str) -> str:
    """The text for a CSV file: a spreadsheet would run one that starts like a formula."""
    return "'" + text if text.lstrip("'").startswith(_FORMULA_STARTS) else text


def plain_text(text: str) -> str:
    """What `defused` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA_STARTS) else text


def parse_rows(columns: Columns, text: str, path: Path) -> list[dict[str, Any]]:
    """Typed rows of a CSV text of any version; an empty cell is None, and so is an optional column that is missing.

    An unfinished last line is left out. Raises DataError that names file, line and column of what is wrong.
    """
    whole = text[: text.rfind("\n") + 1]
    lines = csv.reader(io.StringIO(whole), strict=True)
    rows: list[dict[str, Any]] = []
    missing: dict[str, Any] = dict.fromkeys(columns)
    present = columns_in(columns, whole)
    last = 0
    try:
        for fields in lines:
            if last == 0:
                if fields != list(present):
                    _refuse_newer_rows(present, lines, path)
                _check_header(present, fields, path)
            else:
                rows.append(missing | _parse_row(present, fields, path, lines.line_num))
            last = lines.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {last + 1}: {error}; is a quotation mark left open?") from None
    return rows


def checked_lines(columns: Columns, text: str, path: Path) -> str:
    """The rows of a CSV text as they stand in it, without header and unfinished last line.

    Ten times as fast as `parse_rows`, and raises the same DataError. Optional columns that are missing are filled up.
    """
    whole = text[: text.rfind("\n") + 1]
    present = columns_in(columns, whole)
    if present.keys() != columns.keys():
        return format_rows(columns, parse_rows(columns, text, path), header=False)
    if not is_regular(columns, whole):
        parse_rows(columns, text, path)
    return whole.partition("\n")[2]


def columns_in(columns: Columns, text: str) -> Table:
    """Those of the columns that a CSV text may be read with: without the optional ones that its header lacks."""
    return Table.of(columns).having(text.partition("\n")[0].split(","))


def is_regular(columns: Columns, text: str) -> bool:
    """Whether a CSV text is certainly one that `parse_rows` takes; where not, `parse_rows` knows what is wrong."""
    # Rows that name their metrics are looked at one by one: what stands in one column depends on the others.
    return not _names_metrics(columns) and regular(columns, text, Table.of(columns).newest)


def _names_metrics(columns: Columns) -> bool:
    """Whether the rows are runs that name their metric; the task of a row of the benchmark is something else."""
    return "cell" in columns and not columns.keys().isdisjoint(METRIC_COLUMNS)


def _refuse_newer_rows(columns: Table, rows: Iterator[list[str]], path: Path) -> None:
    """A newer version may have other columns: what it is says more than that they are not ours."""
    first = next(rows, [])
    if first and first[0].isdecimal():
        _check_version(columns, int(first[0]), path, 2)


def _check_version(columns: Table, version: int | None, path: Path, line: int) -> None:
    newest = columns.newest
    if version is not None and version > newest:
        table = path.name.partition(".")[0]
        raise DataError(
            f"{path}, line {line}: written by a newer bamgate; table {table} version {version}, "
            f"this one reads up to {newest}"
        )
    if not version:
        reads = f"version {newest}" if newest == 1 else f"versions 1 to {newest}"
        raise DataError(f"{path}, line {line}: schema version {version}, this bamgate reads {reads}")


def _check_header(columns: Columns, header: list[str], path: Path) -> None:
    if header and header[0].startswith("\ufeff"):
        raise DataError(f"{path} starts with a byte order mark, as spreadsheets write; take bamgate's own file")
    if len(header) == 1 and ";" in header[0]:
        raise DataError(f"{path}, line 1: semicolons instead of commas, as spreadsheets write; take bamgate's own file")
    if header != list(columns):
        missing = [name for name in columns if name not in header]
        problem = f"no column {missing[0]!r}" if missing else f"columns {', '.join(header)}"
        raise DataError(f"{path}, line 1: {problem}; expected {', '.join(columns)}")


def _parse_row(columns: Table, fields: Sequence[str], path: Path, line: int) -> dict[str, Any]:
    if not fields:
        raise DataError(f"{path}, line {line} is empty")
    if len(fields) != len(columns):
        raise DataError(f"{path}, line {line}: {len(fields)} fields instead of {len(columns)}")
    row: dict[str, Any] = {}
    for (name, kind), text in zip(columns.items(), fields, strict=True):
        try:
            found = value(name, kind, text)
        except ValueError as error:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise DataError(f"{path}, line {line}, column {name!r}: {shown!r} {error}") from None
        row[name] = plain_text(found) if isinstance(found, str) else found
    _check_version(columns, row["schema"], path, line)
    if _names_metrics(columns) and (fault := metric_fault(row)):
        raise DataError(f"{path}, line {line}, column {fault[0]!r}: {fault[1]}")
    return row


def read_rows(columns: Columns, path: Path) -> list[dict[str, Any]]:
    """`parse_rows` of a file; DataError where it is missing or no text."""
    return parse_rows(columns, read_text(path), path)


def read_text(path: Path) -> str:
    """The text of a file, unpacked if its name ends in .gz; DataError if it is missing, damaged or not a text."""
    require_file(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return decoded(data, path)


def decoded(data: bytes, path: Path) -> str:
    """What `read_text` makes of the bytes of a file."""
    try:
        unpacked = gzip.decompress(data) if path.suffix == ".gz" else data
        return io.TextIOWrapper(io.BytesIO(unpacked), encoding="utf-8").read()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a UTF-8 text (byte {error.start})") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from None
