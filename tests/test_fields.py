"""What a field of a CSV file may hold: three readers, one answer."""

import io
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bamgate.errors import DataError
from bamgate.record.tables import GATES, RUNS, Columns, checked_lines, format_rows, parse_rows
from bamgate.reports.frames import read_frame

COLUMNS: Columns = {"schema": int, "cell": str, "seed": int, "correct": int, "loss": float, "lr": float, "note": str}
GOOD = {"cell": "ab", "seed": 1, "correct": 2, "loss": 0.5, "lr": 0.1, "note": "text"}


def line(**fields: str) -> str:
    plain = {"schema": "1", **{name: str(value) for name, value in GOOD.items()}, **fields}
    return ",".join(COLUMNS) + "\n" + ",".join(plain.values()) + "\n"


def read_by_all(folder: Path, columns: Columns, text: str) -> list[dict[str, Any]] | str:
    """The rows, or the refusal; the same from the three readers."""
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    found: list[Any] = []
    for reader in (parse_rows, checked_lines, lambda columns, text, path: read_frame(columns, path)):
        try:
            found.append(reader(columns, text, path))
        except DataError as error:
            found.append(str(error))
    rows, lines, frame = found
    if isinstance(rows, str):
        assert lines == frame == rows
        return rows.removeprefix(f"{path}, ")
    assert lines == text.partition("\n")[2]
    for row, other in zip(rows, frame.to_dict("records"), strict=True):
        for name, value in row.items():
            missing = value is None or value != value
            assert pd.isna(other[name]) if missing else (other[name], type(other[name])) == (value, type(value))
    return rows


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        *[("correct", text, "is not a whole number") for text in ("1_000", " 7", "7 ", "1e3", "+7", "7.0", "0x10")],
        *[("correct", text, "is not a whole number") for text in ("１００", "١٠٠", "²", "nan", "NaN", "inf", "007")],
        *[("correct", text, "is not a whole number") for text in ("True", "None", "1\u202f000", "--1", "#N/A")],
        ("correct", "-1", "is negative"),
        ("correct", "9223372036854775808", "is too large (at most 9223372036854775807)"),
        ("correct", "99999999999999999999999", "is too large (at most 9223372036854775807)"),
        ("seed", "2147483648", "is too large (at most 2147483647)"),
        ("seed", "-1", "is negative"),
        *[("loss", text, "is not a number") for text in ("1_0.5", " 0.5", "0.5 ", "+0.5", "０.５", "٠.٥", "0x1p3")],
        *[("loss", text, "is not a number") for text in ("#N/A", "None", "infinity", "1.5f", ".", "1e", "5.e")],
        ("loss", "1e999", "is too large"),
        ("lr", "-0.1", "is negative"),
        ("lr", "-inf", "is negative"),
        ("note", "a\0b", "has a NUL character in it"),
    ],
)
def test_a_field_that_no_reader_takes(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert read_by_all(tmp_path, COLUMNS, line(**{name: text})) == f"line 2, column {name!r}: {text!r} {said}"


def test_a_long_field_is_shown_short(tmp_path: Path) -> None:
    said = f"line 2, column 'correct': '{'9' * 57}...' is too large (at most 9223372036854775807)"
    assert read_by_all(tmp_path, COLUMNS, line(correct="9" * 100_000)) == said


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        *[("correct", text, int(text)) for text in ("0", "9223372036854775807", "1000000000000000000")],
        ("correct", "", None),
        ("seed", "2147483647", 2**31 - 1),
        *[("loss", text, float(text)) for text in ("0", "-0.0", "1e-320", "1E+02", "inf", "-inf", "Inf", "5.")],
        *[("note", text, text) for text in ("nan", "NA", "None", "null", "-", "#N/A", "01", " tanh ", "True", "∞")],
        ("note", '"a ""b"", c"', 'a "b", c'),
        ("note", '""', None),
        ("note", "'=1", "=1"),
    ],
)
def test_a_field_that_every_reader_takes_alike(tmp_path: Path, name: str, text: str, expected: Any) -> None:
    ((row),) = read_by_all(tmp_path, COLUMNS, line(**{name: text}))
    assert isinstance(row, dict)
    assert (row[name], type(row[name])) == (expected, type(expected))
    assert {**row, name: None} == {"schema": 1, **GOOD, name: None}


def test_not_a_number_is_a_number_that_is_missing(tmp_path: Path) -> None:
    for text in ("nan", "NaN"):
        ((row),) = read_by_all(tmp_path, COLUMNS, line(loss=text))
        assert isinstance(row, dict)
        assert math.isnan(row["loss"])


@given(
    seed=st.integers(0, 2**31 - 1),
    correct=st.integers(0, 2**63 - 1),
    loss=st.floats(),
    lr=st.floats(min_value=0),
    note=st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=9),
)
@example(seed=0, correct=2**63 - 1, loss=5e-324, lr=1.7976931348623157e308, note='"\n')
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, **fields: Any) -> None:
    text = format_rows(COLUMNS, [{**GOOD, **fields}] * 2, header=True)
    rows = read_by_all(tmp_path_factory.getbasetemp(), COLUMNS, text)
    assert isinstance(rows, list)
    assert len(rows) == 2
    wanted = {"schema": 1, **GOOD, **fields, "note": fields["note"] or None}
    assert repr(rows[1]) == repr(wanted)


@given(text=st.text(st.sampled_from("0123456789.-+eE_ ,\"\n'xnaif=;|\u0660\uff11\0"), max_size=8), at=st.integers(0, 6))
def test_readers_never_part(tmp_path_factory: pytest.TempPathFactory, text: str, at: int) -> None:
    fields = {list(COLUMNS)[at]: text}
    assert read_by_all(tmp_path_factory.getbasetemp(), COLUMNS, line(**fields)) is not None


HISTOGRAM = " ".join(map(str, range(42)))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        *[("histogram", text, "is not 42 counts") for text in ("1 2 3", "many", f"{HISTOGRAM} 1", f" {HISTOGRAM}")],
        ("histogram", HISTOGRAM.replace("7", "-7", 1), "is not 42 counts"),
        ("histogram", HISTOGRAM.replace("7", "٧", 1), "is not 42 counts"),
        ("histogram", HISTOGRAM.replace("7", "7.5", 1), "is not 42 counts"),
        *[("learned", text, "is not a list of NAME=NUMBER") for text in ("a", "a=b", "a=1;", "a=", "a=1;b", "a= 1")],
    ],
)
def test_figures_that_are_texts_have_their_form(tmp_path: Path, name: str, text: str, said: str) -> None:
    row = {column: {int: 1, float: 0.5, str: "x"}[kind] for column, kind in GATES.items()}
    row |= {"histogram": HISTOGRAM, "learned": "a=1;b=-1e-05;c=nan;d=-inf", "schema": 1}
    good = format_rows(GATES, [row], header=True)
    assert isinstance(read_by_all(tmp_path, GATES, good), list)
    bad = format_rows(GATES, [row, {**row, name: text}], header=True)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    assert read_by_all(tmp_path, GATES, bad) == f"line 3, column {name!r}: {shown!r} {said}"


def test_a_wrong_row_after_a_text_of_two_lines_is_named_by_its_line(tmp_path: Path) -> None:
    from bamgate.reports.frames import refuse

    text = format_rows(RUNS.having([]), [{"arm": "a\nb", "gate": "c\n\nd"}, {"arm": "x"}], header=True)
    (tmp_path / "runs.csv").write_text(text)
    frame = read_frame(RUNS, tmp_path / "runs.csv")
    with pytest.raises(DataError, match="line 6, column 'arm': no"):
        refuse(frame, tmp_path / "runs.csv", "arm", frame["arm"] == "x", lambda row: "no")
    assert io.StringIO(text).readlines()[5].startswith("1,,x")
