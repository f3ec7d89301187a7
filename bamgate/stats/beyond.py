"""Is the difference larger than the margin? One-sided t tests against both ends of the ROPE."""

from dataclasses import dataclass
from typing import ClassVar

from bamgate.stats.pairs import Pairs, check_rope, no_spread
from bamgate.stats.result import Result


@dataclass(frozen=True, kw_only=True)
class Beyond(Result):
    """Minimum-effect test: p below 0.05 says that the mean difference lies outside ±rope.

    Attributes:
        p: two-sided, twice the smaller one-sided p, at most 1. Below 0.05 exactly if the 95 % interval lies beyond
            the ROPE on one side.
        p_above, p_below: one-sided, of a mean at rope or below, of a mean at -rope or above.
    """

    call: ClassVar[str] = '2 * min of scipy.stats.ttest_1samp(d, rope, alternative="greater") and (d, -rope, "less")'
    rope: float
    p: float | None = None
    p_above: float | None = None
    p_below: float | None = None


def beyond_margin(pairs: Pairs, rope: float) -> Beyond:
    """The minimum-effect test of the paired differences; `rope` in points, declared before the runs.

    Source: Murphy and Myors 1999 (Journal of Applied Psychology 84, 234-248).
    """
    from scipy import stats

    rope = check_rope(rope)
    status = no_spread(pairs)
    if status:
        return Beyond(rope=rope, status=status)
    above = float(stats.ttest_1samp(pairs.differences, rope, alternative="greater").pvalue)
    below = float(stats.ttest_1samp(pairs.differences, -rope, alternative="less").pvalue)
    return Beyond(rope=rope, p=min(1.0, 2 * min(above, below)), p_above=above, p_below=below)
