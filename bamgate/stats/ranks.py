"""Compare three or more gates over many contexts by rank. For an appendix: with few contexts it has almost no power."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bamgate.errors import UsageError
from bamgate.stats.result import Result, listen
from bamgate.stats.status import FEW_GATES, GATES_TIE


@dataclass(frozen=True, kw_only=True)
class Friedman(Result):
    """Friedman's test that k gates rank equally over n contexts, and the less conservative F of Iman and Davenport.

    Attributes:
        mean_ranks: mean rank of each gate; 1 is the best.
        p, f_p: p-values of chi2 and f. f is None if all contexts rank the gates in the same order.
    """

    call: ClassVar[str] = "scipy.stats.friedmanchisquare; F = (n - 1) chi2 / (n (k - 1) - chi2)"
    k: int
    n: int
    mean_ranks: dict[str, float]
    chi2: float | None = None
    p: float | None = None
    f: float | None = None
    f_p: float | None = None


def friedman(means: Mapping[str, Mapping[str, float]]) -> Friedman:
    """Friedman's test of {gate: {context: mean over seeds}}; higher is better.

    Raises:
        UsageError: the gates do not have the same contexts.
    """
    from scipy import stats

    k, cells = len(means), sorted(set().union(*means.values()))
    for gate, levels in means.items():
        missing = [cell for cell in cells if cell not in levels]
        if missing:
            raise UsageError(f"gate {gate!r} has no result in context {missing[0]!r}; all gates need the same contexts")
    table = np.array([[levels[cell] for cell in cells] for levels in means.values()], dtype=np.float64)
    n = len(cells)
    ranks = stats.rankdata(-table, axis=0).mean(axis=1) if n else []
    mean_ranks = {gate: float(rank) for gate, rank in zip(means, ranks, strict=False)}
    if k < 3 or n < 2:
        return Friedman(k=k, n=n, mean_ranks=mean_ranks, status=FEW_GATES)
    test, heard = listen(lambda: stats.friedmanchisquare(*table))
    chi2 = float(test.statistic)
    if heard or not np.isfinite(chi2):
        return Friedman(k=k, n=n, mean_ranks=mean_ranks, status=GATES_TIE)
    # chi2 reaches n (k - 1) if all contexts rank the gates in the same order: then F is infinite.
    left = n * (k - 1) - chi2
    f = (n - 1) * chi2 / left if left > 1e-9 else None
    f_p = None if f is None else float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    return Friedman(k=k, n=n, mean_ranks=mean_ranks, chi2=chi2, p=float(test.pvalue), f=f, f_p=f_p)
