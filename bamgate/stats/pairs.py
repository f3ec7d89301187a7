"""Runs of two gates paired by seed, as counts of images: exact tests on percentages give wrong p-values."""

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
        treatment, control: images correct, one whole number a seed.
        points: percentage points that one image is worth: 100 / images.
    """

    treatment: tuple[int, ...]
    control: tuple[int, ...]
    points: float

    def __post_init__(self) -> None:
        """Raises UsageError for arms of unequal length, for counts that are not whole, for points not above 0."""
        for name in ("treatment", "control"):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name)))
        if len(self.treatment) != len(self.control):
            raise UsageError(f"pairs need the same seeds: {len(self.treatment)} treatment, {len(self.control)} control")
        if not (math.isfinite(self.points) and self.points > 0):
            raise UsageError(f"points must be above 0 (100 / images), got {self.points!r}")

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.treatment)

    @property
    def counts(self) -> tuple[int, ...]:
        """Treatment minus control in images."""
        return tuple(a - b for a, b in zip(self.treatment, self.control, strict=True))

    @property
    def differences(self) -> Floats:
        """Treatment minus control in points."""
        return self._in_points(self.counts)

    @property
    def treatment_points(self) -> Floats:
        """The treatment's accuracies in points."""
        return self._in_points(self.treatment)

    @property
    def control_points(self) -> Floats:
        """The control's accuracies in points."""
        return self._in_points(self.control)

    def _in_points(self, counts: tuple[int, ...]) -> Floats:
        return np.array(counts, dtype=np.float64) * self.points


def whole_numbers(name: str, values: Sequence[object]) -> tuple[int, ...]:
    """Python integers from any kind of integers; UsageError for anything else."""
    found = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise UsageError(f"{name} must be whole numbers, got {value!r}")
        found.append(int(value))
    return tuple(found)


def too_few(pairs: Pairs) -> str | None:
    """The code of why these pairs can carry no test; None if they can."""
    return FEW_PAIRS if pairs.n < 2 else None


def no_spread(pairs: Pairs) -> str | None:
    """The code of why these pairs have no standard error, else None; counts are compared, so it is exact."""
    return too_few(pairs) or (NO_SPREAD if len(set(pairs.counts)) == 1 else None)


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
