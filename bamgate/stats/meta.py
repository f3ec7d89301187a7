"""Random-effects meta-analysis of contexts, each weighted by how precisely its seeds determine its mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bamgate.stats.pairs import Floats
from bamgate.stats.result import Result, listen
from bamgate.stats.status import FEW_CONTEXTS, NO_CONVERGENCE, WEIGHTLESS_CONTEXTS


@dataclass(frozen=True, kw_only=True)
class MetaAnalysis(Result):
    """Mean difference, in points, for a new context like these, by Paule and Mandel with Hartung and Knapp's t.

    Attributes:
        k: number of contexts.
        low, high: 95 % interval of the mean, t(k - 1). It uses the larger of the random-effects standard error and
            Hartung and Knapp's, which alone may be smaller than in a model without spread between contexts.
        tau2: variance between contexts.
        i2: share of the spread of context means that is not due to seeds.
        prediction_low, prediction_high: 95 % interval of the difference in one new context, t(k - 2); None for fewer
            than 3 contexts.
    """

    call: ClassVar[str] = 'statsmodels.stats.meta_analysis.combine_effects(means, sem**2, method_re="pm", use_t=True)'
    k: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    tau2: float | None = None
    i2: float | None = None
    prediction_low: float | None = None
    prediction_high: float | None = None


def meta_analysis(cells: Mapping[str, Floats], *, without_spread: Sequence[str]) -> MetaAnalysis:
    """The meta-analysis of {context: differences in points}.

    Args:
        without_spread: contexts whose seeds do not vary. Their weight would be infinite, so there is no result.
    """
    k = len(cells)
    if k < 2:
        return MetaAnalysis(k=k, status=FEW_CONTEXTS)
    if without_spread:
        return MetaAnalysis(k=k, status=WEIGHTLESS_CONTEXTS, about=tuple(without_spread))
    means = np.array([x.mean() for x in cells.values()])
    variances = np.array([x.var(ddof=1) / len(x) for x in cells.values()])
    found, heard = listen(_model(means, variances))
    if heard or not _solved(means, variances, float(found.tau2)):
        return MetaAnalysis(k=k, status=NO_CONVERGENCE)
    return _read(found, k)


def _model(means: Floats, variances: Floats) -> Callable[[], Any]:
    # Imported outside of `listen`: a warning that a library gives at its import is not about these numbers.
    from statsmodels.stats.meta_analysis import combine_effects

    return lambda: combine_effects(means, variances, method_re="pm", use_t=True)


def _solved(means: Floats, variances: Floats, tau2: float) -> bool:
    """Whether Paule and Mandel's equation holds: the library does not say whether it has converged."""
    # tau2 is where the weighted sum of squares equals its degrees of freedom, or 0 if the sum is smaller even there.
    weights = 1 / (variances + tau2)
    mean = (weights * means).sum() / weights.sum()
    excess = float((weights * (means - mean) ** 2).sum()) - (len(means) - 1)
    return excess <= 1e-3 if tau2 == 0 else abs(excess) <= 1e-3


def _read(found: Any, k: int) -> MetaAnalysis:
    from scipy import stats

    mean, tau2 = float(found.mean_effect_re), float(found.tau2)
    # The larger of the two, see MetaAnalysis.
    error = max(float(found.sd_eff_w_re), float(found.sd_eff_w_re_hksj))
    low, high = stats.t(k - 1, mean, error).interval(0.95)
    ahead = stats.t(k - 2, mean, float(np.hypot(error, np.sqrt(tau2)))).interval(0.95) if k > 2 else (None, None)
    return MetaAnalysis(
        k=k,
        mean=mean,
        low=float(low),
        high=float(high),
        tau2=tau2,
        i2=max(0.0, float(found.i2)),
        prediction_low=None if ahead[0] is None else float(ahead[0]),
        prediction_high=None if ahead[1] is None else float(ahead[1]),
    )
