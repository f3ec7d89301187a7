"""The task `classification`: one class an image, judged by how often the first answer is right."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bamgate.config import TrainingConfig
from bamgate.record.columns import OUTCOMES
from bamgate.record.metric import ACCURACY, FIRST_TASK
from bamgate.tasks.ranking import ranked
from bamgate.tasks.task import TASKS, Batch, Evaluated, Forward, Loss


class Classification:
    """See `bamgate.tasks.task.Task`; targets are classes, int64 B."""

    name, metric, outcomes = FIRST_TASK, ACCURACY, OUTCOMES

    def check(self, training: TrainingConfig) -> None:
        """Every setting has an effect."""

    def loss(self, forward: Forward, x: Tensor, targets: Tensor, training: TrainingConfig) -> Loss:
        """Cross-entropy, and how many first answers are right."""
        logits = forward(x)
        loss = F.cross_entropy(logits, targets, label_smoothing=training.label_smoothing)
        return Loss(loss, (logits.detach().argmax(dim=1) == targets).sum())

    def evaluate(self, forward: Forward, batches: Iterable[Batch]) -> Evaluated:
        """Loss without smoothing, top-1 and top-5 hits."""
        loss: Tensor | float = 0.0
        top5: Tensor | int = 0
        predicted, labels = [], []
        for x, targets in batches:
            logits = forward(x)
            # In float64, one batch after the other: the order decides the last digit.
            loss = loss + F.cross_entropy(logits, targets, reduction="sum").double()
            found = ranked(logits, targets)
            top5 = top5 + found.top5.sum()
            predicted.append(found.predicted)
            labels.append(targets)
        first, truth = torch.cat(predicted), torch.cat(labels)
        hits, total = (first == truth).long(), len(truth)
        return Evaluated(
            loss=float(loss) / total,
            total=total,
            correct=int(hits.sum()),
            top5_correct=int(top5),
            outcomes={"index": range(total), "label": truth, "predicted": first, "correct": hits},
        )

    def score(self, outcomes: Sequence[Mapping[str, Any]]) -> int:
        """How many are right; ValueError with the row that a run does not write."""
        for number, row in enumerate(outcomes):
            if row["index"] != number or row["correct"] != int(row["label"] == row["predicted"]):
                raise ValueError(f"line {number + 2}: not what a run writes")
        return sum(row["correct"] for row in outcomes)


CLASSIFICATION = TASKS.register(Classification.name, Classification())
