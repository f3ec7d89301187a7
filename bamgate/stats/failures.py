"""Diverged runs, which are an outcome of the gate: how many there are, and the comparison with them ranked worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bamgate.errors import UsageError
from bamgate.stats.effect import stochastic_superiority, wilson
from bamgate.stats.exact import rank_differences
from bamgate.stats.pairs import finite_numbers, whole_numbers
from bamgate.stats.result import Result
from bamgate.stats.status import ARM_WITHOUT_RUNS, FEW_PAIRS, NO_RUNS


@dataclass(frozen=True, kw_only=True)
class Rate(Result):
    """Share of runs that failed, with its Wilson 95 % interval."""

    call: ClassVar[str] = 'scipy.stats.binomtest(failed, n).proportion_ci(0.95, method="wilson")'
    failed: int
    n: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


def failure_rate(failed: int, n: int) -> Rate:
    """The failure rate of one arm."""
    _check(failed, n)
    if n == 0:
        return Rate(failed=0, n=0, status=NO_RUNS)
    low, high = wilson(failed, n)
    return Rate(failed=failed, n=n, share=failed / n, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Fisher(Result):
    """Two-sided exact p of equal failure rates. The odds ratio is None if it is infinite or 0 / 0."""

    call: ClassVar[str] = "scipy.stats.fisher_exact([[failed_a, n_a - failed_a], [failed_b, n_b - failed_b]])"
    p: float | None = None
    odds_ratio: float | None = None


def fisher(failed_a: int, n_a: int, failed_b: int, n_b: int) -> Fisher:
    """Fisher's exact test of the failures of two arms."""
    from scipy import stats

    _check(failed_a, n_a)
    _check(failed_b, n_b)
    if not n_a or not n_b:
        return Fisher(status=ARM_WITHOUT_RUNS)
    odds, against = failed_a * (n_b - failed_b), failed_b * (n_a - failed_a)
    test = stats.fisher_exact([[failed_a, n_a - failed_a], [failed_b, n_b - failed_b]])
    return Fisher(p=float(test.pvalue), odds_ratio=odds / against if against else None)


def _check(failed: int, n: int) -> None:
    whole_numbers("failures and runs", (failed, n))
    if not 0 <= failed <= n:
        raise UsageError(f"failures must be from 0 to the {n} runs, got {failed}")


@dataclass(frozen=True, kw_only=True)
class WorstRank(Result):
    """The comparison with diverged runs ranked below all others; two that diverge on one seed tie.

    Attributes:
        p: of Wilcoxon's signed-rank test.
        a12: share of all couples of runs that the treatment wins; a tie counts as half.
    """

    call: ClassVar[str] = 'scipy.stats.wilcoxon(d, zero_method="wilcox"), a pair with one failure having the largest d'
    p: float | None = None
    wins: int
    ties: int
    losses: int
    a12: float | None = None


def worst_rank(
    treatment: Sequence[float | None], control: Sequence[float | None], *, is_count: bool = True
) -> WorstRank:
    """Compare two arms over the same seeds.

    Args:
        treatment, control: one number per seed, of which more is better; None if the run diverged.
        is_count: the numbers are images correct; otherwise they are values of a metric.
    """
    if len(treatment) != len(control):
        raise UsageError(f"pairs need the same seeds: {len(treatment)} treatment, {len(control)} control")
    finished = [value for value in (*treatment, *control) if value is not None]
    (whole_numbers if is_count else finite_numbers)("images correct" if is_count else "values", finished)
    # Ranks need no more than an order: any value below all others, and any difference beyond all others, will do.
    below = min(finished, default=0) - 1
    beyond = max(finished, default=0) - below + 1
    d = [_difference(a, b, beyond) for a, b in zip(treatment, control, strict=True)]
    wins, losses = sum(value > 0 for value in d), sum(value < 0 for value in d)
    ties = len(d) - wins - losses
    if len(d) < 2:
        return WorstRank(wins=wins, ties=ties, losses=losses, status=FEW_PAIRS)
    a, b = (tuple(below if value is None else value for value in arm) for arm in (treatment, control))
    ranked = rank_differences(d)
    return WorstRank(
        p=ranked.p, wins=wins, ties=ties, losses=losses, a12=stochastic_superiority(a, b), status=ranked.status
    )


def _difference(treatment: float | None, control: float | None, beyond: float) -> float:
    """Treatment minus control; if only one of them diverged, larger than any other difference; 0 if both did."""
    if treatment is None or control is None:
        return beyond * ((control is None) - (treatment is None))
    return treatment - control
