"""A cell from beginning to end, in process: its files, its record, its outcomes."""

import contextlib
import csv
import gzip
import itertools
import json
import math
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL, bamgate, without_times
from torch import Tensor, nn

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.data import Split
from bamgate.engines import Execution, Listener, Position, StoppedError, checkpoint
from bamgate.errors import TryAgainError, UsageError
from bamgate.gates import GATES, Gate, fingerprint
from bamgate.record import runlog, sealed, storage
from bamgate.record.collect import collect
from bamgate.record.storage import sole_writer
from bamgate.run import cells as experiment
from bamgate.run.cells import run_cell

RECIPE = TrainingConfig(epochs=3, batch_size=32, lr=0.05, schedule="cosine", augment="crop", train_limit=160)
CONFIG = RunConfig(dataset="digits", training=RECIPE, attention=AttentionConfig(gate="tanh"))


def _rows(path: Path) -> list[dict[str, str]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def test_a_finished_cell_holds_everything_that_it_should(tmp_path: Path) -> None:
    result = run_cell(CONFIG, tmp_path)
    folder = tmp_path / "cells" / CONFIG.cell
    names = {"config.json", "environment.json", "epochs.csv", "gates.csv", "outcomes.csv.gz", "result.json"}
    names |= {"gate_curve.csv", "checkpoint.pt", "checkpoint.sha256", "attempts.csv", ".lock"}
    assert {path.name for path in folder.iterdir()} == names
    epochs, gates, outcomes = (_rows(folder / name) for name in ("epochs.csv", "gates.csv", "outcomes.csv.gz"))
    assert [row["epoch"] for row in epochs] == ["1", "2", "3"]
    assert [(row["epoch"], row["site"]) for row in gates] == [
        (str(e), s) for e in range(4) for s in ("layer1", "layer2")
    ]
    assert len(outcomes) == result["total"] == 500
    assert sum(int(row["correct"]) for row in outcomes) == result["correct"] == int(epochs[-1]["test_correct"])
    assert all(int(row["correct"]) == int(row["label"] == row["predicted"]) for row in outcomes)
    assert result["status"] == "finished"
    stored = json.loads((folder / "config.json").read_text())
    assert stored["config"] == CONFIG.to_dict()
    assert stored["gate"]["fingerprint"] == fingerprint(GATES.get("tanh"))
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["engine"] == Execution().engine == "single"
    assert environment["torch"] == torch.__version__.split("+")[0] or environment["torch"] == torch.__version__


def test_the_checkpoint_is_the_network_that_was_measured(tmp_path: Path) -> None:
    from bamgate.data import DATASETS
    from bamgate.run.cells import make_trainer

    result = run_cell(CONFIG, tmp_path)
    content = torch.load(tmp_path / "cells" / CONFIG.cell / "checkpoint.pt", weights_only=True)
    train, test = DATASETS.get("digits").load(Path())
    trainer = make_trainer(CONFIG, GATES.get("tanh"), DATASETS.get("digits"), (train.first(160), test), seed=77)
    trainer.load_state({name: value for name, value in content.items() if name != "position"})
    assert trainer.evaluate().correct == result["correct"]


def test_the_same_command_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        run_cell(CONFIG, tmp_path / name)
    assert without_times(tmp_path / "one") == without_times(tmp_path / "other")


def test_a_finished_cell_is_read_and_not_trained_again(tmp_path: Path) -> None:
    first = run_cell(CONFIG, tmp_path)

    class Refuses(Listener):
        def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None:
            raise AssertionError("trained again")

    assert run_cell(CONFIG, tmp_path, listener=Refuses()) == first


class _StopAt:
    """should_stop that says yes at its n-th question, and is asked at step boundaries only."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopped_at_any_step_and_gone_on_gives_the_same_bytes(tmp_path: Path, precision: str) -> None:
    config = replace(CONFIG, training=replace(RECIPE, precision=precision))
    run_cell(config, tmp_path / "whole")
    stops = 0
    while not (tmp_path / "cut" / "cells" / config.cell / "result.json").exists():
        with contextlib.suppress(StoppedError):
            run_cell(config, tmp_path / "cut", execution=Execution(should_stop=_StopAt(3)))
            continue
        stops += 1
    assert stops > 3
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "cut")


class _Died(BaseException):
    """A process that ends here and now."""


def _dying(function: Any, counter: Iterator[int], at: int) -> Any:
    def wrapped(*arguments: Any) -> Any:
        if next(counter) == at:
            raise _Died
        return function(*arguments)

    return wrapped


@pytest.mark.slow
def test_a_crash_before_any_write_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die before the n-th append or replacement, for every n, and go on in the same folder."""
    run_cell(CONFIG, tmp_path / "whole")
    whole, at, died = without_times(tmp_path / "whole"), 0, True
    while died:
        at += 1
        counter, died = itertools.count(1), False
        with monkeypatch.context() as patch:
            for module in (sealed, runlog, checkpoint):
                patch.setattr(module, "write_atomic", _dying(storage.write_atomic, counter, at))
            patch.setattr(runlog, "append_synced", _dying(storage.append_synced, counter, at))
            try:
                run_cell(CONFIG, tmp_path / str(at))
            except _Died:
                died = True
        run_cell(CONFIG, tmp_path / str(at))
        assert without_times(tmp_path / str(at)) == whole, f"died before write {at}"
    # design, config, environment, curve, attempt; the first probe; four writes an epoch; outcomes, hashes, result.
    assert at - 1 == 5 + 1 + 4 * 3 + 3


def test_a_flipped_bit_in_the_checkpoint_is_found_and_the_run_falls_back(tmp_path: Path) -> None:
    run_cell(CONFIG, tmp_path / "whole")
    notes = []

    class Notes(Listener):
        def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None:
            notes.append((position.epoch, note))

    with pytest.raises(StoppedError):
        run_cell(CONFIG, tmp_path / "cut", execution=Execution(should_stop=_StopAt(10)))
    path = tmp_path / "cut" / "cells" / CONFIG.cell / "checkpoint.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    run_cell(CONFIG, tmp_path / "cut", listener=Notes())
    expected = f"{path} is damaged (its sha256 is not the one that was saved); going on from epoch 2"
    assert notes == [(2, expected)]
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "cut")


class _Explodes(nn.Module):
    """Finite until its parameter has been trained once."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = nn.Parameter(torch.tensor(0.0))

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.where(self.fuse == 0, 1.0, float("inf")) + 0 * self.fuse + z * self.fuse


def test_a_diverged_run_is_an_outcome(tmp_path: Path) -> None:
    gate = Gate(name="explodes", build=_Explodes, source="explodes")
    config = replace(CONFIG, attention=AttentionConfig(gate="explodes"))
    result = run_cell(config, tmp_path, gate=gate)
    folder = tmp_path / "cells" / config.cell
    assert result["status"] == "diverged"
    assert result["epochs"] == 1
    assert result["test_loss"] is None
    assert _rows(folder / "epochs.csv")[0]["train_loss"] == "nan"
    assert (folder / "checkpoint.pt").exists()
    assert (folder / "outcomes.csv.gz").exists()
    assert json.loads((folder / "result.json").read_text())["status"] == "diverged"
    assert run_cell(config, tmp_path, gate=gate) == result
    assert collect(tmp_path)[0]["status"] == "diverged"


def test_when_a_run_diverges_does_not_depend_on_when_it_was_stopped(tmp_path: Path) -> None:
    config = replace(CONFIG, training=replace(RECIPE, lr=1e6, schedule="constant"))
    whole = run_cell(config, tmp_path / "whole")
    assert whole["status"] == "diverged"
    while not (tmp_path / "cut" / "cells" / config.cell / "result.json").exists():
        with contextlib.suppress(StoppedError):
            run_cell(config, tmp_path / "cut", execution=Execution(should_stop=_StopAt(2)))
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "cut")


def test_speed_counts_the_time_before_a_stop(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_cell(CONFIG, tmp_path, execution=Execution(should_stop=_StopAt(4)))
    content = torch.load(tmp_path / "cells" / CONFIG.cell / "checkpoint.pt", weights_only=True)
    assert json.loads(content["position"])["seconds"] > 0


@pytest.mark.parametrize("change", [{"batch_size": 4096}, {"compile": "cuda-graphs"}], ids=str)
def test_a_run_that_is_refused_leaves_nothing_behind(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        run_cell(replace(CONFIG, training=replace(RECIPE, **change)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_threads_and_randomness_of_the_caller_are_left_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run_cell(CONFIG, tmp_path, execution=Execution(threads=2))
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_a_users_own_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.tmp").write_text("mine")
    (tmp_path / "folder.tmp").mkdir()
    (tmp_path / "runs.csv.1-2.tmp").write_text("left by a killed writer")
    run_cell(CONFIG, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.tmp")) == ["folder.tmp", "notes.tmp"]


def test_a_gate_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run_cell(CONFIG, tmp_path, gate=GATES.get("sigmoid"))
    assert str(caught.value) == "the gate is 'sigmoid', the configuration says 'tanh'"


def test_another_gate_under_the_same_name_is_refused(tmp_path: Path) -> None:
    config = replace(CONFIG, attention=AttentionConfig(gate="mine"))
    tanh = GATES.get("tanh")
    run_cell(config, tmp_path, gate=replace(tanh, name="mine"))
    with pytest.raises(UsageError, match="gate 'mine' is not the function it was when"):
        run_cell(config, tmp_path, gate=replace(GATES.get("softsign"), name="mine"))


def test_a_gate_that_was_edited_between_two_seeds_is_refused(tmp_path: Path) -> None:
    """One name would stand for two functions in one arm."""
    file, out = tmp_path / "mine.py", tmp_path / "out"
    file.write_text("def g(z):\n    return z.tanh()\n")
    words = ["run", "--gate", f"{file}:g", "--dataset", "digits", "--model", "resnet8", *SMALL, "--epochs", "1"]
    first = bamgate(*words, "--seeds", "0", "--out", str(out))
    assert first.returncode == 0, first.stderr
    before = sorted(out.rglob("*"))
    for text in ("def g(z):\n    return z.sigmoid()\n", "def g(z):\n    return z.tanh()  # only the source differs\n"):
        file.write_text(text)
        for more in ([], ["--dry-run"]):
            told = bamgate(*words, "--seeds", "1", "--out", str(out), *more)
            assert told.returncode == 2
            assert "gate 'mine.py:g' is not the function it was when" in told.stderr
            assert sorted(out.rglob("*")) == before


def test_a_run_whose_last_step_destroyed_the_weights_has_diverged(tmp_path: Path) -> None:
    """The one training loss is finite: only the test set tells."""
    training = replace(RECIPE, lr=1e30, epochs=1, train_limit=RECIPE.batch_size)
    result = run_cell(replace(CONFIG, training=training), tmp_path)
    (row,) = collect(tmp_path)
    (epoch,) = _rows(tmp_path / "epochs.csv")
    assert math.isfinite(float(epoch["train_loss"]))
    assert (result["status"], row["status"], result["test_loss"]) == ("diverged", "diverged", None)


def test_another_configuration_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run_cell(CONFIG, tmp_path)
    with pytest.raises(UsageError) as caught:
        run_cell(replace(CONFIG, training=replace(RECIPE, lr=0.1)), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} belongs to another configuration: training.lr is 0.05 there and 0.1 here; choose another --out"
    )


def test_a_cell_that_another_process_holds_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cells" / CONFIG.cell
    folder.mkdir(parents=True)
    with sole_writer(folder), pytest.raises(TryAgainError, match="another process is at work on"):
        run_cell(CONFIG, tmp_path)
    assert {path.name for path in folder.iterdir()} == {".lock"}


def test_going_on_with_other_threads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_cell(CONFIG, tmp_path, execution=Execution(should_stop=_StopAt(3)))
    with pytest.raises(UsageError, match="was begun with threads 1, this is threads 2"):
        run_cell(CONFIG, tmp_path, execution=Execution(threads=2))


@pytest.mark.parametrize("device", ["tpu9", "cuda:99", "meta"])
def test_a_device_that_is_not_there(tmp_path: Path, device: str) -> None:
    with pytest.raises(UsageError, match="device"):
        run_cell(CONFIG, tmp_path, execution=Execution(device=device))
    assert not list(tmp_path.iterdir())


def test_attention_none_has_no_gate_rows(tmp_path: Path) -> None:
    config = replace(CONFIG, attention=AttentionConfig(name="none", gate="none"))
    run_cell(config, tmp_path)
    assert not (tmp_path / "cells" / config.cell / "gates.csv").exists()
    assert len(collect(tmp_path)) == 1


@pytest.mark.gpu
def test_a_run_on_a_gpu_goes_on_to_the_same_bytes(tmp_path: Path, cuda: torch.device) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    run_cell(CONFIG, tmp_path / "whole", execution=Execution(device="cuda"))
    with pytest.raises(StoppedError):
        run_cell(CONFIG, tmp_path / "cut", execution=Execution(device="cuda", should_stop=_StopAt(7)))
    run_cell(CONFIG, tmp_path / "cut", execution=Execution(device="cuda"))
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "cut")


def test_a_network_that_cannot_take_the_images_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    config = RunConfig(dataset="digits", model="squeezenet1.1", training=TrainingConfig(epochs=1, batch_size=16))
    with pytest.raises(UsageError, match=r"^the network cannot take 8x8x1 images \(RuntimeError: .*\); larger images"):
        run_cell(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_makes_room_before_the_next_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both at once might not fit on the device. The last one is kept: the cells of a study share it."""
    at_loading: list[bool] = []
    held: list[weakref.ref[torch.Tensor]] = []
    find = experiment.find_dataset

    def watched(name: str, root: Path) -> Any:
        at_loading.append(any(ref() is not None for ref in held))
        return find(name, root)

    monkeypatch.setattr(experiment, "find_dataset", watched)
    cpu = torch.device("cpu")
    for limit in (32, 32, 64):
        train, _ = experiment._splits("digits", limit, tmp_path, cpu)
        assert isinstance(train, Split)
        held.append(weakref.ref(train.labels))
        assert len(train) == limit
        del train
    assert at_loading == [False, False]
