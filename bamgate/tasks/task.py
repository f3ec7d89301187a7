"""The seam between training and what is learned: what a task is.

A task says how far answers are off, what a run is judged by, and what is kept of each answer. The training loop, the
record and the tables know none of it. To add one: a file that registers it, and one import line in `bamgate.tasks`; a
package brings one by an entry point of the group `bamgate.tasks`, and its data sets by `bamgate.datasets`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from bamgate.config import TrainingConfig
from bamgate.record.columns import Table
from bamgate.record.metric import Metric
from bamgate.registry import Registry

Forward = Callable[[Tensor], Tensor]  # images float B, C, H, W -> the network's answers, float B, K
Batch = tuple[Tensor, Tensor]  # images, and the data set's targets for them


class Loss(NamedTuple):
    """Of one batch, still on the device.

    value: one number with its gradient. hits: how many answers are right, for a task whose metric is a count.
    """

    value: Tensor
    hits: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One pass over the test set.

    Args:
        loss: mean over the images.
        total: how many images there are.
        correct, top5_correct: counts, if the task's metric is one; the second may be unknown.
        value: of the metric, if that is not a count.
        outcomes: what outcomes.csv.gz keeps, by the task's columns, without "schema": equally many values of each.
    """

    loss: float
    total: int
    correct: int | None = None
    top5_correct: int | None = None
    value: float | None = None
    outcomes: Mapping[str, Tensor | Sequence[Any]] = field(default_factory=dict)


class Task(Protocol):
    """What is learned, by name.

    name: as data sets name it, and as the record has it.
    metric: what runs are judged by.
    outcomes: columns of outcomes.csv.gz, the first of which is "schema". It holds what an answer is judged by again.
    """

    @property
    def name(self) -> str: ...

    @property
    def metric(self) -> Metric: ...

    @property
    def outcomes(self) -> Table: ...

    def check(self, training: TrainingConfig) -> None:
        """UsageError for a setting that would have no effect, or a wrong one."""
        ...

    def loss(self, forward: Forward, x: Tensor, targets: Tensor, training: TrainingConfig) -> Loss:
        """The loss of a batch, in training mode. Nothing here may wait for the device."""
        ...

    def evaluate(self, forward: Forward, batches: Iterable[Batch]) -> Evaluated:
        """One pass over the test set, in evaluation mode, without gradients. The same weights give the same figures."""
        ...

    def score(self, outcomes: Sequence[Mapping[str, Any]]) -> float | None:
        """The metric's value, or the count if it is one, from the rows of outcomes.csv.gz; None if they do not tell.

        `bamgate study verify` holds it against the result. ValueError that says what is wrong with the rows.
        """
        ...


TASKS: Registry[Task] = Registry("task", "bamgate.tasks")
