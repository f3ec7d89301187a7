"""CSV files: what is written is what is read, and what is damaged is named."""

import csv
import gzip
import io
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamgate.errors import DataError
from bamgate.record.columns import Table
from bamgate.record.tables import (
    ATTEMPTS,
    EPOCHS,
    GATES,
    OUTCOMES,
    RUNS,
    TIMES,
    Columns,
    checked_lines,
    columns_in,
    format_rows,
    parse_rows,
    read_rows,
    read_text,
)

FILE = Path("runs/x/small.csv")
SMALL: Columns = {"schema": int, "cell": str, "epoch": int, "loss": float, "note": str}
HEADER = "schema,cell,epoch,loss,note\n"


def refusal(text: str, columns: Columns = SMALL) -> str:
    with pytest.raises(DataError) as caught:
        parse_rows(columns, text, FILE)
    return str(caught.value)


def test_rows_are_written_as_this_text() -> None:
    rows = [
        {"cell": "ab", "epoch": 1, "loss": 0.1, "note": "plain"},
        {"cell": "ab", "epoch": 2, "loss": None},
        {"cell": "ab", "epoch": 3, "loss": float("nan"), "note": 'a "b", c'},
    ]
    expected = HEADER + '1,ab,1,0.1,plain\n1,ab,2,,\n1,ab,3,nan,"a ""b"", c"\n'
    assert format_rows(SMALL, rows, header=True) == expected
    assert format_rows(SMALL, rows[:1], header=False) == "1,ab,1,0.1,plain\n"
    assert format_rows(SMALL, [], header=True) == HEADER
    assert format_rows(SMALL, [], header=False) == ""


def test_text_is_read_as_these_rows() -> None:
    found = parse_rows(SMALL, HEADER + '1,ab,3,1e-3,"a ""b"", c"\n1,cd,2,,\n', FILE)
    assert found == [
        {"schema": 1, "cell": "ab", "epoch": 3, "loss": 0.001, "note": 'a "b", c'},
        {"schema": 1, "cell": "cd", "epoch": 2, "loss": None, "note": None},
    ]
    assert [type(value) for value in found[0].values()] == [int, str, int, float, str]


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(value=st.floats(allow_nan=False))
def test_a_float_comes_back_with_every_bit(value: float) -> None:
    text = format_rows(SMALL, [{"cell": "c", "epoch": 0, "loss": value}], header=True)
    (row,) = parse_rows(SMALL, text, FILE)
    assert bits(row["loss"]) == bits(value)


def test_nan_and_none_stay_apart() -> None:
    rows = [{"cell": "c", "epoch": 0, "loss": value} for value in (float("nan"), None, float("-inf"))]
    first, second, third = (row["loss"] for row in parse_rows(SMALL, format_rows(SMALL, rows, header=True), FILE))
    assert math.isnan(first)
    assert second is None
    assert third == float("-inf")


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20))
def test_any_text_comes_back_and_none_starts_as_a_formula(text: str) -> None:
    written = format_rows(SMALL, [{"cell": "c", "epoch": 0, "note": text}], header=True)
    (row,) = parse_rows(SMALL, written, FILE)
    assert row["note"] == (text or None)
    (cell,) = [line[4] for line in csv.reader(io.StringIO(written)) if line[0] == "1"]
    assert cell[:1] not in ("=", "+", "-", "@", "\t")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    written = format_rows(OUTCOMES | {"note": str}, [{"index": 0, "note": text}], header=False)
    assert written.replace('"', "") == f"1,0,,,,'{text}\n"  # some versions of csv put a carriage return in quotes


def test_negative_numbers_are_no_formulas() -> None:
    written = format_rows(SMALL, [{"cell": "c", "epoch": -2, "loss": -0.5}], header=False)
    assert written == "1,c,-2,-0.5,\n"


def test_a_row_read_and_written_again_is_the_same_text() -> None:
    text = format_rows(SMALL, [{"cell": "c", "epoch": 1, "loss": 1e-300, "note": "=x"}], header=True)
    assert format_rows(SMALL, parse_rows(SMALL, text, FILE), header=True) == text


@pytest.mark.parametrize("tail", ["1", "1,ab,2,0.5", "1,ab,2,0.5,note", '1,ab,2,0.5,"no', "1,ab,2,0.5,x\r"])
def test_a_last_line_without_its_end_was_never_written(tail: str) -> None:
    found = parse_rows(SMALL, HEADER + "1,ab,1,0.25,\n" + tail, FILE)
    assert found == [{"schema": 1, "cell": "ab", "epoch": 1, "loss": 0.25, "note": None}]


@given(cut=st.integers(0, 200))
def test_a_file_cut_anywhere_gives_the_rows_before_the_cut(cut: int) -> None:
    rows = [{"cell": "ab", "epoch": epoch, "loss": epoch / 3, "note": "a,b"} for epoch in range(5)]
    text = format_rows(SMALL, rows, header=True)
    whole = max(text[:cut].count("\n") - 1, 0)
    assert [row["epoch"] for row in parse_rows(SMALL, text[:cut], FILE)] == list(range(whole))


@pytest.mark.parametrize("text", ["", HEADER, "sche", HEADER[:-1]])
def test_an_empty_file_and_a_header_alone_hold_no_rows(text: str) -> None:
    assert parse_rows(SMALL, text, FILE) == []


EXPECTED = "expected schema, cell, epoch, loss, note"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("schema,cell,loss,note\n", f"{FILE}, line 1: no column 'epoch'; {EXPECTED}"),
        ("\n", f"{FILE}, line 1: no column 'schema'; {EXPECTED}"),
        (
            "schema,epoch,cell,loss,note\n",
            f"{FILE}, line 1: columns schema, epoch, cell, loss, note; {EXPECTED}",
        ),
        (
            "schema,cell,epoch,loss,note,more\n",
            f"{FILE}, line 1: columns schema, cell, epoch, loss, note, more; {EXPECTED}",
        ),
        (HEADER + "1,ab,1,0.5,\n1,ab,2,0.5\n", f"{FILE}, line 3: 4 fields instead of 5"),
        (HEADER + "1,ab,1,0.5,,\n", f"{FILE}, line 2: 6 fields instead of 5"),
        (HEADER + "\n", f"{FILE}, line 2 is empty"),
        (HEADER + "1,ab,one,0.5,\n", f"{FILE}, line 2, column 'epoch': 'one' is not a whole number"),
        (HEADER + "1,ab,1.0,0.5,\n", f"{FILE}, line 2, column 'epoch': '1.0' is not a whole number"),
        (HEADER + "1,ab,1,0.5,\n1,ab,1,0;5,\n", f"{FILE}, line 3, column 'loss': '0;5' is not a number"),
        (HEADER + "x,ab,1,0.5,\n", f"{FILE}, line 2, column 'schema': 'x' is not a whole number"),
        (
            HEADER + "2,ab,1,0.5,\n",
            f"{FILE}, line 2: written by a newer bamgate; table small version 2, this one reads up to 1",
        ),
        (HEADER + ",ab,1,0.5,\n", f"{FILE}, line 2: schema version None, this bamgate reads version 1"),
        (HEADER + '1,ab,1,0.5,"a\nb"\n1,ab,?,0.5,\n', f"{FILE}, line 4, column 'epoch': '?' is not a whole number"),
    ],
)
def test_a_damaged_table_is_named_by_file_line_and_column(text: str, expected: str) -> None:
    assert refusal(text) == expected


def test_a_stray_quote_in_a_long_file_is_named_too() -> None:
    """The csv module gives up on fields above 128 KiB with an error of its own."""
    text = HEADER + '1,"ab,1,0.5,\n' + "1,ab,1,0.5,\n" * 20_000
    assert refusal(text).startswith(f"{FILE}, line 2")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(SMALL, tmp_path / "small.csv")
    assert str(caught.value) == f"{tmp_path / 'small.csv'} is missing"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_bytes(HEADER.encode() + b"1,\xc3\x28,1,0.5,\n")
    with pytest.raises(DataError) as caught:
        read_rows(SMALL, path)
    assert str(caught.value) == f"{path} is not a UTF-8 text (byte {len(HEADER) + 2})"


def test_a_file_with_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_bytes((HEADER + "1,ä,1,0.5,\n").replace("\n", "\r\n").encode())
    assert read_rows(SMALL, path) == [{"schema": 1, "cell": "ä", "epoch": 1, "loss": 0.5, "note": None}]


def test_a_column_that_does_not_exist_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match=r"^no such column: \['los'\]$"):
        format_rows(SMALL, [{"cell": "c", "los": 1.0}], header=True)


def sample(name: str, kind: type) -> Any:
    texts = {"histogram": " ".join("7" * 42), "learned": "depth=0.5;bias=-1e-05", "metric_better": "lower"}
    return texts.get(name, {int: 3, float: 2.5, str: "text"}[kind])


@pytest.mark.parametrize("columns", [ATTEMPTS, EPOCHS, EPOCHS.having([]), GATES, OUTCOMES, RUNS, RUNS.having([])])
def test_every_table_holds_every_type_of_its_columns(columns: Table) -> None:
    row = {name: sample(name, kind) for name, kind in columns.items()} | {"schema": columns.version}
    if "metric_value" in row:
        row["correct"] = None  # a run has one of the two
    header, line = format_rows(columns, [row], header=True).splitlines()
    assert header == ",".join(columns)
    assert line == ",".join("" if value is None else str(value) for value in row.values())
    assert parse_rows(columns, f"{header}\n{line}\n", FILE) == [row]
    assert checked_lines(columns, f"{header}\n{line}\n", FILE) == f"{line}\n"


def test_times_are_columns_of_epochs_and_runs() -> None:
    assert set(TIMES) <= EPOCHS.keys() & RUNS.keys()


def test_every_flipped_bit_of_a_packed_table_is_read_the_same_or_named(tmp_path: Path) -> None:
    rows = [{"index": i, "label": i % 10, "predicted": i * i % 10, "correct": i % 2} for i in range(200)]
    text = format_rows(OUTCOMES, rows, header=True)
    path = tmp_path / "outcomes.csv.gz"
    packed = gzip.compress(text.encode(), mtime=0)
    read = set()
    for place in range(8 * len(packed)):
        damaged = bytearray(packed)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            read.add(read_text(path))
        except DataError as error:
            read.add(str(error).split(":")[0])
    assert read == {text, f"{path} is damaged"}
    path.write_bytes(packed[:-1])
    with pytest.raises(DataError, match="is damaged"):
        read_text(path)


# Columns that are later than the first version of their table.

NEW = ("map_values", "mean_se", "attenuated_se")
OLD_GATES: Columns = {name: kind for name, kind in GATES.items() if name not in NEW}


def test_a_gates_table_from_before_the_optional_columns_reads_as_if_they_were_empty() -> None:
    row = {"cell": "ab", "epoch": 1, "site": "layer1", "values": 200, "mean": 1.25, "learned": "depth=0.5"}
    old = format_rows(OLD_GATES, [row], header=True)
    (found,) = parse_rows(GATES, old, FILE)
    assert list(found) == list(GATES)
    assert {name: found[name] for name in row} == row
    assert [found[name] for name in NEW] == [None, None, None]
    # Filled up, it stands among newer rows.
    assert checked_lines(GATES, old, FILE) == format_rows(GATES, [row], header=False)
    assert checked_lines(columns_in(GATES, old), old, FILE) == format_rows(OLD_GATES, [row], header=False)


def test_no_other_column_of_a_gates_table_may_be_missing() -> None:
    for name in ("schema", "values", "learned"):
        columns = {column: kind for column, kind in GATES.items() if column != name}
        with pytest.raises(DataError, match=f"^{FILE}, line 1: no column '{name}'; expected schema, cell, epoch"):
            parse_rows(GATES, ",".join(columns) + "\n", FILE)


def test_a_row_must_fit_the_header_of_its_own_file() -> None:
    old = format_rows(OLD_GATES, [{"cell": "ab"}], header=True)
    newer = format_rows(GATES, [{"cell": "ab"}], header=False)
    with pytest.raises(DataError, match=rf"line 3: {len(GATES)} fields instead of {len(OLD_GATES)}$"):
        parse_rows(GATES, old + newer, FILE)
