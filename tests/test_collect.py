"""The tables of a folder of runs, and what is read off them."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from record_samples import (
    ENVIRONMENT,
    begun_cell,
    configuration,
    epoch_row,
    finished_cell,
    gate_row,
    identity,
    message,
    result,
    without_hashes,
)

from bamgate.config import AttentionConfig, RunConfig
from bamgate.config.recipes import RECIPES
from bamgate.errors import DataError
from bamgate.record.collect import collect, tables_are_current
from bamgate.record.runlog import open_cell
from bamgate.record.sealed import write_json
from bamgate.record.study_file import study_digest
from bamgate.record.tables import GATES, RUNS
from bamgate.reports.frames import last_gates_frame, read_frame, runs_frame
from bamgate.reports.summary import accuracy_table, diverged, paired_difference, site_table

LAST_ROW = {**epoch_row(2), "test_correct": 900, "test_top5_correct": 990, "test_total": 1000}
CELLS = [("tanh", 10), ("sigmoid", 2), ("tanh", 2), ("sigmoid", 10)]


def collected(out: Path, cells: list[tuple[str, int]]) -> dict[str, bytes]:
    for gate, seed in cells:
        finished_cell(out, configuration(gate, seed), correct=900 + seed)
    collect(out)
    return {path.name: path.read_bytes() for path in out.glob("*.csv")}


def test_collected_rows_are_sorted_by_gate_and_seed(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    runs = list(csv.DictReader(io.StringIO(tables["runs.csv"].decode())))
    assert [(row["gate"], row["seed"]) for row in runs] == [
        ("sigmoid", "2"),
        ("sigmoid", "10"),
        ("tanh", "2"),
        ("tanh", "10"),
    ]
    assert [row["correct"] for row in runs] == ["902", "910", "902", "910"]
    order = [row["cell"] for row in runs]
    for table, rows_a_cell in (("epochs.csv", 2), ("gates.csv", 3)):
        rows = csv.DictReader(io.StringIO(tables[table].decode()))
        assert [row["cell"] for row in rows] == [cell for cell in order for _ in range(rows_a_cell)]


def test_a_collected_row_holds_what_the_cell_holds(tmp_path: Path) -> None:
    config = configuration("tanh", 2)
    finished_cell(tmp_path, config, correct=903)
    (row,) = collect(tmp_path)
    assert row == {
        "study": None,
        "arm": "tanh",
        "context": None,
        "cell": config.cell,
        "dataset": "cluttered-digits",
        "model": "resnet8",
        "attention": "bam",
        "gate": "tanh",
        "seed": 2,
        "attempt": 1,
        "status": "finished",
        "epochs": 2,
        "correct": 903,
        "total": 1000,
        "top5_correct": 990,
        "test_loss": 0.5,
        "params": 12,
        "macs": 34,
        "images_per_s": 100.0,
        "wall_s": 2.0,
        "device": "cpu",
        "device_name": "A processor",
        "threads": 1,
        "torch": "2.9.0",
        "precision": "fp32",
        "compile": "off",
        "executor": "single",
        "config_sha256": config.sha256,
        "design_sha256": config.design_sha256,
        "gate_fingerprint": "f00d",
        "gate_source_sha256": "50ace",
        "git_commit": "c0ffee",
        "env_id": "0123456789ab",
    }
    assert {*row, "schema"} == set(RUNS.having([]))
    assert (tmp_path / "runs.csv").read_text().startswith(",".join(RUNS.having([])) + "\n1,")


def test_a_row_names_the_arms_and_contexts_of_its_study(tmp_path: Path) -> None:
    config = configuration("tanh", 2)
    finished_cell(tmp_path, config, correct=903)
    places = [{"arm": "deep", "context": {"model": "a", "reduction": 4}}, {"arm": "flat", "context": {"reduction": 8}}]
    cells = [{"cell": config.cell, "seed": 2, "epochs": 2, **place} for place in places]
    head = {"schema": 1, "name": "s", "study": {}, "study_sha256": study_digest({})}
    write_json(tmp_path / "study.json", {**head, "gates": {}, "cells": cells})
    (row,) = collect(tmp_path)
    assert (row["study"], row["arm"], row["context"]) == ("s", "deep | flat", "model=a; reduction=4 | reduction=8")


def test_the_tables_do_not_depend_on_the_order_of_the_runs(tmp_path: Path) -> None:
    first = collected(tmp_path / "first", CELLS)
    second = collected(tmp_path / "second", CELLS[::-1])
    assert sorted(first) == ["epochs.csv", "gates.csv", "runs.csv"]
    assert first == second


def test_tables_are_rebuilt_from_the_cells_alone(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    (tmp_path / "runs.csv").write_text("nonsense")
    (tmp_path / "gates.csv").unlink()
    collect(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables


def test_unfinished_cells_are_left_out(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    begun = configuration("softsign", 0)
    open_cell(tmp_path, begun)
    assert len(collect(tmp_path)) == 4
    log = begun_cell(tmp_path, begun)
    log.append("epochs.csv", [epoch_row(1), LAST_ROW])
    assert len(collect(tmp_path)) == 4
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables
    log.finish(result())
    assert [row["gate"] for row in collect(tmp_path)] == ["sigmoid", "sigmoid", "softsign", "tanh", "tanh"]


def test_a_damaged_cell_is_named_and_no_table_is_changed(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    path = tmp_path / "cells" / configuration(*CELLS[0]).cell / "config.json"
    path.write_text("{")
    expected = "is damaged: it is not what it was when the run ended"
    assert message(DataError, collect, tmp_path) == f"{path} {expected}; {AWAY.format(cell=path.parent)}"
    without_hashes(path.parent)
    expected = "is damaged: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    assert message(DataError, collect, tmp_path) == f"{path} {expected}; put it right or move {path.parent} away"
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables


AWAY = "put it right, or move {cell} away and it is trained again"


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("epochs.csv", "910,", "910", "{path}, line 3: "),
        ("epochs.csv", "910,", "911,", "{path}, line 3, column 'test_correct': 911, but result.json says 910 correct"),
        ("epochs.csv", "990,", "991,", "{path}, line 3, column 'test_top5_correct': 991, but result.json says 990"),
        ("result.json", ": 910", ": 190", "{cell}/epochs.csv, line 3, column 'test_correct': 910, but result.json"),
        ("result.json", '"status"', '"statu"', "{path} is not the result of cell "),
        ("result.json", '"total"', '"totl"', "{path} is damaged: it has no 'total'; put it right or move {cell} away"),
        ("config.json", None, None, "{path} is missing"),
        ("environment.json", None, None, "{path} is missing"),
        ("epochs.csv", "0.25\n", "0.25", f"{{path}} is cut off in its last line; {AWAY}"),
        ("epochs.csv", None, "", f"{{path}} has 0 rows, the run has 2 epochs; {AWAY}"),
        ("epochs.csv", None, None, "{path} is missing"),
        ("gates.csv", ",50,", ",many,", "{path}, line 4, column 'attenuated': 'many' is not a whole number"),
        (
            "config.json",
            '"seed": 10',
            '"seed": 11',
            "{path}: the configuration is not the one that the folder is named ",
        ),
        ("config.json", '"config"', '"confg"', "{path}: the configuration is not the one that the folder is named "),
    ],
)
def test_what_an_ended_cell_cannot_have_written_stops_the_tables(
    tmp_path: Path, name: str, old: str | None, new: str | None, expected: str
) -> None:
    """Also in a cell without hashes, whose files are only held against each other."""
    tables = collected(tmp_path, CELLS)
    path = tmp_path / "cells" / configuration(*CELLS[0]).cell / name
    without_hashes(path.parent)
    text = path.read_text()
    if new is None:
        path.unlink()
    elif old is None:
        path.write_text(text.splitlines(keepends=True)[0])
    else:
        at = text.rindex(old)
        path.write_text(text[:at] + new + text[at + len(old) :])
    found = message(DataError, collect, tmp_path)
    assert found.startswith(expected.format(path=path, cell=path.parent))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """sigmoid with seeds 0, 1 and 2, tanh with 0 and 2 (diverged), softsign with 1 alone."""
    correct = {("sigmoid", 0): 900, ("sigmoid", 1): 910, ("sigmoid", 2): 920, ("tanh", 0): 930, ("softsign", 1): 905}
    for (gate, seed), right in correct.items():
        figures = {"q05": 0.5 + seed, "q50": 1.0 + seed, "q95": 1.5 + seed, "attenuated": 20 * (seed + 1)}
        rows = [gate_row(epoch, site, **figures) for epoch in (0, 4) for site in ("layer1", "layer2")]
        rows[0] |= {"q50": 77.0, "attenuated": 0}  # of epoch 0: not in the table
        rows[3] |= {"on_object": 1.25 + seed, "off_object": 0.75}
        finished_cell(tmp_path, configuration(gate, seed), gates=rows, correct=right)
    finished_cell(tmp_path, configuration("tanh", 2), correct=100, status="diverged")
    collect(tmp_path)
    return tmp_path


def test_accuracy_by_gate_and_seed(study: Path) -> None:
    nan = float("nan")
    expected = pd.DataFrame(
        {
            0: [90.0, nan, 93.0],
            1: [91.0, 90.5, nan],
            2: [92.0, nan, 10.0],
            "n": [3, 1, 2],
            "mean": [91.0, 90.5, 51.5],
            "sd": [1.0, nan, 83.0 / np.sqrt(2)],  # two values: their distance by the square root of 2
        },
        index=["sigmoid", "softsign", "tanh"],
    )
    found = accuracy_table(study)
    assert list(found.index) == list(expected.index)
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), rtol=1e-12)


def test_a_diverged_run_is_counted_and_named(study: Path) -> None:
    assert diverged(study).to_dict("records") == [{"gate": "tanh", "seed": 2}]
    runs = runs_frame(study)
    row = runs[(runs["gate"] == "tanh") & (runs["seed"] == 2)].iloc[0]
    assert (row["value"], row["status"]) == (10.0, "diverged")
    assert np.isnan(row["test_loss"])
    assert len(runs) == 6


def test_differences_are_taken_over_the_seeds_that_both_have(study: Path) -> None:
    found = paired_difference(study, "tanh", "sigmoid")
    assert found.index.tolist() == [0, 2]
    np.testing.assert_allclose(found.to_numpy(), [3.0, -82.0], rtol=1e-12)
    alone = paired_difference(study, "softsign", "sigmoid")
    assert alone.index.tolist() == [1]
    np.testing.assert_allclose(alone.to_numpy(), [-0.5], rtol=1e-12)
    assert paired_difference(study, "tanh", "softsign").empty


def test_a_site_is_described_by_its_last_epoch_averaged_over_seeds(study: Path) -> None:
    table = site_table(study)
    assert table.columns.tolist() == ["q05", "q50", "q95", "attenuated", "on_object", "off_object"]
    # sigmoid has seeds 0, 1 and 2: q50 of 1, 2 and 3; 20, 40 and 60 of 200 values attenuated.
    np.testing.assert_allclose(
        table.loc[[("sigmoid", "layer1"), ("sigmoid", "layer2")]].to_numpy(float),
        [[1.5, 2.0, 2.5, 20.0, np.nan, np.nan], [1.5, 2.0, 2.5, 20.0, 2.25, 0.75]],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        table.loc[("softsign", "layer2")].to_numpy(float), [1.5, 2.0, 2.5, 20.0, 2.25, 0.75], rtol=1e-12
    )


def test_the_last_epoch_is_that_of_each_cell(tmp_path: Path) -> None:
    for seed, last in ((0, 4), (1, 2)):
        gates = [gate_row(epoch, q50=float(epoch)) for epoch in range(last + 1)]
        finished_cell(tmp_path, configuration("tanh", seed), gates=gates)
    collect(tmp_path)
    found = last_gates_frame(tmp_path)
    assert sorted(found[["seed", "epoch", "gate", "attention"]].to_numpy().tolist()) == [
        [0, 4, "tanh", "bam"],
        [1, 2, "tanh", "bam"],
    ]
    assert set(found.columns) == {*GATES, "attention", "gate", "seed"}


def test_a_data_set_without_masks_has_no_means_on_the_object(tmp_path: Path) -> None:
    finished_cell(tmp_path, configuration(), gates=[gate_row(1, on_object=None, off_object=None)])
    collect(tmp_path)
    table = site_table(tmp_path)
    assert table["attenuated"].tolist() == [25.0]
    assert table[["on_object", "off_object"]].isna().all(axis=None)


def test_a_study_without_attention_has_no_sites(tmp_path: Path) -> None:
    config = RunConfig(attention=AttentionConfig(name="none", gate="none"), training=RECIPES.get("quick"))
    log = begun_cell(tmp_path, config)
    log.append("epochs.csv", [epoch_row(1), {**LAST_ROW, "test_correct": 875}])
    log.finish(result(correct=875))
    collect(tmp_path)
    assert site_table(tmp_path).empty
    assert accuracy_table(tmp_path).to_dict("records")[0] | {"sd": None} == {0: 87.5, "n": 1, "mean": 87.5, "sd": None}


def test_where_every_run_diverged_the_loss_is_missing_and_the_accuracy_stays(tmp_path: Path) -> None:
    finished_cell(tmp_path, configuration(), correct=98, status="diverged")
    collect(tmp_path)
    runs = runs_frame(tmp_path)
    assert runs["value"].tolist() == [pytest.approx(9.8, rel=1e-12)]
    assert runs["test_loss"].isna().all()


def test_damage_in_a_collected_table_is_named(tmp_path: Path) -> None:
    finished_cell(tmp_path, configuration())
    collect(tmp_path)
    path = tmp_path / "runs.csv"
    path.write_text(path.read_text().replace(",900,", ",many,"))
    said = f"{path}, line 2, column 'correct': 'many' is not a whole number"
    assert message(DataError, accuracy_table, tmp_path) == said


def without_new_columns(path: Path) -> None:
    """Rewrite a gates.csv as it was before the number of values in the map, and the errors, were columns."""
    rows = [row[:-3] for row in csv.reader(io.StringIO(path.read_text()))]
    assert rows[0][-1] == "learned"
    path.write_text("".join(",".join(row) + "\n" for row in rows))


def test_older_gates_tables_stay_as_they_are_and_join_newer_ones(tmp_path: Path) -> None:
    logs = [finished_cell(tmp_path, configuration("tanh", seed)) for seed in (0, 1)]
    for log in logs:
        without_new_columns(log.folder / "gates.csv")
        without_hashes(log.folder)
    collect(tmp_path)
    table = tmp_path / "gates.csv"
    assert table.read_text().splitlines()[0].endswith(",gradient_trunk,learned")
    older = read_frame(GATES, table)
    assert older.columns.tolist() == list(GATES)
    assert older[["map_values", "mean_se", "attenuated_se"]].isna().all(axis=None)
    assert older["values"].tolist() == [200] * 6
    newer = [gate_row(epoch, map_values=1000, mean_se=0.25, attenuated_se=0.125) for epoch in (0, 1, 2)]
    assert tables_are_current(tmp_path)
    finished_cell(tmp_path, configuration("tanh", 2), gates=newer)
    assert not tables_are_current(tmp_path)  # it lacks a cell, and contradicts none
    collect(tmp_path)
    assert tables_are_current(tmp_path)
    assert table.read_text().splitlines()[0] == ",".join(GATES)
    joined = read_frame(GATES, table)
    assert joined["map_values"].isna().tolist() == [True] * 6 + [False] * 3
    assert joined["mean_se"].tolist()[6:] == [0.25] * 3
    pd.testing.assert_frame_equal(joined[:6], older)


def test_the_engine_in_a_row_is_the_one_that_the_run_names(tmp_path: Path) -> None:
    log = open_cell(tmp_path, configuration(seed=0))
    log.bind({**ENVIRONMENT, "engine": "fleet"})
    finished_cell(tmp_path, configuration(seed=1))  # of before engines were named
    log.claim(identity(configuration(seed=0)))
    log.begin()
    log.append("epochs.csv", [{"epoch": 1, "test_correct": 900, "test_top5_correct": 990, "test_total": 1000}])
    log.finish({**result(), "epochs": 1})
    assert {row["seed"]: row["executor"] for row in collect(tmp_path)} == {0: "fleet", 1: "single"}
