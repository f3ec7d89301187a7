"""What a study compares: the figure that a run is judged by, with its unit and its direction.

A run of classification says nothing about it: its accuracy follows from its counts. A run of another task names its
metric in result.json and in runs.csv alike; every reader asks the functions here for the metric and the value of a row.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from bamgate.errors import DataError, UsageError

PERCENT = "%"
DIRECTIONS = ("higher", "lower")
FIRST_TASK = "classification"  # the task of every run that names none
COLUMNS = ("task", "metric", "metric_unit", "metric_better", "metric_value")  # of runs.csv, and keys of result.json


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of merit of one run on its test set.

    Args:
        name: as it stands in tables and sentences: "accuracy".
        unit: of the value: "%", "px", or "" for a pure number.
        is_count: the value is a share of test images, and the record has the counts. Exact tests need them.
        higher_is_better: False for an error.

    Raises:
        UsageError: a name or unit that no table can hold, or a count that is no share in percent.
    """

    name: str
    unit: str = ""
    is_count: bool = False
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("unit", self.unit)):
            if not isinstance(text, str) or text != text.strip() or not text.isprintable():
                raise UsageError(f"metric {self.name!r}: {what} {text!r} is no text of one line without spaces around")
        if not self.name:
            raise UsageError("a metric needs a name")
        if self.is_count and (self.unit, self.higher_is_better) != (PERCENT, True):
            raise UsageError(f"metric {self.name!r} is a count, so its unit must be '%', and higher is better")

    @property
    def difference_unit(self) -> str:
        """Unit of the difference between two runs: percentages differ by points."""
        return "points" if self.unit == PERCENT else self.unit

    @property
    def better(self) -> str:
        """The direction as it stands in runs.csv."""
        return "higher" if self.higher_is_better else "lower"

    def __str__(self) -> str:
        return f"{self.name} ({', '.join([*filter(None, [self.unit]), f'{self.better} is better'])})"


ACCURACY = Metric(name="accuracy", unit=PERCENT, is_count=True)


def metric_of(row: Mapping[str, Any]) -> Metric:
    """The metric of a run, from its row of runs.csv (typed, or of a data frame) or its result.json."""
    name, unit = row.get("metric"), row.get("metric_unit")
    if not isinstance(name, str):
        return ACCURACY
    return Metric(
        name=name,
        unit=unit if isinstance(unit, str) else "",
        is_count=_number(row.get("correct")) is not None,
        higher_is_better=row.get("metric_better") != "lower",
    )


def value_of(row: Mapping[str, Any]) -> float:
    """The metric's value of such a run, in the metric's unit; nan if the run diverged and has no finite one."""
    correct, total = _number(row.get("correct")), _number(row.get("total"))
    if correct is not None and total:
        return float(100 * correct / total)
    value = _number(row.get("metric_value"))
    return math.nan if value is None or math.isinf(value) else float(value)


def same_value(one: float, other: float) -> bool:
    """Whether two values of a metric are one, but for rounding; all that are not finite are."""
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.isfinite(one) == math.isfinite(other)
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-12)


def metric_facts(task: str, metric: Metric) -> dict[str, Any]:
    """What result.json and runs.csv say of the metric besides its value; nothing for the first task."""
    if task == FIRST_TASK:
        return {}
    return {"task": task, "metric": metric.name, "metric_unit": metric.unit, "metric_better": metric.better}


def metric_fault(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """(column, what is wrong with it) if what such a row says of its metric cannot be; None if it can."""
    said = {name: row.get(name) for name in COLUMNS}
    texts = {name: text for name, text in said.items() if isinstance(text, str) and text}
    value, correct = _number(said["metric_value"]), _number(row.get("correct"))
    if not {"task", "metric", "metric_better"} & texts.keys():
        lone = "metric_value" if value is not None else "metric_unit" if "metric_unit" in texts else None
        if lone is not None:
            return lone, f"{said[lone]!r} stands there, but no metric"
        return ("correct", "is empty") if correct is None else None
    for name in ("task", "metric", "metric_better"):
        if name not in texts:
            return name, "is empty, but the row has another task than classification"
    if texts["metric_better"] not in DIRECTIONS:
        return "metric_better", f"{texts['metric_better']!r} is not higher or lower"
    if value is not None and correct is not None:
        return "metric_value", "stands beside a count of correct images; a run has one of the two"
    if correct is None and math.isnan(value_of(row)) and row.get("status") != "diverged":
        return "metric_value", "is empty or not finite, but the run has not diverged"
    return None


def one_metric(rows: Iterable[Mapping[str, Any]]) -> Metric:
    """The metric that all rows have, accuracy if there are none; DataError that names two cells which differ."""
    first: Mapping[str, Any] | None = None
    for row in rows:
        first = row if first is None else first
        if (a := metric_of(first)) != (b := metric_of(row)):
            raise DataError(
                f"cell {first.get('cell')} is judged by {a}, cell {row.get('cell')} by {b}; compare them apart"
            )
    return metric_of(first or {})


def _number(value: object) -> Any:
    """The number; None for what stands for no number in a typed row or a data frame."""
    return value if isinstance(value, Real) and not math.isnan(value) else None
