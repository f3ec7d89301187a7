"""The mixed model of the differences: d = mean + context + seed, with context and seed random."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bamgate.stats.pairs import Floats
from bamgate.stats.result import Result, listen
from bamgate.stats.status import FAILED, FEW_CONTEXTS, NO_CONVERGENCE, NO_SPREAD_WITHIN, ON_BOUNDARY, ONE_SEED_CONTEXTS


@dataclass(frozen=True, kw_only=True)
class MixedModel(Result):
    """Mean difference, in points, for a new context like these, by restricted maximum likelihood.

    If all contexts have the same number of seeds, it equals the t test over context means.

    Attributes:
        k, df: number of contexts, and k - 1.
        mean, se, low, high, p: by t(k - 1). With few contexts the normal distribution gives intervals far too narrow.
        tau2, sigma2: variance between contexts, and between seeds within a context.
    """

    call: ClassVar[str] = 'statsmodels MixedLM, "d ~ 1", groups=cell, reml=True; p and interval by t(k - 1)'
    k: int
    mean: float | None = None
    se: float | None = None
    tau2: float | None = None
    sigma2: float | None = None
    df: int | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None


def mixed_model(cells: Mapping[str, Floats], *, varies: bool) -> MixedModel:
    """The model of {context: differences in points}.

    Args:
        varies: the seeds of at least one context differ.
    """
    k = len(cells)
    status = _no_model(cells, varies=varies)
    if status:
        return MixedModel(k=k, status=status)
    d = np.concatenate(list(cells.values()))
    groups = np.repeat(np.arange(k), [len(x) for x in cells.values()])
    unit = float(d.std(ddof=1))  # the optimiser's step sizes suit numbers near 1
    try:
        fit, heard = listen(_model(d / unit, groups))
    except (ValueError, ArithmeticError, RuntimeError):  # LinAlgError is a ValueError
        return MixedModel(k=k, status=FAILED)
    # MixedLM may report convergence and warn that it has not converged. Only fits without warnings were correct.
    if heard or not fit.converged:
        return MixedModel(k=k, status=_why(heard))
    return _read(fit, k, unit)


def _no_model(cells: Mapping[str, Floats], *, varies: bool) -> str | None:
    if len(cells) < 2:
        return FEW_CONTEXTS
    if all(len(x) < 2 for x in cells.values()):
        return ONE_SEED_CONTEXTS
    return None if varies else NO_SPREAD_WITHIN


def _model(d: Floats, groups: Any) -> Callable[[], Any]:
    # Imported outside of `listen`: a warning that a library gives at its import is not about this fit.
    from statsmodels.regression.mixed_linear_model import MixedLM

    return lambda: MixedLM(d, np.ones((len(d), 1)), groups=groups).fit(reml=True)


def _why(heard: list[str]) -> str:
    if any("boundary" in warning or "singular" in warning for warning in heard):
        return ON_BOUNDARY
    return NO_CONVERGENCE


def _read(fit: Any, k: int, unit: float) -> MixedModel:
    from scipy import stats

    mean, se = float(fit.fe_params[0]) * unit, float(fit.bse_fe[0]) * unit
    low, high = stats.t(k - 1, mean, se).interval(0.95)
    return MixedModel(
        k=k,
        mean=mean,
        se=se,
        tau2=float(np.asarray(fit.cov_re)[0, 0]) * unit**2,
        sigma2=float(fit.scale) * unit**2,
        df=k - 1,
        p=2 * float(stats.t.sf(abs(mean / se), k - 1)),
        low=float(low),
        high=float(high),
    )
