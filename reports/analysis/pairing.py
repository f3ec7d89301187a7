"""Which runs of two arms make a pair, and why the others do not."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bamgate.errors import DataError
from bamgate.record.environment import EXECUTION
from bamgate.record.metric import Metric
from bamgate.reports.analysis.plain import Typed, plain
from bamgate.reports.design import Design
from bamgate.reports.records import Records
from bamgate.stats import Pairs

NO_RUN, DIVERGED, EXECUTED_DIFFERENTLY = "no-run", "diverged", "executed-differently"


@dataclass(frozen=True, kw_only=True)
class LeftOut(Typed):
    """A seed that makes no pair.

    Args:
        code: no-run or diverged, of the arms; or executed-differently, and by which values of which column.
    """

    seed: int
    code: str
    arms: tuple[str, ...] = ()
    column: str | None = None
    values: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        about = ("column", "values") if self.column is not None else ("arms",)
        return {name: plain(getattr(self, name)) for name in ("seed", "code", *about)}


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Runs of two arms in one context, seed by seed.

    Args:
        treatment, control: rows of runs.csv, indexed by seed, the seeds of both in the same order.
        left_out: seeds that make no pair.
        metric: what is compared.
    """

    treatment: pd.DataFrame
    control: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    metric: Metric

    @property
    def seeds(self) -> list[int]:
        return [int(seed) for seed in self.treatment.index]

    @property
    def pairs(self) -> Pairs:
        """Images correct, or values of the metric; DataError if the arms were tested on different numbers of images."""
        totals = sorted({int(total) for frame in (self.treatment, self.control) for total in frame["total"]})
        if len(totals) > 1:
            raise DataError(f"pairs need one test set: runs with {totals[0]} and with {totals[1]} images")
        frames = (self.treatment, self.control)
        if not self.metric.is_count:
            return Pairs.of_values(*([float(value) for value in frame["value"]] for frame in frames))
        counts = [tuple(int(n) for n in frame["correct"]) for frame in frames]
        return Pairs(treatment=counts[0], control=counts[1], points=100 / totals[0] if totals else 1.0)


def gains(pairs: Pairs, metric: Metric) -> Pairs:
    """The same pairs with more being better: as they are, or mirrored at 0 for an error."""
    if metric.higher_is_better:
        return pairs
    treatment, control = (tuple(-value for value in arm) for arm in (pairs.treatment, pairs.control))
    return replace(pairs, treatment=treatment, control=control)


def pair(design: Design, records: Records, treatment: str, control: str, context: str) -> Paired:
    """The seeds that both arms finished, executed in the same way."""
    arms = {treatment: records.of(treatment, context), control: records.of(control, context)}
    planned = sorted({p.seed for p in design.places if p.context == context and p.arm in arms})
    kept, left_out = [], []
    for seed in planned:
        why = _why_not(seed, arms)
        if why is None:
            kept.append(seed)
        else:
            left_out.append(why)
    frames = [frame.loc[kept] for frame in arms.values()]
    return Paired(treatment=frames[0], control=frames[1], left_out=tuple(left_out), metric=design.metric)


def _why_not(seed: int, arms: dict[str, pd.DataFrame]) -> LeftOut | None:
    """Why a seed makes no pair; None if it makes one."""
    missing = [arm for arm, runs in arms.items() if seed not in runs.index]
    if missing:
        return LeftOut(seed=seed, code=NO_RUN, arms=tuple(missing))
    failed = [arm for arm, runs in arms.items() if runs.loc[seed, "status"] == "diverged"]
    if failed:
        return LeftOut(seed=seed, code=DIVERGED, arms=tuple(failed))
    one, other = (runs.loc[seed] for runs in arms.values())
    differing = [name for name in EXECUTION if one[name] != other[name]]
    if differing:
        name = differing[0]
        values = (str(one[name]), str(other[name]))
        return LeftOut(seed=seed, code=EXECUTED_DIFFERENTLY, column=name, values=values)
    return None
