"""What a task may get wrong: each fault is one line that names it, and nothing is lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from record_samples import message
from task_runs import CONFIG, TRAINING, added, cell, site
from task_samples import BRIGHTNESS, ERROR, SHADES, Brightness, install

from bamgate.config import AttentionConfig
from bamgate.data import DATASETS
from bamgate.errors import DataError, GateError, OutOfMemoryError, TaskError, UsageError
from bamgate.gates import Gate
from bamgate.gates.gate import Elementwise
from bamgate.record.collect import collect
from bamgate.record.metric import ACCURACY
from bamgate.record.runlog import CellLog
from bamgate.record.tables import RUNS, format_rows, parse_rows
from bamgate.run.cells import run_cell
from bamgate.run.resolve import make_plan
from bamgate.tasks import TASKS, Evaluated, Loss

__all__ = ["site"]  # a fixture of every test here


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
    assert told.startswith(f"task 'raising' failed in training with seed 0: {said} (test_task_failures.py, line ")
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
