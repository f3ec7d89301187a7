"""One difference over several contexts (networks on data sets), with several seeds in each.

Classes and fields here call a context a cell: the first version of stats.json did, and names in it stay.

The unweighted t test over context means comes first: its claim is about a new network or data set like these. With a
few seeds the precision of a single context is poorly known, so weights made from it (meta-analysis) are partly noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bamgate.errors import UsageError
from bamgate.stats.meta import MetaAnalysis, meta_analysis
from bamgate.stats.mixed import MixedModel, mixed_model
from bamgate.stats.pairs import Floats
from bamgate.stats.result import Result
from bamgate.stats.status import EQUAL_CONTEXTS, FEW_CONTEXTS, NO_CONTEXTS

SAME = 1e-9  # points; means that differ by less are equal up to rounding (one image in a million is 1e-4 points)


@dataclass(frozen=True, kw_only=True)
class CellMeans(Result):
    """The mean over contexts, each with the same weight, in points.

    Attributes:
        k: number of contexts.
        mean, sd: of the context means.
        t, df, p, low, high: the t test over context means: a claim about a new context like these.
        these_low, these_high: 95 % interval of the mean over exactly these contexts, from the spread of seeds within
            contexts: a claim about these contexts only. None if no context has two seeds, or if seeds do not vary.
    """

    call: ClassVar[str] = (
        "scipy.stats.ttest_1samp(cell means, 0).confidence_interval(0.95); "
        "these cells: ordinary least squares with an effect of each cell, t(seeds - cells)"
    )
    k: int
    mean: float | None = None
    sd: float | None = None
    t: float | None = None
    df: int | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    these_low: float | None = None
    these_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Across(Result):
    """Three analyses of the same contexts."""

    call: ClassVar[str] = "t over cell means; statsmodels MixedLM; statsmodels combine_effects"
    cells: CellMeans
    mixed: MixedModel
    meta: MetaAnalysis


def across(cells: Mapping[str, Sequence[float]]) -> Across:
    """The difference over contexts.

    Args:
        cells: name of a context -> its paired differences in points, one per seed.

    Raises:
        UsageError: a context has no seeds, or a number is not finite.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in cells.items()}
    for name, x in arrays.items():
        if x.ndim != 1 or not len(x):
            raise UsageError(f"context {name!r} has no seeds; leave it out")
        if not np.isfinite(x).all():
            raise UsageError(f"context {name!r} has a difference that is not finite: {x[~np.isfinite(x)][0]}")
    flat = [name for name, x in arrays.items() if np.ptp(x) <= SAME]
    return Across(
        cells=_cell_means(list(arrays.values())),
        mixed=mixed_model(arrays, varies=len(flat) < len(arrays)),
        meta=meta_analysis(arrays, without_spread=flat),
    )


def _cell_means(cells: list[Floats]) -> CellMeans:
    from scipy import stats

    k = len(cells)
    if k == 0:
        return CellMeans(k=0, status=NO_CONTEXTS)
    means = np.array([x.mean() for x in cells])
    mean = float(means.mean())
    these_low, these_high = _these_cells(cells, mean)
    if k < 2:
        return CellMeans(k=k, mean=mean, these_low=these_low, these_high=these_high, status=FEW_CONTEXTS)
    # Equal means have a standard error of 0, and t would be infinite or 0 / 0.
    if np.ptp(means) <= SAME:
        limits: dict[str, Any] = {"these_low": these_low, "these_high": these_high}
        return CellMeans(k=k, mean=mean, sd=0.0, df=k - 1, **limits, status=EQUAL_CONTEXTS)
    test = stats.ttest_1samp(means, 0)
    interval = test.confidence_interval(0.95)
    return CellMeans(
        k=k,
        mean=mean,
        sd=float(means.std(ddof=1)),
        t=float(test.statistic),
        df=k - 1,
        p=float(test.pvalue),
        low=float(interval.low),
        high=float(interval.high),
        these_low=these_low,
        these_high=these_high,
    )


def _these_cells(cells: list[Floats], mean: float) -> tuple[float | None, float | None]:
    """95 % interval of the mean over these contexts, with one variance for the seeds of all of them."""
    from scipy import stats

    # Pooled: a variance of each context's own, from a few seeds, would be poorly known.
    df = sum(len(x) - 1 for x in cells)
    if df == 0 or all(np.ptp(x) <= SAME for x in cells):
        return None, None
    within = sum(float(((x - x.mean()) ** 2).sum()) for x in cells) / df
    error = math.sqrt(within * sum(1 / len(x) for x in cells)) / len(cells)
    low, high = stats.t(df, mean, error).interval(0.95)
    return float(low), float(high)
