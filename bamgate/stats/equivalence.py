"""Is the difference small enough not to matter? Two one-sided t tests against the bounds of the ROPE."""

from dataclasses import dataclass
from typing import ClassVar

from bamgate.stats.paired import paired_t
from bamgate.stats.pairs import Pairs, check_rope, no_spread
from bamgate.stats.result import Result


@dataclass(frozen=True, kw_only=True)
class Equivalence(Result):
    """Two one-sided tests (Schuirmann 1987). The arms are equivalent if p < 0.05.

    That is the same as the 90 % interval (low, high) lying within ±rope.

    Attributes:
        p: the larger of p_lower and p_upper.
        p_lower, p_upper: p of the hypotheses that the mean is at most -rope, and at least rope.
    """

    call: ClassVar[str] = 'max of scipy.stats.ttest_1samp(d, -rope, alternative="greater") and (d, rope, "less")'
    rope: float
    p: float | None = None
    p_lower: float | None = None
    p_upper: float | None = None
    low: float | None = None
    high: float | None = None


def equivalence(pairs: Pairs, rope: float) -> Equivalence:
    """The equivalence test of the paired differences; `rope` in points, declared before the runs."""
    from scipy import stats

    rope = check_rope(rope)
    status = no_spread(pairs)
    if status:
        return Equivalence(rope=rope, status=status)
    lower = float(stats.ttest_1samp(pairs.differences, -rope, alternative="greater").pvalue)
    upper = float(stats.ttest_1samp(pairs.differences, rope, alternative="less").pvalue)
    # 90 %, as each of the two tests uses 5 % on its own side.
    interval = paired_t(pairs, confidence=0.90)
    return Equivalence(
        rope=rope, p=max(lower, upper), p_lower=lower, p_upper=upper, low=interval.low, high=interval.high
    )
