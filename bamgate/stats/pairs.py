"""Runs of two gates, paired by seed: counts of images, or values of a metric that is not a count.

Counts stay counts, since exact tests on percentages give wrong p-values.
"""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bamgate.errors import UsageError
from bamgate.stats.status import FEW_PAIRS, NO_SPREAD

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Two arms over the same seeds, in the same order.

    Attributes:
        treatment, control: one number per seed: correct images, as a whole number, or a finite value of a metric.
        points: the factor from these numbers to the metric's unit: 100 / images for counts, 1 for values.
        is_count: whether they are counts, which exact tests need.
    """

    treatment: tuple[float, ...]
    control: tuple[float, ...]
    points: float
    is_count: bool = True

    def __post_init__(self) -> None:
        """UsageError if the arms differ in length, a number is of the wrong kind, or points are not above 0."""
        checked = whole_numbers if self.is_count else finite_numbers
        for name in ("treatment", "control"):
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        if len(self.treatment) != len(self.control):
            raise UsageError(f"pairs need the same seeds: {len(self.treatment)} treatment, {len(self.control)} control")
        if not (math.isfinite(self.points) and self.points > 0):
            raise UsageError(f"points must be above 0 (100 / images), got {self.points!r}")

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.treatment)

    @classmethod
    def of_values(cls, treatment: Sequence[float], control: Sequence[float]) -> "Pairs":
        """Pairs of values of a metric that is not a count, in the metric's own unit."""
        return cls(treatment=tuple(treatment), control=tuple(control), points=1.0, is_count=False)

    @property
    def raw(self) -> tuple[float, ...]:
        """Treatment minus control: whole numbers of images for counts, otherwise in the metric's unit."""
        return tuple(a - b for a, b in zip(self.treatment, self.control, strict=True))

    @property
    def differences(self) -> Floats:
        """Treatment minus control in points."""
        return self._in_points(self.raw)

    @property
    def treatment_points(self) -> Floats:
        """The treatment's accuracies in points."""
        return self._in_points(self.treatment)

    @property
    def control_points(self) -> Floats:
        """The control's accuracies in points."""
        return self._in_points(self.control)

    def _in_points(self, counts: tuple[float, ...]) -> Floats:
        return np.array(counts, dtype=np.float64) * self.points


def whole_numbers(name: str, values: Sequence[object]) -> tuple[int, ...]:
    """Python integers from any kind of integers; UsageError for anything else."""
    found = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise UsageError(f"{name} must be whole numbers, got {value!r}")
        found.append(int(value))
    return tuple(found)


def finite_numbers(name: str, values: Sequence[object]) -> tuple[float, ...]:
    """Python floats from any kind of real numbers; UsageError for anything else, including NaN and infinity."""
    found = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise UsageError(f"{name} must be finite numbers, got {value!r}")
        found.append(float(value))
    return tuple(found)


def too_few(pairs: Pairs) -> str | None:
    """The status code if there are too few pairs for any test; otherwise None."""
    return FEW_PAIRS if pairs.n < 2 else None


def no_spread(pairs: Pairs) -> str | None:
    """The status code if these pairs have no standard error; otherwise None.

    For counts this is exact. Differences of values that rounding alone could explain count as equal.
    """
    return too_few(pairs) or (NO_SPREAD if _range(pairs.raw) <= _rounding(pairs) else None)


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _rounding(pairs: Pairs) -> float:
    """How much equal differences of values may differ because each value is rounded; 0 for counts."""
    if pairs.is_count:
        return 0.0
    # A difference of two values is off by up to 1 ulp of the larger one, so two such differences by up to 2; 4 to be
    # safe.
    return 4 * math.ulp(max(map(abs, (*pairs.treatment, *pairs.control))))


def check_rope(rope: float) -> float:
    """The half width, in the metric's unit, of the differences that do not matter; UsageError unless above 0."""
    if not (math.isfinite(rope) and rope > 0):
        raise UsageError(f"rope must be a number above 0, got {rope!r}")
    return float(rope)


def check_share(name: str, value: float) -> float:
    """Return a confidence, power or level; UsageError unless it is between 0 and 1."""
    if not 0 < value < 1:
        raise UsageError(f"{name} must be between 0 and 1, got {value!r}")
    return float(value)
