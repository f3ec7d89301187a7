"""Tables grow: a column that comes later is unknown in older files, and a newer file is refused in one line."""

import csv
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_samples import begun_cell, configuration, epoch_row, finished_cell, message, resealed

from bamgate.errors import DataError
from bamgate.record.collect import collect, collected, disagreements, tables_are_current
from bamgate.record.columns import ATTEMPTS, EPOCHS, GATE_CURVES, GATES, OUTCOMES, RUNS, Table
from bamgate.record.ended import EndedCell
from bamgate.record.tables import checked_lines, format_rows, is_regular, parse_rows, read_rows, read_text
from bamgate.reports.frames import read_frame
from bamgate.reports.records import Outcomes, read_runs
from bamgate.study.repeats import differences
from bamgate.study.verify import verify

OLDER = Path(__file__).parent / "older" / "study"
TABLES = {
    "gate_curves": GATE_CURVES,
    "runs": RUNS,
    "epochs": EPOCHS,
    "gates": GATES,
    "attempts": ATTEMPTS,
    "outcomes": OUTCOMES,
}
OPTIONAL = {  # what only tasks without counts write
    "runs": {"task", "metric", "metric_unit", "metric_better", "metric_value"},
    "epochs": {"test_metric"},
}


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bamgate whose runs and epochs have one column more."""
    for table in (RUNS, EPOCHS):
        monkeypatch.setitem(table, "energy_j", float)
        monkeypatch.setitem(table.later, "energy_j", 3)


def energetic(cell: Path, joules: float) -> None:
    """As if the run had measured it."""
    epochs = [{**row, "energy_j": joules / 2} for row in read_rows(EPOCHS, cell / "epochs.csv")]
    (cell / "epochs.csv").write_text(
        format_rows(EPOCHS.having(["energy_j"]), _without(epochs, "test_metric"), header=True)
    )
    path = cell / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "energy_j": joules}))
    resealed(cell)


def _without(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != column} for row in rows]


@pytest.mark.parametrize("name", TABLES)
def test_what_classification_writes_is_of_the_first_version(name: str) -> None:
    table, optional = TABLES[name], {name for name, version in TABLES[name].later.items() if version > 1}
    assert optional == OPTIONAL.get(name, set())
    assert table.newest == table.version == (2 if optional else 1)
    assert next(iter(table)) == "schema"
    written = table.having(table.keys() - optional)
    assert (written.version, written.newest) == (1, table.newest)
    assert format_rows(written, [{}], header=False).startswith("1,")


def test_the_version_of_a_file_is_that_of_its_newest_column() -> None:
    table = Table({"schema": int, "a": int, "b": int, "c": int}, later={"b": 2, "c": 3})
    assert [table.version, table.having(["a", "b"]).version, table.having([]).version] == [3, 2, 1]
    assert [list(table.having(names)) for names in (["b"], ["c", "x"])] == [["schema", "a", "b"], ["schema", "a", "c"]]
    assert table.having([]).newest == 3
    assert format_rows(table.having(["b"]), [{"a": 5}], header=True) == "schema,a,b\n2,5,\n"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_older_version_is_read(version: int) -> None:
    table = Table({"schema": int, "a": int, "b": float, "c": str}, later={"b": 2, "c": 3})
    held = table.having(["a", "b", "c"][:version])
    text = format_rows(held, [{"a": 5}, {"a": 6}], header=True)
    assert text.splitlines()[1].startswith(f"{version},")
    assert is_regular(held, text)
    assert parse_rows(table, text, Path("t.csv")) == [
        {"schema": version, "a": 5, "b": None, "c": None},
        {"schema": version, "a": 6, "b": None, "c": None},
    ]
    assert checked_lines(table, text, Path("t.csv")) == "3,5,,\n3,6,,\n"


@pytest.mark.usefixtures("grown")
def test_an_older_study_reads_as_before_when_its_tables_get_a_column(tmp_path: Path) -> None:
    study = Path(shutil.copytree(OLDER, tmp_path / "older"))
    frame = read_frame(RUNS, study / "runs.csv")
    assert frame["energy_j"].isna().all()
    assert [row["energy_j"] for row in read_rows(RUNS, study / "runs.csv")] == [None] * 5
    assert len(read_runs([study])) == 5
    _, texts = collected(study)
    assert texts == {name: (study / name).read_text() for name in texts}
    assert tables_are_current(study)
    assert all("checkpoint.pt" in line for line in verify(study))


@pytest.mark.usefixtures("grown")
def test_older_and_newer_cells_stand_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        for table in (RUNS, EPOCHS):
            older.delitem(table, "energy_j")
        finished_cell(tmp_path, configuration(seed=0))
        collect(tmp_path)
    before = (tmp_path / "runs.csv").read_text()
    assert before.splitlines()[1].startswith("1,")
    energetic(finished_cell(tmp_path, configuration(seed=1)).folder, 12.5)
    _, texts = collected(tmp_path)
    assert list(disagreements(tmp_path, texts)) == []  # it lacks a cell, and says nothing wrong of the other
    collect(tmp_path)
    assert [line for line in verify(tmp_path) if "is missing" not in line] == []  # made cells have no network
    rows = read_rows(RUNS, tmp_path / "runs.csv")
    assert [(row["schema"], row["energy_j"]) for row in rows] == [(3, None), (3, 12.5)]
    assert np.isnan(read_frame(RUNS, tmp_path / "runs.csv")["energy_j"].iloc[0])
    assert {row["schema"] for row in read_rows(EPOCHS, tmp_path / "epochs.csv")} == {3}


@pytest.mark.usefixtures("grown")
def test_a_cell_that_an_older_version_began_goes_on_with_all_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.delitem(EPOCHS, "energy_j")
        log = begun_cell(tmp_path, configuration())
        log.append("epochs.csv", [epoch_row(1)])
    log.cut_after(1)
    log.append("epochs.csv", [{**epoch_row(2), "energy_j": 2.5}])
    assert [row["energy_j"] for row in log.rows("epochs.csv")] == [None, 2.5]


@pytest.mark.usefixtures("grown")
def test_a_cell_that_ended_with_fewer_columns_is_held_against_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.delitem(EPOCHS, "energy_j")
        finished_cell(tmp_path, configuration())
    ended = EndedCell.at(tmp_path / "cells" / configuration().cell)
    assert ended is not None
    assert ended.lines(EPOCHS, "epochs.csv").count("\n") == 2


@pytest.mark.usefixtures("grown")
def test_the_same_run_by_two_versions_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.delitem(EPOCHS, "energy_j")
        first = finished_cell(tmp_path / "a", configuration()).folder
    other = finished_cell(tmp_path / "b", configuration()).folder
    energetic(other, 1.5)
    assert differences(first, other) == []
    last = (other / "epochs.csv").read_text().replace("10,", "11,", 1)
    (other / "epochs.csv").write_text(last)
    assert len(differences(first, other)) == 1


def newer(path: Path, **columns: str) -> str:
    """The table as version 7 would write it, with more columns; the text of the file."""
    rows = list(csv.DictReader(read_text(path).splitlines()))
    rows = [{**row, "schema": "7", **columns} for row in rows]
    text = ",".join(rows[0]) + "\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    path.write_text(text)
    return text


@pytest.mark.parametrize("columns", [{}, {"energy_j": "1.5"}], ids=["same columns", "one more"])
@pytest.mark.parametrize("name", ["runs", "epochs", "gates"])
def test_a_newer_table_is_refused_in_one_line(tmp_path: Path, name: str, columns: dict[str, str]) -> None:
    table, path = TABLES[name], tmp_path / f"{name}.csv"
    shutil.copy(OLDER / path.name, path)
    text = newer(path, **columns)
    said = f"{path}, line 2: written by a newer bamgate; table {name} version 7, this one reads up to {table.newest}"
    assert message(DataError, parse_rows, table, text, path) == said
    assert message(DataError, checked_lines, table, text, path) == said
    assert message(DataError, read_frame, table, path) == said
    assert not is_regular(table, text)


@pytest.mark.parametrize("columns", [{}, {"sure": "0.5"}], ids=["same columns", "one more"])
def test_newer_outcomes_are_refused_in_one_line(tmp_path: Path, columns: dict[str, Any]) -> None:
    folder = tmp_path / "cells" / "0123456789abcdef"
    folder.mkdir(parents=True)
    path = folder / "outcomes.csv.gz"
    head = ",".join([*OUTCOMES, *columns])
    rows = [f"{','.join(['7', str(n), '1', '1', '1', *columns.values()])}\n" for n in range(3)]
    path.write_bytes(gzip.compress((head + "\n" + "".join(rows)).encode()))
    said = message(DataError, Outcomes([tmp_path]).of, folder.name)
    assert said == f"{path}, line 2: written by a newer bamgate; table outcomes version 7, this one reads up to 1"
