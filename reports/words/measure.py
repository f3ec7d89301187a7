"""How the metric is written: its name, its unit, which direction is better, and as many digits as its margin needs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bamgate.record.metric import ACCURACY, PERCENT, Metric
from bamgate.reports.words import numbers

Row = Mapping[str, Any]
DIGITS = 2  # of percentages and of their differences
FINENESS = 20  # steps of the last digit that a margin spans at least, for other units


@dataclass(frozen=True)
class Measure:
    """Values of a metric and their differences as texts.

    Args:
        metric: what is compared.
        digits: after the point.
    """

    metric: Metric = ACCURACY
    digits: int = DIGITS

    @classmethod
    def of(cls, metric: Metric, rope: float) -> "Measure":
        """With enough digits to tell what lies within the margin from what does not."""
        fine = max(0, math.ceil(math.log10(FINENESS / rope) - 1e-9))
        return cls(metric, DIGITS if metric.unit == PERCENT else fine)

    @property
    def name(self) -> str:
        """Inside a sentence: accuracy."""
        return self.metric.name

    @property
    def title(self) -> str:
        """At the start of a sentence: Accuracy. A name of mixed letters, as mAP, stays as it is."""
        first = self.name.split(" ", 1)[0]
        return numbers.capital(self.name) if first.islower() else self.name

    @property
    def direction(self) -> str:
        """higher is better"""
        return f"{self.metric.better} is better"

    @property
    def which_is_better(self) -> str:
        """A lower mean absolute error is better."""
        return f"A {self.metric.better} {self.name} is better"

    @property
    def says_direction(self) -> bool:
        """Whether a report names the direction: that more accuracy is better, nobody needs to be told."""
        return self.metric != ACCURACY

    @property
    def better_side(self) -> str:
        """On which side of 0 a difference is the better one."""
        return "above" if self.metric.higher_is_better else "below"

    @property
    def axis(self) -> str:
        """On an axis: accuracy, %"""
        return f"{self.name}{self._after_comma(self.metric.unit)}"

    @property
    def difference_axis(self) -> str:
        """What follows a name of differences on an axis: `, points`; nothing for a pure number."""
        return self._after_comma(self.metric.difference_unit)

    @property
    def in_unit(self) -> str:
        """Of values: ` in percent`; nothing for a pure number."""
        unit = "percent" if self.metric.unit == PERCENT else self.metric.unit
        return f" in {unit}" if unit else ""

    @property
    def in_points(self) -> str:
        """Of differences: ` in points`; nothing for a pure number."""
        return f" in {self.metric.difference_unit}" if self.metric.unit else ""

    def number(self, value: float | None, *, fewer: int = 0) -> str:
        """A value or a size without its unit."""
        return numbers.number(value, max(0, self.digits - fewer))

    def value(self, value: float | None) -> str:
        """88.10 %"""
        return numbers.with_unit(self.number(value), self.metric.unit)

    def size(self, value: float, *, fewer: int = 0) -> str:
        """0.29 points: a difference without its sign."""
        return numbers.with_unit(self.number(abs(value), fewer=fewer), self.metric.difference_unit)

    def roughly(self, value: float) -> str:
        """0.29 points, with two digits that count."""
        return numbers.with_unit(numbers.significant(value), self.metric.difference_unit)

    def signed(self, value: float | None) -> str:
        """A difference with its sign, without its unit."""
        return numbers.points(value, self.digits)

    def difference(self, value: float | None) -> str:
        """+0.29 points"""
        return numbers.points_of(value, digits=self.digits, unit=self.metric.difference_unit)

    def exactly(self, value: float) -> str:
        """+0.29 points, with every digit that it has, up to six."""
        return numbers.points_of(value, exact=True, unit=self.metric.difference_unit)

    def with_unit(self, text: str) -> str:
        """Numbers of differences with their unit."""
        return numbers.with_unit(text, self.metric.difference_unit)

    def amount(self, value: float) -> str:
        """0.5 points, 1 point: a margin, with no more digits than it has."""
        return numbers.amount(value, self.metric.difference_unit)

    def margin(self, rope: float) -> str:
        """±0.5 points: the range of differences too small to matter."""
        return numbers.margin(rope, self.metric.difference_unit)

    def interval(self, low: float | None, high: float | None) -> str:
        """[+0.16, +0.43]"""
        return numbers.interval(low, high, digits=self.digits)

    def reach(self, result: Row) -> str:
        """+0.16 to +0.43: the interval of a result, in a sentence."""
        return numbers.interval_words(result, self.digits)

    def _after_comma(self, unit: str) -> str:
        return f", {unit}" if unit else ""


OF_ACCURACY = Measure()


def measure_of(stats: Row) -> Measure:
    """Of what stats.json holds."""
    named = stats["metric"]
    metric = Metric(
        name=named["name"],
        unit=named["unit"],
        is_count=named["is_count"],
        higher_is_better=named["better"] == "higher",
    )
    return Measure.of(metric, stats["design"]["rope"])
