"""Runs of two gates paired by seed: as counts of images, since exact tests on percentages give wrong p-values, or as
values of a metric that counts nothing."""

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
        treatment, control: images correct, one whole number a seed; or values of a metric, one finite number a seed.
        points: what one of them is worth in the metric's unit: of an image 100 / images points, of a value 1.
        is_count: whether they are counts. Exact tests need counts.
    """

    treatment: tuple[float, ...]
    control: tuple[float, ...]
    points: float
    is_count: bool = True

    def __post_init__(self) -> None:
        """Raises UsageError for arms of unequal length, numbers of the wrong kind, and points not above 0."""
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
        """Treatment minus control: whole numbers of images for counts, else in the metric's unit."""
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
    """Python floats from any kind of real numbers; UsageError for anything else, NaN and infinity among it."""
    found = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise UsageError(f"{name} must be finite numbers, got {value!r}")
        found.append(float(value))
    return tuple(found)


def too_few(pairs: Pairs) -> str | None:
    """The code of why these pairs can carry no test; None if they can."""
    return FEW_PAIRS if pairs.n < 2 else None


def no_spread(pairs: Pairs) -> str | None:
    """The code of why these pairs have no standard error, else None. Of counts it is exact; of values, what rounding
    alone may have spread is no spread."""
    return too_few(pairs) or (NO_SPREAD if _range(pairs.raw) <= _rounding(pairs) else None)


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _rounding(pairs: Pairs) -> float:
    """By how much equal differences of values may differ because each value was rounded; 0 for counts."""
    if pairs.is_count:
        return 0.0
    return 4 * math.ulp(max(map(abs, (*pairs.treatment, *pairs.control))))


def check_rope(rope: float) -> float:
    """The half width of the range of differences that do not matter, in points; UsageError unless above 0."""
    if not (math.isfinite(rope) and rope > 0):
        raise UsageError(f"rope must be points of accuracy above 0, got {rope!r}")
    return float(rope)


def check_share(name: str, value: float) -> float:
    """A confidence, power or level between 0 and 1, else UsageError."""
    if not 0 < value < 1:
        raise UsageError(f"{name} must lie between 0 and 1, got {value!r}")
    return float(value)
