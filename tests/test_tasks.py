"""A task that is not classification, from its own file to the tables: nothing between knows what it is."""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import without_times
from record_samples import message, resealed
from study_samples import HEAD, opened, trained
from task_runs import CONFIG, TRAINING, added, cell, site
from task_samples import ERROR, TEST, TRAIN, Brightness, load

from bamgate.config import RunConfig
from bamgate.engines import Execution, StoppedError
from bamgate.errors import DataError, UsageError
from bamgate.record.collect import collect
from bamgate.record.metric import ACCURACY, metric_of, one_metric, value_of
from bamgate.record.tables import EPOCHS, RUNS, read_rows
from bamgate.run.cells import run_cell
from bamgate.run.resolve import make_plan
from bamgate.study.compare import compare
from bamgate.study.merge import join
from bamgate.study.parts import parts_of, survey
from bamgate.study.state import StudyState
from bamgate.study.verify import verify
from bamgate.tasks import TASKS, Evaluated, Loss

CELL_FILES = ("gates.csv", "outcomes.csv.gz", "checkpoint.pt", "gate_curve.csv", "config.json")
__all__ = ["site"]  # a fixture of every test here


def outcomes(folder: Path) -> dict[str, np.ndarray]:
    """The columns of outcomes.csv.gz, by no reader of ours."""
    rows = list(csv.DictReader(gzip.decompress((folder / "outcomes.csv.gz").read_bytes()).decode().splitlines()))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def study_file(folder: Path, *, seeds: str = "0-1", dataset: str = "shades-brightness", more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "bright.toml"
    settings = f'dataset = "{dataset}"\nbatch_size = 16\nepochs = 1\nlr = 0.02\n'
    path.write_text(f'{HEAD}seeds = "{seeds}"\ngates = ["sigmoid", "tanh"]\n[settings]\n{settings}{more}')
    return path


def test_a_run_records_the_metric_that_its_outcomes_lead_to(tmp_path: Path) -> None:
    result = run_cell(CONFIG, tmp_path)
    found, (_, test) = outcomes(cell(tmp_path)), load(tmp_path)
    np.testing.assert_array_equal(found["truth"], test.labels.double().numpy())
    error = np.abs(found["truth"] - found["answer"]).mean()
    names = {name: result[name] for name in ("task", "metric", "metric_unit", "metric_better", "status", "total")}
    assert names == {
        "task": "brightness",
        "metric": "mean absolute error",
        "metric_unit": "px",
        "metric_better": "lower",
        "status": "finished",
        "total": TEST,
    }
    assert result["metric_value"] == pytest.approx(error, rel=1e-12)
    assert not {"correct", "top5_correct"} & result.keys()
    text = (cell(tmp_path) / "epochs.csv").read_text()
    first, last = read_rows(EPOCHS, cell(tmp_path) / "epochs.csv")
    assert text.startswith(",".join(EPOCHS) + "\n2,")
    assert (last["test_metric"], last["test_total"], last["train_total"]) == (result["metric_value"], TEST, TRAIN)
    assert last["train_loss"] != first["train_loss"]
    assert last["test_loss"] == pytest.approx(np.square(found["truth"] - found["answer"]).mean(), rel=1e-6)
    assert [last[name] for name in ("train_correct", "test_correct", "test_top5_correct")] == [None] * 3
    (row,) = collect(tmp_path)
    assert collect(tmp_path) == [row]
    (read,) = read_rows(RUNS, tmp_path / "runs.csv")
    assert (read["schema"], read["correct"], read["top5_correct"], read["total"]) == (2, None, None, TEST)
    for content in (row, read, result):
        assert (metric_of(content), value_of(content)) == (ERROR, result["metric_value"])
    assert verify(tmp_path) == []


def test_what_gates_did_comes_from_the_loss_of_the_task(tmp_path: Path) -> None:
    """Twice the loss, twice the gradient; nothing else changes before the first step."""

    class Twice(Brightness):
        name = "twice"

        def loss(self, forward: Any, x: Any, targets: Any, training: Any) -> Loss:
            return Loss(2 * super().loss(forward, x, targets, training).value)

    found = []
    for config in (CONFIG, added(Twice())):
        config = replace(config, training=replace(TRAINING, epochs=1))
        run_cell(config, tmp_path / config.dataset)
        with (cell(tmp_path / config.dataset, config) / "gates.csv").open() as file:
            found.append([row for row in csv.DictReader(file) if row["epoch"] == "0"])
    for one, two in zip(*found, strict=True):
        for name in ("gradient_attention", "gradient_trunk"):
            assert float(two[name]) == pytest.approx(2 * float(one[name]), rel=1e-5)
        assert one["mean"] == two["mean"]


def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    run_cell(CONFIG, tmp_path / "whole")
    for stop_at in (2, 1):
        asked = iter(range(1, 99))
        with pytest.raises(StoppedError):
            run_cell(
                CONFIG,
                tmp_path / "halting",
                execution=Execution(should_stop=lambda asked=asked, at=stop_at: next(asked) >= at),  # type: ignore[misc]
            )
    run_cell(CONFIG, tmp_path / "halting")
    whole, halting = (without_times(cell(tmp_path / name)) for name in ("whole", "halting"))
    different = {name for name in whole if whole[name] != halting[name]}
    assert whole.keys() == halting.keys()
    assert different <= {".lock"}
    for name in CELL_FILES:
        assert (cell(tmp_path / "whole") / name).read_bytes() == (cell(tmp_path / "halting") / name).read_bytes()


def test_a_study_compares_the_metric_on_the_same_seeds(tmp_path: Path) -> None:
    out = trained(tmp_path / "out", study_file(tmp_path / "a"))
    by_hand: dict[str, dict[int, float]] = {"sigmoid": {}, "tanh": {}}
    for row in json.loads((out / "study.json").read_text())["cells"]:
        found = outcomes(out / "cells" / row["cell"])
        by_hand[row["arm"]][row["seed"]] = np.abs(found["truth"] - found["answer"]).mean()
    state = StudyState(out)
    states = state.read()
    assert {one.metric for one in states} == {ERROR}
    sigmoid, tanh = compare(state.content, states)
    assert sigmoid.metric == tanh.metric == ERROR
    assert sigmoid.values == pytest.approx(by_hand["sigmoid"], rel=1e-12)
    assert tanh.values == pytest.approx(by_hand["tanh"], rel=1e-12)
    differences = {seed: by_hand["tanh"][seed] - by_hand["sigmoid"][seed] for seed in (0, 1)}
    assert tanh.differences == pytest.approx(differences, rel=1e-9)
    assert tanh.to_dict()["metric"] == {
        "name": "mean absolute error",
        "unit": "px",
        "is_count": False,
        "higher_is_better": False,
    }
    assert verify(out) == []
    rows = read_rows(RUNS, out / "runs.csv")
    assert one_metric(rows) == ERROR
    assert {(row["arm"], row["seed"]): value_of(row) for row in rows} == pytest.approx(
        {(arm, seed): value for arm, values in by_hand.items() for seed, value in values.items()}, rel=1e-12
    )


def test_parts_of_a_study_are_joined(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", study_file(tmp_path / "w"))
    parts = [trained(tmp_path / f"out{seed}", study_file(tmp_path / seed, seeds=seed)) for seed in ("0", "1")]
    joined = tmp_path / "joined"
    join(survey(parts_of(parts, joined), joined), joined)
    assert verify(joined) == []
    values = [
        {row["cell"]: value_of(row) for row in read_rows(RUNS, folder / "runs.csv")} for folder in (whole, joined)
    ]
    assert values[0] == values[1]


def changed(folder: Path, old: str, new: str) -> None:
    """Another text in the outcomes, as if the run had written it."""
    path = folder / "outcomes.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    assert old in text
    path.write_bytes(gzip.compress(text.replace(old, new, 1).encode(), mtime=0))
    resealed(folder)


def test_outcomes_are_verified_by_the_columns_of_their_task(tmp_path: Path, site: Path) -> None:
    value = run_cell(CONFIG, tmp_path)["metric_value"]
    collect(tmp_path)
    first = gzip.decompress((cell(tmp_path) / "outcomes.csv.gz").read_bytes()).decode().splitlines()[1]
    _, index, truth, answer = first.split(",")
    path = cell(tmp_path) / "outcomes.csv.gz"
    changed(cell(tmp_path), first, f"1,{index},{truth},{float(truth) + 7.0}")
    now = value + (7.0 - abs(float(truth) - float(answer))) / TEST
    assert verify(tmp_path) == [
        f"{path}: mean absolute error {now:.9g}, but result.json says {value}; "
        f"put it right, or move {cell(tmp_path)} away and it is trained again"
    ]
    changed(cell(tmp_path), f"1,{index},{truth},", f"1,5,{truth},")
    assert verify(tmp_path) == [f"{path}, line 2: index 5"]
    changed(cell(tmp_path), f"1,5,{truth},", "1,five,1.0,")
    assert verify(tmp_path) == [f"{path}, line 2, column 'index': 'five' is not a whole number"]
    for entry in (site / "bright_package-1.0.dist-info").iterdir():
        entry.unlink()
    TASKS._plugged.clear()
    assert verify(tmp_path) == []  # whoever has not installed the task holds the file against its hash


def test_old_and_new_cells_stand_in_one_folder(tmp_path: Path) -> None:
    digits = RunConfig(dataset="digits", training=replace(TRAINING, train_limit=32, epochs=1))
    run_cell(digits, tmp_path / "old")
    run_cell(CONFIG, tmp_path / "new")
    alone = {name: (tmp_path / "old" / name) for name in ("runs.csv", "epochs.csv")}
    collect(tmp_path / "old")
    assert [path.read_text().splitlines()[1][:2] for path in alone.values()] == ["1,", "1,"]
    cell(tmp_path / "new").rename(cell(tmp_path / "old"))
    collect(tmp_path / "old")
    rows = {row["dataset"]: row for row in read_rows(RUNS, tmp_path / "old" / "runs.csv")}
    assert [metric_of(rows[name]) for name in ("digits", CONFIG.dataset)] == [ACCURACY, ERROR]
    assert value_of(rows["digits"]) == pytest.approx(100 * rows["digits"]["correct"] / 500)
    epochs = read_rows(EPOCHS, tmp_path / "old" / "epochs.csv")
    assert [(row["test_correct"] is None, row["test_metric"] is None) for row in epochs] == [
        (False, True),
        *[(True, False)] * 2,
    ]
    assert verify(tmp_path / "old") == []
    told = message(DataError, one_metric, rows.values())
    assert told == (
        f"cell {digits.cell} is judged by accuracy (%, higher is better), cell {CONFIG.cell} by mean absolute error "
        "(px, lower is better); compare them apart"
    )


def test_a_study_has_one_metric(tmp_path: Path) -> None:
    path = study_file(tmp_path / "s", more='[axes]\ndataset = ["shades-brightness", "digits"]\n')
    path.write_text(path.read_text().replace('dataset = "shades-brightness"\nbatch', "batch"))
    assert message(UsageError, opened, tmp_path / "out", path) == (
        "study bright: shades-brightness is judged by mean absolute error (px, lower is better), digits by accuracy "
        "(%, higher is better); make a study of each"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rope", [150, 0.001])
def test_a_margin_has_the_unit_of_the_metric(tmp_path: Path, rope: float) -> None:
    """150 pixels may be a margin; 150 points of accuracy are none."""
    path = study_file(tmp_path / "s", seeds="0")
    path.write_text(path.read_text().replace("rope = 1.0", f"rope = {rope}"))
    opened(tmp_path / "out", path)
    path.write_text(path.read_text().replace("shades-brightness", "digits").replace("lr = 0.02", "train_limit = 320"))
    if rope < 100:
        opened(tmp_path / "digits", path)
    else:
        said = "study bright: rope must be points of accuracy above 0 and below 100, got 150"
        assert message(UsageError, opened, tmp_path / "digits", path) == said


def test_a_metric_may_be_a_count_of_another_name(tmp_path: Path) -> None:
    config = replace(CONFIG, dataset="shades-close")
    result = run_cell(config, tmp_path)
    close = int(outcomes(cell(tmp_path, config))["close"].sum())
    assert (result["correct"], result["metric"], "metric_value" in result) == (close, "within half a unit", False)
    collect(tmp_path)
    (row,) = read_rows(RUNS, tmp_path / "runs.csv")
    assert (row["correct"], row["top5_correct"], row["metric_value"]) == (close, None, None)
    assert (metric_of(row).is_count, value_of(row)) == (True, 100 * close / TEST)
    assert verify(tmp_path) == []
    last = read_rows(EPOCHS, tmp_path / "epochs.csv")[-1]
    assert (last["test_correct"], last["schema"]) == (close, 1)
    assert last["train_correct"] is not None


class Lost(Brightness):
    """Its metric is infinite from the second epoch on, its loss is not."""

    name = "lost"

    def evaluate(self, forward: Any, batches: Any) -> Evaluated:
        self.asked = getattr(self, "asked", 0) + 1
        found = super().evaluate(forward, batches)
        return found if self.asked == 1 else replace(found, value=float("inf"))

    def score(self, outcomes: Any) -> None:
        """The outcomes do not tell."""


def test_a_metric_that_is_not_finite_is_a_run_that_diverged(tmp_path: Path) -> None:
    config = added(Lost())
    three = replace(config, training=replace(TRAINING, epochs=3))
    result = run_cell(three, tmp_path)
    assert (result["status"], result["epochs"], result["metric_value"]) == ("diverged", 2, None)
    collect(tmp_path)
    (row,) = read_rows(RUNS, tmp_path / "runs.csv")
    assert (row["status"], row["metric_value"]) == ("diverged", None)
    assert np.isnan(value_of(row))
    assert [epoch["test_metric"] for epoch in read_rows(EPOCHS, tmp_path / "epochs.csv")][1] == np.inf
    assert verify(tmp_path) == []
    out = trained(tmp_path / "out", study_file(tmp_path / "s", dataset="shades-lost"))
    state = StudyState(out)
    rows = compare(state.content, state.read())
    assert [(row.values, row.diverged) for row in rows] == [({}, 2), ({}, 2)]
    assert rows[1].to_dict()["difference"] is None


def test_a_setting_that_the_task_has_no_use_for_is_refused(tmp_path: Path) -> None:
    said = (
        "task 'brightness' of shades-brightness: label_smoothing would have no effect: there are no classes; "
        "leave it out"
    )
    settings = {"dataset": "shades-brightness", "label_smoothing": 0.1, "batch_size": 16}
    assert message(UsageError, make_plan, settings) == said
    smooth = replace(CONFIG, training=replace(TRAINING, label_smoothing=0.1))
    assert message(UsageError, run_cell, smooth, tmp_path / "out") == said
    assert not (tmp_path / "out").exists()
