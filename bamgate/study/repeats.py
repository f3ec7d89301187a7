"""One cell that has ended in two folders: where the results differ. Times, attempts and the machine may."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bamgate.record.tables import TIMES, read_text

Difference = tuple[str, str, str]  # where, what it is in the first and in the other
_ABOUT = (*TIMES, "schema")  # of a table; its version tells which columns there are
_APART = (*TIMES, "files", "sha256")  # the hashes are of files that hold times
_TABLES = ("epochs.csv", "gates.csv", "outcomes.csv.gz")


def differences(first: Path, other: Path) -> list[str]:
    """For each file of a cell the first place where two folders of it differ, a line each; none for the same results.

    What only one of them has, because another version of bamgate wrote it, is unknown in the other and no difference.

    Args:
        first, other: folders of one cell, each without fault (`verify_cell`).
    """
    found = list(_of_result(first, other))
    for name in _TABLES:
        found += _of_tables(name, _lines(first / name), _lines(other / name))
    return [f"{where} is {a} in {first} and {b} in {other}" for where, a, b in found]


def _of_result(first: Path, other: Path) -> Iterator[Difference]:
    results = [_json(folder / "result.json") for folder in (first, other)]
    # The same weights are other bytes where another torch has written them; the tables tell whether they are the same.
    torches = [_json(folder / "environment.json")["torch"] for folder in (first, other)]
    apart = _APART if torches[0] == torches[1] else (*_APART, "checkpoint_sha256")
    for name in sorted(results[0].keys() & results[1].keys()):
        values = [json.dumps(result[name]) for result in results]
        if name not in apart and values[0] != values[1]:
            yield f"result.json, {name}", values[0], values[1]
            return


def _of_tables(name: str, first: Sequence[list[str]], other: Sequence[list[str]]) -> Iterator[Difference]:
    """Texts are compared, not numbers: every digit was written, and nan is nan."""
    heads = [lines[0] if lines else [] for lines in (first, other)]
    shared = [column for column in heads[0] if column in heads[1] and column not in _ABOUT]
    for number, rows in enumerate(zip(first, other, strict=False), start=1):
        one, two = (dict(zip(head, row, strict=False)) for head, row in zip(heads, rows, strict=True))
        for column in shared:
            if one.get(column) != two.get(column):
                yield f"{name}, line {number}, column {column!r}", one.get(column, ""), two.get(column, "")
                return
    if len(first) != len(other):
        yield f"{name}, number of lines", str(len(first)), str(len(other))


def _lines(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    return list(csv.reader(io.StringIO(read_text(path))))


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
