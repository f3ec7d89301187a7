"""The composition root: a configuration and a folder in, a finished cell out."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from bamgate.config import SCHEMA, WITHOUT_GATE, RunConfig
from bamgate.data import (
    DataSet,
    FileSplit,
    Splits,
    dead_workers_named,
    default_root,
    default_workers,
    find_dataset,
    make_loader,
)
from bamgate.devices import check_number, cpu_threads, describe_device, exact_arithmetic, resolve_device
from bamgate.engines import CheckpointStore, Position, Trainer
from bamgate.engines.failures import failures_named
from bamgate.errors import TryAgainError, UsageError
from bamgate.gates import Gate, gate_curve, gate_facts, gate_location, named_gate
from bamgate.networks.build import Cost, build_model, cost
from bamgate.observe.gate_figures import probe_gates
from bamgate.record.runlog import CellLog, open_cell, require_one_gate, require_one_listing
from bamgate.record.storage import sole_writer

ENGINE = "single"  # as records name the way of training that is in this module
PROBE_IMAGES = 128
SAVE_EVERY_S = 600.0  # an epoch that takes longer is saved on the way


class StoppedError(TryAgainError):
    """A run was asked to stop and has saved where it stood."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How and where cells are run; recorded beside the cell, no part of its identity.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        threads: of the CPU. One by default: seeds side by side are faster than threads, and rounding stays the same.
        data_root: the folder of the data sets.
        workers: processes that decode image files, 0 for none; None: a core less than there are.
        should_stop: asked at every step boundary.
    """

    device: str = "cpu"
    threads: int = 1
    data_root: Path | None = None
    workers: int | None = None
    should_stop: Callable[[], bool] = lambda: False

    @property
    def root(self) -> Path:
        return self.data_root or default_root()

    def workers_for(self, data: DataSet) -> int:
        """How many processes decode; UsageError where a number was given and there is nothing to decode."""
        if data.files:
            if self.workers is not None:
                check_number("workers", self.workers, low=0)
            return default_workers() if self.workers is None else self.workers
        if self.workers is not None:
            raise UsageError(f"workers would have no effect: {data.name} is in memory; leave it out")
        return 0


class Listener:
    """What a run tells while it goes on; this one ignores it all."""

    def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None: ...

    def stepped(self, position: Position, steps: int) -> None: ...

    def epoch_ended(self, row: dict[str, Any]) -> None: ...

    def ended(self, result: dict[str, Any]) -> None: ...


def run_cell(
    config: RunConfig,
    out: Path,
    *,
    gate: Gate | None = None,
    execution: Execution | None = None,
    listener: Listener | None = None,
    in_study: bool = False,
) -> dict[str, Any]:
    """Train one cell under `out`, or go on with it, or read its result where it has finished.

    Args:
        gate: the part that config.attention.gate names; looked up by that name where it is not given, if that runs no
            code.
        in_study: `out` is the folder of a study that has this cell.

    Raises:
        UsageError, DataError: nothing was begun.
        GateError: the gate's code failed in training; the same call goes on from the last checkpoint.
        StoppedError: `execution.should_stop` said so; the same call goes on.
        TryAgainError: the disk is full, or another process is at work on the cell.
    """
    execution, listener = execution or Execution(), listener or Listener()
    gate = gate or named_gate(config.attention.gate)
    if gate.name != config.attention.gate:
        raise UsageError(f"the gate is {gate.name!r}, the configuration says {config.attention.gate!r}")
    log = CellLog(out / "cells" / config.cell, config.cell)
    if log.result() is None:
        named = failures_named(gate, config.seed, execution.should_stop)
        with cpu_threads(execution.threads), exact_arithmetic(resolve_device(execution.device)), named:
            _train(config, gate, out, execution, listener, in_study)
    else:
        log.claim(_identity(config, gate, None if in_study else log.folder))
    result = log.result()
    assert result is not None
    listener.ended(result)
    return result


def _train(config: RunConfig, gate: Gate, out: Path, execution: Execution, listener: Listener, in_study: bool) -> None:
    device = resolve_device(execution.device)
    # All that can be refused is built before anything is written.
    data = find_dataset(config.dataset, execution.root).at(config.image_size)
    workers = execution.workers_for(data)
    splits = _splits(config.dataset, config.training.train_limit, execution.root, device)
    trainer = make_trainer(config, gate, data, splits, config.seed, workers=workers)
    counted = cost(trainer.model, data.image_shape)
    require_one_listing(out, config, _data_facts(splits).get("listing_sha256"))
    if not in_study:  # a study has the marks of all its gates in study.json
        require_one_gate(out, gate_facts(gate))
    with contextlib.ExitStack() as held:
        held.enter_context(dead_workers_named())
        held.enter_context(contextlib.closing(trainer.loader)).begin()
        log = open_cell(out, config, in_study=in_study)
        held.enter_context(sole_writer(log.folder))
        log.claim(_identity(config, gate, None if in_study else log.folder))
        facts = {**describe_device(device, execution.threads), **_data_facts(splits)}
        log.bind({"schema": SCHEMA, **facts, "engine": ENGINE}, begun=any(log.folder.glob("checkpoint*")))
        if log.result() is None:
            if config.attention.name not in WITHOUT_GATE:
                log.write_curve(gate_curve(gate))
            log.begin()
            _Cell(config, trainer, log, execution, listener, counted, data.classes).run()


_kept: dict[tuple[str, int | None, Path, torch.device], Splits] = {}


def _splits(dataset: str, train_limit: int | None, root: Path, device: torch.device) -> Splits:
    """Both splits for the device; kept, so that the cells of one study read and check the files once."""
    asked = (dataset, train_limit, root, device)
    if asked not in _kept:
        _kept.clear()  # first, or the device would have to hold two data sets
        train, test = find_dataset(dataset, root).load(root)
        if train_limit is not None:
            train = train.first(train_limit)
        _kept[asked] = cast(Splits, (train.to(device), test.to(device)))
    return _kept[asked]


def _data_facts(splits: Splits) -> dict[str, Any]:
    """What data sets without a known checksum were trained on."""
    train, test = splits
    if not isinstance(train, FileSplit) or not isinstance(test, FileSplit):
        return {}
    return {"listing_sha256": train.listing_sha256, "class_names": test.class_names}


def _identity(config: RunConfig, gate: Gate, folder: Path | None) -> dict[str, Any]:
    """What config.json says of a cell.

    Args:
        folder: that of the cell, from which the code of its gate is found again; None where the study says it.
    """
    location = {} if folder is None else gate_location(gate, folder)
    return {
        "schema": SCHEMA,
        "cell": config.cell,
        "config": config.to_dict(),
        "config_sha256": config.sha256,
        "design_sha256": config.design_sha256,
        "gate": {**gate_facts(gate), **location},
    }


def make_trainer(
    config: RunConfig, gate: Gate, data: DataSet, splits: Splits, seed: int, *, workers: int = 0
) -> Trainer:
    """Network, batches and optimiser of a cell, on the device of the splits; `workers` decode image files."""
    training, device = config.training, splits[0].device
    if device.type == "cpu" and training.compile == "cuda-graphs":
        raise UsageError("compile 'cuda-graphs' needs --device cuda (allowed on the cpu: off, default)")
    loader = make_loader(data, splits, training, seed=seed, workers=workers)
    model = build_model(
        config.model,
        config.attention,
        gate,
        num_classes=data.classes,
        in_channels=data.channels,
        image_size=data.image_shape[1:],
        seed=seed,
    )
    return Trainer(model.to(device), loader, training)


class _Cell:
    """One cell on its way from a position to its result."""

    def __init__(
        self,
        config: RunConfig,
        trainer: Trainer,
        log: CellLog,
        execution: Execution,
        listener: Listener,
        counted: Cost,
        num_classes: int,
    ) -> None:
        self.config, self.trainer, self.log = config, trainer, log
        self.execution, self.listener = execution, listener
        self.cost, self.num_classes = counted, num_classes
        self.store = CheckpointStore(log.folder)

    def run(self) -> None:
        """Train from the last checkpoint to the end; StoppedError where that was asked for."""
        position = self._restore()
        self.saved_at = time.monotonic()
        while position.epoch < self.config.training.epochs and not position.diverged:
            if not self.trainer.train_epoch(position, lambda where: self._pause(where)):
                self._save(position)
                if self.execution.should_stop():
                    raise StoppedError(f"stopped in epoch {position.epoch + 1}, step {position.step}; it is saved")
                continue
            position = self._end_epoch(position)
        self._finish(position)

    def _restore(self) -> Position:
        found = self.store.load()
        tensors, position, note = found or ({}, Position(), "")
        if tensors:
            self.trainer.load_state(tensors)
        self.log.cut_after(position.epoch if tensors else -1)
        self.listener.began(self.config, self.log.folder, position, note)
        if not tensors:
            self._probe(0)
        return position

    def _pause(self, position: Position) -> bool:
        self.listener.stepped(position, self.trainer.loader.steps)
        return self.execution.should_stop() or time.monotonic() - self.saved_at > SAVE_EVERY_S

    def _save(self, position: Position) -> None:
        self.store.save(self.trainer.state(), position)
        self.saved_at = time.monotonic()

    def _probe(self, epoch: int) -> None:
        x, labels, masks = self.trainer.loader.probe_batch(PROBE_IMAGES)
        figures = probe_gates(
            self.trainer.model,
            x,
            labels,
            masks,
            autocast=self.trainer.autocast(),
            batch_statistics=epoch == 0,
        )
        if figures:
            self.log.append("gates.csv", [{"epoch": epoch, **row} for row in figures])

    def _end_epoch(self, position: Position) -> Position:
        """Evaluate, log, save; the position at the start of the next epoch."""
        evaluation = self.trainer.evaluate()
        images = position.step * self.config.training.batch_size
        row = {
            "epoch": position.epoch + 1,
            "lr": self.trainer.learning_rate(position),
            "train_loss": position.loss_sum / position.step,
            "train_correct": position.correct,
            "train_total": images,
            "test_loss": evaluation.loss,
            "test_correct": evaluation.correct,
            "test_top5_correct": evaluation.top5_correct,
            "test_total": evaluation.total,
            "images_per_s": images / position.seconds if position.seconds else 0.0,
            "wall_s": position.seconds,
        }
        self.log.append("epochs.csv", [row])
        self._probe(position.epoch + 1)
        # Weights that fit the training set to the last step may still be beyond use: the test loss tells.
        diverged = position.diverged or not math.isfinite(evaluation.loss)
        following = Position(epoch=position.epoch + 1, diverged=diverged)
        self._save(following)
        self.listener.epoch_ended(row)
        return following

    def _finish(self, position: Position) -> None:
        evaluation = self.trainer.evaluate()
        self.log.write_outcomes(self.trainer.loader.test_labels.tolist(), evaluation.predicted.tolist())
        rows = self.log.rows("epochs.csv")
        normalise = self.trainer.loader.normalise
        seconds = sum(row["wall_s"] for row in rows)
        images = sum(row["train_total"] for row in rows)
        self.log.finish(
            {
                "status": "diverged" if position.diverged else "finished",
                "epochs": position.epoch,
                "correct": evaluation.correct,
                "top5_correct": evaluation.top5_correct,
                "total": evaluation.total,
                "test_loss": evaluation.loss if math.isfinite(evaluation.loss) else None,
                "num_classes": self.num_classes,
                "normalisation": {"mean": normalise.mean.tolist(), "std": normalise.std.tolist()},
                "params": self.cost.params,
                "macs": self.cost.macs,
                "images_per_s": images / seconds if seconds else 0.0,
                "wall_s": seconds,
                "checkpoint_sha256": self.store.finish(),
            }
        )
