"""The one caller of tasks in training: what a task answers is checked here, and what it raises arises below here."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from bamgate.config import TrainingConfig
from bamgate.errors import TaskError
from bamgate.tasks.task import Batch, Evaluated, Forward, Loss, Task

_IS_A: dict[type, Any] = {int: Integral, float: Real, str: str}


def asked_loss(task: Task, forward: Forward, x: Tensor, targets: Tensor, training: TrainingConfig) -> Loss:
    """What `task.loss` answers; TaskError if it is no loss of this task."""
    loss = task.loss(forward, x, targets, training)
    value = loss.value if isinstance(loss, Loss) else None
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        raise _wrong(
            task,
            "loss must return a Loss whose value is one number with its gradient",
            loss if value is None else value,
        )
    if isinstance(loss.hits, Tensor) != task.metric.is_count:
        rule = "must have hits, since the metric is a count" if task.metric.is_count else "must have no hits"
        raise _wrong(task, f"the Loss {rule}", loss.hits)
    return loss


def asked_evaluation(task: Task, forward: Forward, batches: Iterable[Batch], total: int) -> Evaluated:
    """What `task.evaluate` answers; TaskError if that cannot be recorded.

    Args:
        total: how many test images there are.
    """
    found = task.evaluate(forward, batches)
    if not isinstance(found, Evaluated):
        raise _wrong(task, "evaluate must return an Evaluated", found)
    if found.total != total:
        raise _wrong(task, f"evaluate must see all {total} test images", found.total)
    if not _is(float, found.loss):
        raise _wrong(task, "the loss of an evaluation must be a number", found.loss)
    if task.metric.is_count:
        _require_counts(task, found)
    elif not _is(float, found.value) or (found.correct, found.top5_correct) != (None, None):
        raise _wrong(task, "an evaluation must have a value that is a number, and no counts", found.value)
    _require_outcomes(task, found)
    return found


def _require_counts(task: Task, found: Evaluated) -> None:
    counts: list[Any] = [found.correct, *([] if found.top5_correct is None else [found.top5_correct])]
    if found.value is not None or not all(_is(int, n) and 0 <= n <= found.total for n in counts):
        raise _wrong(task, f"an evaluation must count correct images, 0 to {found.total}, and have no value", counts)


def _require_outcomes(task: Task, found: Evaluated) -> None:
    """By the types of tensors, and the first value of what is no tensor: nothing here waits for the device."""
    columns = {name: kind for name, kind in task.outcomes.items() if name != "schema"}
    if found.outcomes.keys() != columns.keys():
        raise _wrong(task, f"outcomes must have the columns {', '.join(columns)}", ", ".join(found.outcomes))
    if len({len(values) for values in found.outcomes.values()}) > 1:
        raise _wrong(task, "outcomes must have equally many values in each column", _lengths(found))
    for name, kind in columns.items():
        values = found.outcomes[name]
        if isinstance(values, Tensor):
            is_number = kind is not str and values.dtype != torch.bool
            fits = values.ndim == 1 and is_number and values.is_floating_point() == (kind is float)
        else:
            fits = all(value is None or _is(kind, value) for value in values[:1])
        if not fits:
            shown = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else values[0]
            raise _wrong(task, f"column {name!r} of its outcomes must hold {kind.__name__}", shown)


def _is(kind: type, value: object) -> bool:
    """Also a number of numpy's; True and False are none."""
    return isinstance(value, _IS_A[kind]) and not isinstance(value, bool)


def _lengths(found: Evaluated) -> str:
    return ", ".join(f"{len(values)} of {name}" for name, values in found.outcomes.items())


def _wrong(task: Task, rule: str, found: object) -> TaskError:
    shown = f"{type(found).__name__} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
    return TaskError(f"task {task.name!r}: {rule}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")
