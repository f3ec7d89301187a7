"""A task that is no classification, from its own file to the tables: nothing between knows what it is."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import without_times
from record_samples import message, resealed
from study_samples import HEAD, opened, trained
from task_samples import BRIGHTNESS, ERROR, SHADES, TEST, TRAIN, Brightness, install, load

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.data import DATASETS
from bamgate.engines import Execution, StoppedError
from bamgate.errors import DataError, GateError, OutOfMemoryError, TaskError, UsageError
from bamgate.gates import Gate
from bamgate.gates.gate import Elementwise
from bamgate.record.collect import collect
from bamgate.record.metric import ACCURACY, metric_of, one_metric, value_of
from bamgate.record.runlog import CellLog
from bamgate.record.tables import EPOCHS, RUNS, format_rows, parse_rows, read_rows
from bamgate.run.cells import run_cell
from bamgate.run.resolve import make_plan
from bamgate.study.compare import compare
from bamgate.study.merge import join
from bamgate.study.parts import parts_of, survey
from bamgate.study.state import StudyState
from bamgate.study.verify import verify
from bamgate.tasks import TASKS, Evaluated, Loss

TRAINING = TrainingConfig(epochs=2, batch_size=16, lr=0.02)
CONFIG = RunConfig(dataset="shades-brightness", attention=AttentionConfig(gate="tanh"), training=TRAINING)
CELL_FILES = ("gates.csv", "outcomes.csv.gz", "checkpoint.pt", "gate_curve.csv", "config.json")


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with the task is installed; nobody has imported it."""
    folder = install(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(str(folder))
    for registry in (TASKS, DATASETS):
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
        monkeypatch.setattr(registry, "_plugged", {})
    return folder


def added(task: Brightness) -> RunConfig:
    """The configuration of a cell with this task, which the test itself registers."""
    TASKS.register(task.name, task)
    DATASETS.register(f"shades-{task.name}", replace(SHADES, name=f"shades-{task.name}", task=task.name))
    return replace(CONFIG, dataset=f"shades-{task.name}")


def cell(out: Path, config: RunConfig = CONFIG) -> Path:
    return out / "cells" / config.cell


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


class Raising(Brightness):
    """Raises what it is told at a call, once; `where` is "loss", "backward" or "evaluate"."""

    name = "raising"

    def __init__(self, where: str, what: BaseException, at: int = 4) -> None:
        self.where, self.what, self.left = where, what, at

    def due(self, where: str) -> bool:
        self.left -= where == self.where
        return where == self.where and self.left == 0

    def loss(self, forward: Any, x: Any, targets: Any, training: Any) -> Loss:
        found = super().loss(forward, x, targets, training).value
        if self.due("loss"):
            raise self.what
        return Loss(_Backward.apply(found, self) if self.where == "backward" else found)

    def evaluate(self, forward: Any, batches: Any) -> Evaluated:
        if self.due("evaluate"):
            raise self.what
        return super().evaluate(forward, batches)


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: torch.Tensor, task: Raising) -> torch.Tensor:
        context.task = task
        return value.clone()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        if context.task.due("backward"):
            raise context.task.what
        return gradient, None


FAULTS: list[tuple[str, BaseException, str]] = [
    ("loss", ZeroDivisionError("of mine"), "ZeroDivisionError: of mine"),
    ("loss", SystemExit(3), "SystemExit: 3"),
    ("backward", KeyError("gone"), "KeyError: 'gone'"),
    ("evaluate", UsageError("two\nlines"), "UsageError: two\\nlines"),
]


@pytest.mark.parametrize(("where", "what", "said"), FAULTS)
def test_what_a_task_raises_is_one_line_and_nothing_is_lost(
    tmp_path: Path, where: str, what: BaseException, said: str
) -> None:
    config = added(Raising(where, what, at=2 if where == "evaluate" else 6))
    told = message(TaskError, run_cell, config, tmp_path / "out")
    assert told.startswith(f"task 'raising' failed in training with seed 0: {said} (test_tasks.py, line ")
    result = run_cell(config, tmp_path / "out")
    assert result["status"] == "finished"
    run_cell(config, tmp_path / "whole")
    for name in ("outcomes.csv.gz", "checkpoint.pt", "gates.csv"):
        assert (cell(tmp_path / "out", config) / name).read_bytes() == (
            cell(tmp_path / "whole", config) / name
        ).read_bytes()


def test_what_the_network_the_batches_and_the_machine_raise_is_not_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what, kind in ((torch.OutOfMemoryError("no room"), OutOfMemoryError), (KeyboardInterrupt(), KeyboardInterrupt)):
        monkeypatch.setattr(TASKS, "_parts", {})
        monkeypatch.setattr(DATASETS, "_parts", {})
        config = added(Raising("loss", what))
        with pytest.raises(kind):
            run_cell(config, tmp_path / kind.__name__)
    broken = lambda z: torch.tanh(z) if z.shape[0] != 16 else 1 / 0  # noqa: E731
    gate = Gate(name="mine:broken", build=lambda: Elementwise(broken), source="", summary="")
    config = replace(CONFIG, attention=AttentionConfig(gate="mine:broken"))
    with pytest.raises(GateError, match="gate 'mine:broken' failed in training"):
        run_cell(config, tmp_path / "gate", gate=gate)

    def damaged(self: Any, size: int = 500) -> Iterator[Any]:
        raise DataError("a file is damaged")
        yield

    monkeypatch.setattr("bamgate.data.memory.loader.ImageLoader.evaluation_batches", damaged)
    assert message(DataError, run_cell, CONFIG, tmp_path / "data") == "a file is damaged"


def _with(**changes: Any) -> Callable[[Evaluated], Any]:
    return lambda found: replace(found, **changes)


def _outcomes(**changes: Any) -> Callable[[Evaluated], Any]:
    return lambda found: replace(found, outcomes={**found.outcomes, **changes})


WRONG: list[tuple[Callable[[Evaluated], Any], str]] = [
    (lambda found: found.value, "evaluate must return an Evaluated, got "),
    (_with(total=7), "evaluate must see all 20 test images, got 7"),
    (_with(loss="low"), "the loss of an evaluation must be a number, got 'low'"),
    (_with(value=None), "an evaluation must have a value that is a number, and no counts, got None"),
    (_with(value=torch.tensor(1.0)), "an evaluation must have a value that is a number, and no counts, got Tensor of"),
    (_with(correct=3), "an evaluation must have a value that is a number, and no counts, got "),
    (_with(outcomes={}), "outcomes must have the columns index, truth, answer, got ''"),
    (_outcomes(index=[1]), "outcomes must have equally many values in each column, got '1 of index, 20 of truth, 20"),
    (_outcomes(index=[0.5] * 20), "column 'index' of its outcomes must hold int, got 0.5"),
    (_outcomes(index=torch.rand(20)), "column 'index' of its outcomes must hold int, got 'torch.float32 (20,)'"),
    (_outcomes(truth=torch.rand(20, 1)), "column 'truth' of its outcomes must hold float, got 'torch.float32 (20, 1)'"),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=range(len(WRONG)))
def test_an_evaluation_that_cannot_be_recorded_is_named(tmp_path: Path, change: Any, said: str) -> None:
    class Wrong(Brightness):
        name = "wrong"

        def evaluate(self, forward: Any, batches: Any) -> Any:
            return change(super().evaluate(forward, batches))

    config = replace(added(Wrong()), training=replace(TRAINING, epochs=1))
    assert message(TaskError, run_cell, config, tmp_path).startswith(f"task 'wrong': {said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value, "loss must return a Loss whose value is one number with its gradient, got Tensor of"),
        (
            lambda value: Loss(value.detach()),
            "loss must return a Loss whose value is one number with its gradient, got",
        ),
        (lambda value: Loss(value[None]), "loss must return a Loss whose value is one number with its gradient, got"),
        (lambda value: Loss(value, value.detach()), "the Loss must have no hits, got Tensor of shape ()"),
    ],
)
def test_a_loss_that_cannot_be_trained_with_is_named(tmp_path: Path, change: Any, said: str) -> None:
    class Wrong(Brightness):
        name = "wrong"

        def loss(self, forward: Any, x: Any, targets: Any, training: Any) -> Any:
            return change(super().loss(forward, x, targets, training).value)

    assert message(TaskError, run_cell, added(Wrong()), tmp_path).startswith(f"task 'wrong': {said}")


def test_outcomes_that_no_table_can_hold_are_named_and_the_run_goes_on_when_that_is_put_right(tmp_path: Path) -> None:
    class Negative(Brightness):
        name = "negative"
        sign = -1

        def evaluate(self, forward: Any, batches: Any) -> Any:
            return _outcomes(index=[self.sign * n for n in range(20)])(super().evaluate(forward, batches))

    task = Negative()
    config = replace(added(task), training=replace(TRAINING, epochs=1))
    told = message(TaskError, run_cell, config, tmp_path)
    assert told.startswith("task 'negative': its outcomes cannot be kept: ")
    assert told.endswith("outcomes.csv.gz, line 3, column 'index': '-1' is negative")
    task.sign = 1
    assert run_cell(config, tmp_path)["status"] == "finished"


ROW = {"task": "t", "metric": "m", "metric_unit": "px", "metric_better": "lower", "metric_value": 2.5}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"metric_better": "more"}, "column 'metric_better': 'more' is not higher or lower"),
        ({"metric_better": None}, "column 'metric_better': is empty, but the row has another task than"),
        ({"task": None}, "column 'task': is empty, but the row has another task than classification"),
        ({"metric": None}, "column 'metric': is empty, but the row has another task than classification"),
        ({"metric_value": None}, "column 'metric_value': is empty or not finite, but the run has not diverged"),
        ({"metric_value": float("nan")}, "column 'metric_value': is empty or not finite, but the run has not"),
        ({"correct": 3}, "column 'metric_value': stands beside a count of correct images; a run has one of the two"),
        ({**dict.fromkeys(ROW), "metric_value": 2.5}, "column 'metric_value': 2.5 stands there, but no metric"),
        ({**dict.fromkeys(ROW), "metric_unit": "px"}, "column 'metric_unit': 'px' stands there, but no metric"),
        (dict.fromkeys(ROW), "column 'correct': is empty"),
    ],
)
def test_a_row_that_contradicts_itself_is_named(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    row: dict[str, Any] = {"status": "finished", "total": 5, **ROW}
    path = tmp_path / "runs.csv"
    assert len(parse_rows(RUNS, format_rows(RUNS, [row, row], header=True), path)) == 2
    text = format_rows(RUNS, [row, {**row, **values}], header=True)
    assert message(DataError, parse_rows, RUNS, text, path).startswith(f"{path}, line 3, {said}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric_better": "more"}, "is damaged: 'metric_better' 'more' is not higher or lower"),
        ({"metric_value": None}, "is damaged: 'metric_value' is empty or not finite, but the run has not diverged"),
        ({"metric_value": 9.5}, "column 'test_metric': "),
    ],
)
def test_a_result_that_contradicts_itself_or_its_epochs_is_named(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    config = replace(CONFIG, training=replace(TRAINING, epochs=1))
    result = run_cell(config, tmp_path)
    rest = {name: value for name, value in result.items() if name not in ("schema", "cell", "files")}
    CellLog(cell(tmp_path, config), config.cell).finish(rest | changes)
    assert said in message(DataError, collect, tmp_path)


def test_plug_ins_are_looked_up_when_they_are_asked_for(site: Path) -> None:
    assert TASKS.names() == ["classification", "brightness", "close"]
    assert TASKS._plugged == {}
    assert TASKS.get("brightness").metric == ERROR
    assert TASKS.get("brightness") is TASKS.get("brightness")
    assert DATASETS.get("shades-brightness").task == BRIGHTNESS.name
    assert message(UsageError, TASKS.get, "brightnes").startswith(
        "unknown task 'brightnes'; did you mean 'brightness'?"
    )
    more = "x = gone_package:X\ny = other:Y\nz = other:Brightness\n"
    install(site, f"[bamgate.tasks]\n{more}", "other", "Y = 5\nclass Brightness:\n    name = 'z'\n")
    assert message(UsageError, TASKS.get, "x") == (
        "plug-in task 'x' (gone_package:X) cannot be imported: ModuleNotFoundError: No module named 'gone_package'"
    )
    named = "must be an object whose name is"
    assert message(UsageError, TASKS.get, "y") == f"plug-in task 'y' (other:Y) {named} 'y', got int ''"
    assert message(UsageError, TASKS.get, "z") == f"plug-in task 'z' (other:Brightness) {named} 'z', got a class"
    install(site, "[bamgate.tasks]\nclassification = other:Y\n", "third", "Y = 5\n")
    taken = "plug-in task 'classification' (other:Y) takes the name of a built-in task"
    assert message(UsageError, TASKS.get, "nothing") == taken
    assert TASKS.get("classification").metric == ACCURACY


def test_a_data_set_of_an_unknown_task_is_named(tmp_path: Path) -> None:
    DATASETS.register("shades", replace(SHADES, name="shades", task="brihgtness"))
    told = message(UsageError, make_plan, {"dataset": "shades", "batch_size": 16})
    assert told.startswith("unknown task 'brihgtness'; did you mean 'brightness'?")
