"""One cell's life: opened where it stands, told of its epochs, saved, and finished. Engines drive it."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bamgate.config import RunConfig
from bamgate.engines.checkpoint import CheckpointStore
from bamgate.engines.trainer import Position, Trainer
from bamgate.errors import DataError, TaskError
from bamgate.networks.build import Cost
from bamgate.observe.gate_figures import probe_gates
from bamgate.record.metric import metric_facts
from bamgate.record.runlog import CellLog
from bamgate.tasks import Evaluated, Forward

PROBE_IMAGES = 128
SAVE_EVERY_S = 600.0  # an epoch that takes longer is saved on the way


class Listener:
    """What a run tells while it goes on; this one ignores it all."""

    def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None: ...

    def stepped(self, position: Position, steps: int) -> None: ...

    def epoch_ended(self, row: dict[str, Any]) -> None: ...

    def ended(self, result: dict[str, Any]) -> None: ...


class Session:
    """One cell from where it stands to its result.

    Args:
        trainer: network, optimiser and batches of the cell, with its initial weights.
        log: the cell's record, claimed by this process.
        counted, num_classes: facts for the result.

    position: where the cell stands; that of its last checkpoint when the session is opened.
    """

    def __init__(
        self,
        config: RunConfig,
        trainer: Trainer,
        log: CellLog,
        listener: Listener,
        counted: Cost,
        num_classes: int,
    ) -> None:
        self.config, self.trainer, self.log, self.listener = config, trainer, log, listener
        self.cost, self.num_classes = counted, num_classes
        self.store = CheckpointStore(log.folder)
        self.position = self._restored()
        self._saved_at = time.monotonic()

    @property
    def is_trained(self) -> bool:
        """Whether there is nothing left but to finish."""
        return self.position.diverged or self.position.epoch >= self.config.training.epochs

    @property
    def is_due(self) -> bool:
        """Whether the last save is so long ago that an epoch is saved on the way."""
        return time.monotonic() - self._saved_at > SAVE_EVERY_S

    def _restored(self) -> Position:
        found = self.store.load()
        tensors, position, note = found or ({}, Position(), "")
        if tensors:
            self.trainer.load_state(tensors)
        self.log.cut_after(position.epoch if tensors else -1)
        self.listener.began(self.config, self.log.folder, position, note)
        if not tensors:
            self.probe(0)
        return position

    def stepped(self) -> None:
        """Tell the listener of a step."""
        self.listener.stepped(self.position, self.trainer.loader.steps)

    def save(self) -> None:
        """Write a checkpoint of where the cell stands."""
        self.store.save(self.trainer.state(), self.position)
        self._saved_at = time.monotonic()

    def probe(self, epoch: int) -> None:
        """Add what the gates do now to gates.csv."""
        x, labels, masks = self.trainer.loader.probe_batch(PROBE_IMAGES)
        figures = probe_gates(
            self.trainer.model,
            x,
            labels,
            masks,
            autocast=self.trainer.autocast(),
            batch_statistics=epoch == 0,
            loss=self._loss_of_probe,
        )
        if figures:
            self.log.append("gates.csv", [{"epoch": epoch, **row} for row in figures])

    def _loss_of_probe(self, forward: Forward, x: Tensor, targets: Tensor) -> Tensor:
        """Without smoothing, which would change gradients that are compared over recipes."""
        return self.trainer.loss(forward, x, targets, label_smoothing=0.0).value

    def end_epoch(self) -> None:
        """Evaluate, log and save; the cell then stands at the start of its next epoch."""
        position, evaluation = self.position, self.trainer.evaluate()
        value = evaluation.value
        images = position.step * self.config.training.batch_size
        row = {
            "epoch": position.epoch + 1,
            "lr": self.trainer.learning_rate(position),
            "train_loss": position.loss_sum / position.step,
            "train_correct": position.correct if value is None else None,
            "train_total": images,
            "test_loss": evaluation.loss,
            "test_correct": evaluation.correct,
            "test_top5_correct": evaluation.top5_correct,
            "test_total": evaluation.total,
            "images_per_s": images / position.seconds if position.seconds else 0.0,
            "wall_s": position.seconds,
            **({} if value is None else {"test_metric": float(value)}),
        }
        self.log.append("epochs.csv", [row])
        self.probe(position.epoch + 1)
        # Weights that fit the training set to the last step may still be beyond use: loss and metric of the test tell.
        found = (evaluation.loss, value or 0.0)
        diverged = position.diverged or not all(map(math.isfinite, found))
        self.position = Position(epoch=position.epoch + 1, diverged=diverged)
        self.save()
        self.listener.epoch_ended(row)

    def finish(self) -> None:
        """Write outcomes and result: the cell has ended."""
        position, evaluation, task = self.position, self.trainer.evaluate(), self.trainer.task
        try:
            outcomes = {name: _plain(values) for name, values in evaluation.outcomes.items()}
            self.log.write_outcomes(task.outcomes, outcomes)
        except DataError as error:
            raise TaskError(f"task {task.name!r}: its outcomes cannot be kept: {error}") from error
        rows = self.log.rows("epochs.csv")
        normalise = self.trainer.loader.normalise
        seconds = sum(row["wall_s"] for row in rows)
        images = sum(row["train_total"] for row in rows)
        self.log.finish(
            {
                "status": "diverged" if position.diverged else "finished",
                "epochs": position.epoch,
                **_counts(evaluation),
                "total": evaluation.total,
                **metric_facts(task.name, task.metric),
                **({} if evaluation.value is None else {"metric_value": _finite(evaluation.value)}),
                "test_loss": _finite(evaluation.loss),
                "num_classes": self.num_classes,
                "normalisation": {"mean": normalise.mean.tolist(), "std": normalise.std.tolist()},
                "params": self.cost.params,
                "macs": self.cost.macs,
                "images_per_s": images / seconds if seconds else 0.0,
                "wall_s": seconds,
                "checkpoint_sha256": self.store.finish(),
            }
        )


def _counts(evaluation: Evaluated) -> dict[str, int]:
    """What was counted, by its name in the result."""
    counts = {"correct": evaluation.correct, "top5_correct": evaluation.top5_correct}
    return {name: int(count) for name, count in counts.items() if count is not None}


def _finite(number: float) -> float | None:
    """JSON has no other numbers."""
    return float(number) if math.isfinite(number) else None


def _plain(values: Tensor | Sequence[Any]) -> Sequence[Any]:
    found: Sequence[Any] = values.tolist() if isinstance(values, Tensor) else values
    return found
