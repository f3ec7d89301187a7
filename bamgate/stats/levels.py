"""How accurate one gate is: the mean over seeds with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bamgate.errors import UsageError
from bamgate.stats.result import Result
from bamgate.stats.status import EQUAL_VALUES, NO_VALUES, ONE_SEED


@dataclass(frozen=True, kw_only=True)
class Level(Result):
    """A summary of n values, in their unit. low and high are the 95 % t interval of the mean over seeds."""

    call: ClassVar[str] = "scipy.stats.t(n - 1, mean, sd / sqrt(n)).interval(0.95), sd by n - 1"
    n: int
    mean: float | None = None
    sd: float | None = None
    sem: float | None = None
    low: float | None = None
    high: float | None = None
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None


def level(values: Sequence[float]) -> Level:
    """The level of one arm, from one value per seed. A single seed, or equal values, have a mean but no interval."""
    from scipy import stats

    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise UsageError(f"a level needs finite numbers, got {next(v for v in x.tolist() if not math.isfinite(v))}")
    n = len(x)
    if n == 0:
        return Level(n=0, status=NO_VALUES)
    middle: dict[str, Any] = {"mean": float(x.mean()), "minimum": float(x.min()), "median": float(np.median(x))}
    middle["maximum"] = float(x.max())
    if n == 1:
        return Level(n=1, **middle, status=ONE_SEED)
    if x.min() == x.max():
        return Level(n=n, **middle, sd=0.0, sem=0.0, status=EQUAL_VALUES)
    sd = float(x.std(ddof=1))
    sem = sd / math.sqrt(n)
    low, high = stats.t(n - 1, middle["mean"], sem).interval(0.95)
    return Level(n=n, **middle, sd=sd, sem=sem, low=float(low), high=float(high))
