"""How fast a cell would train here, from a few steps on random images."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bamgate.config import RunConfig, TrainingConfig
from bamgate.data import DataSet, Split, make_loader
from bamgate.devices import resolve_device
from bamgate.engines import Execution, Trainer
from bamgate.errors import DataError
from bamgate.gates import Gate
from bamgate.record.metric import FIRST_TASK
from bamgate.run.cells import make_trainer

MEASURE_S = 2.0
DECODED = 32  # files that the time of decoding is measured on


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured, in seconds.

    Args:
        step_s: a training step.
        test_s: a pass over the test set.
        decode_s: decoding an image in one process; None where nothing is decoded or the files are not here.
    """

    step_s: float
    test_s: float
    decode_s: float | None

    def cell_s(self, training: TrainingConfig, data: DataSet) -> float:
        """The whole training of a cell."""
        return training.epochs * (steps_an_epoch(training, data) * self.step_s + self.test_s)


def steps_an_epoch(training: TrainingConfig, data: DataSet) -> int:
    """An incomplete last batch is left out."""
    return min(training.train_limit or data.train, data.train) // training.batch_size


def trainer_to_time(config: RunConfig, gate: Gate, data: DataSet, execution: Execution) -> Trainer:
    """A cell's trainer on random images, since speed does not depend on what they show.

    The data set is read only if its task is not classification: its targets cannot be made up.
    """
    device = resolve_device(execution.device)
    # Random images stand in for files, so the network is timed alone.
    timed = replace(config, training=replace(config.training, augment="none")) if data.files else config
    splits = _random_splits(data, config.training.batch_size, device, execution.root)
    return make_trainer(timed, gate, data, splits, 0)


def measure(trainer: Trainer, training: TrainingConfig, data: DataSet, execution: Execution) -> Speed:
    """Seconds on this machine, with what decoding adds where the images are files."""
    step_s, test_s = _network_s(trainer, data)
    if not data.files:
        return Speed(step_s=step_s, test_s=test_s, decode_s=None)
    decode_s, workers = _decoding_s(training, data, execution), execution.workers_for(data)
    step_s = _with_decoding(step_s, training.batch_size * (decode_s or 0.0), workers)
    test_s = _with_decoding(test_s, data.test * (decode_s or 0.0), workers)
    return Speed(step_s=step_s, test_s=test_s, decode_s=decode_s)


def _random_splits(data: DataSet, count: int, device: torch.device, root: Path) -> tuple[Split, Split]:
    """As many random images as one batch; only of classes is it known what targets for them look like."""
    channels, height, width = data.image_shape
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, height, width, channels), generator=made, dtype=torch.uint8)
    is_first = data.task == FIRST_TASK
    targets = torch.arange(count) % data.classes if is_first else data.load(root)[0].labels[:count]
    split = Split(images=images, labels=targets).to(device)
    return split, split


def _decoding_s(training: TrainingConfig, data: DataSet, execution: Execution) -> float | None:
    """Seconds in which one process decodes and cuts an image; None where the files are not here."""
    try:
        train, test = data.load(execution.root)
    except DataError:
        return None
    count = min(DECODED, len(train))
    few: Any = (train.first(count), test.first(count))
    loader = make_loader(data, few, replace(training, batch_size=count), seed=0, workers=0)
    for _ in range(2):  # what is loaded first is loaded once
        start = time.perf_counter()
        next(loader.training_batches(0))
    return (time.perf_counter() - start) / count


def _with_decoding(network_s: float, decoding_s: float, workers: int) -> float:
    """Processes decode while the network computes; without any the two take turns."""
    return max(network_s, decoding_s / workers) if workers else network_s + decoding_s


def _network_s(trainer: Any, data: DataSet) -> tuple[float, float]:
    """(seconds a step, seconds a pass over the test set)."""
    batch = next(iter(trainer.loader.training_batches(0)))
    trainer.model.train()
    start = time.perf_counter()
    for _ in range(3):
        trainer.step(*batch, 0)[0].item()
        if time.perf_counter() - start > MEASURE_S:
            break
    start, steps = time.perf_counter(), 0
    while steps < 1 or (time.perf_counter() - start < MEASURE_S and steps < 50):
        loss, _ = trainer.step(*batch, 0)
        steps += 1
    loss.item()
    step_s = (time.perf_counter() - start) / steps
    start = time.perf_counter()
    evaluation = trainer.evaluate()
    return step_s, (time.perf_counter() - start) / evaluation.total * data.test
