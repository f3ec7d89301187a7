"""How many more seeds until the comparison is decided, if the difference and the spread are about what was seen.

Posterior predictive: mean and spread are drawn from what the pairs make believable (reference prior), further seeds
from these, and the rule that decides is applied to old and new pairs together. Nothing here is the power at the
difference seen: that the difference may be another one is part of the draw.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bamgate.stats.anytime import half_width
from bamgate.stats.pairs import Pairs, check_rope, check_share, no_spread
from bamgate.stats.result import Result

DRAWS = 4000
CHANCES = (0.1, 0.8, 0.9)  # of being decided: the least that is worth a look, the likely one, the safe one
MOST_MORE_SEEDS = 1000
Whole = NDArray[np.int64]

_UNDECIDED, _DIFFERENT, _EQUIVALENT = range(3)


@dataclass(frozen=True, kw_only=True)
class Forecast(Result):
    """Further seeds after which the comparison is decided with a chance of 10, 80 and 90 %.

    Attributes:
        n: pairs at hand.
        soon, likely, surely: further seeds; None if MOST_MORE_SEEDS do not suffice.
        different: of the draws in which `likely` seeds decide, the share in which they show a difference rather than
            equivalence; None if `likely` is.
        sequential: the study may be looked at after every seed; otherwise the number of seeds is set beforehand.
    """

    call: ClassVar[str] = "posterior predictive of the verdict's rule, 4000 draws from numpy.random.default_rng(seed)"
    n: int
    soon: int | None = None
    likely: int | None = None
    surely: int | None = None
    different: float | None = None
    sequential: bool = False
    alpha: float = 0.05


def forecast_seeds(
    pairs: Pairs, rope: float, *, alpha: float = 0.05, sequential: bool = False, least: int = 2, seed: int = 0
) -> Forecast:
    """The seeds that are missing until the rule decides.

    Args:
        rope: points.
        alpha: of the rule, after a correction for many arms if there is one.
        sequential: decided once the anytime interval excludes 0 or lies within the ROPE, at any look; otherwise once
            the t interval excludes 0, or the t interval of twice the error lies within the ROPE, at the last seed.
        least: pairs below which the rule decides nothing.
    """
    rope = check_rope(rope)
    check_share("alpha", alpha)
    asked: dict[str, Any] = {"n": pairs.n, "sequential": sequential, "alpha": alpha}
    status = no_spread(pairs)
    if status:
        return Forecast(**asked, status=status)
    more = _numbers_of_seeds()
    ends = _drawn_ends(pairs, rope, more, alpha, sequential, np.random.default_rng(seed))
    ends[pairs.n + more < least] = _UNDECIDED
    if sequential:
        ends = _first_decision(ends)
    chances = (ends != _UNDECIDED).mean(axis=1)
    soon, likely, surely = (_first(more, chances >= chance) for chance in CHANCES)
    different = None
    if likely is not None:
        then = ends[more == likely]
        different = float((then == _DIFFERENT).sum() / (then != _UNDECIDED).sum())
    return Forecast(**asked, soon=soon, likely=likely, surely=surely, different=different)


def _numbers_of_seeds() -> Whole:
    """Every number up to 40, then steps of a tenth."""
    coarse = np.geomspace(44, MOST_MORE_SEEDS, 33).round().astype(np.int64)
    return np.concatenate([np.arange(1, 41), coarse])


def _drawn_ends(
    pairs: Pairs, rope: float, more: Whole, alpha: float, sequential: bool, rng: np.random.Generator
) -> Whole:
    """What the rule says in each draw after each number of further seeds: a row a number, a column a draw."""
    d, n = pairs.differences, pairs.n
    mean, squares = np.full(DRAWS, d.mean()), np.full(DRAWS, ((d - d.mean()) ** 2).sum())
    sigma = np.sqrt(squares / rng.chisquare(n - 1, DRAWS))
    mu = rng.normal(mean, sigma / math.sqrt(n))
    ends = np.zeros((len(more), DRAWS), dtype=np.int64)
    seen = n
    for row, total in enumerate(n + more):
        added = int(total) - seen
        # Mean and sum of squares of the added seeds, joined to those before (Chan, Golub and LeVeque 1983).
        new_mean = rng.normal(mu, sigma / math.sqrt(added))
        new_squares = sigma**2 * rng.chisquare(added - 1, DRAWS) if added > 1 else 0.0
        shift = new_mean - mean
        squares = squares + new_squares + shift**2 * seen * added / (seen + added)
        mean, seen = mean + shift * added / (seen + added), int(total)
        sd = np.sqrt(squares / (seen - 1))
        outer, inner = _multiples(seen, alpha, sequential)
        ends[row] = np.where(np.abs(mean) + inner * sd < rope, _EQUIVALENT, _UNDECIDED)
        ends[row][np.abs(mean) > outer * sd] = _DIFFERENT
    return ends


def _multiples(n: int, alpha: float, sequential: bool) -> tuple[float, float]:
    """Half the width, in SDs, of the interval that excludes 0 and of the one that lies within the ROPE."""
    from scipy import stats

    if sequential:
        width = half_width(n, 1.0, alpha)
        return width, width
    return float(stats.t.isf(alpha / 2, n - 1)) / math.sqrt(n), float(stats.t.isf(alpha, n - 1)) / math.sqrt(n)


def _first_decision(ends: Whole) -> Whole:
    """A study that stops at its first decision keeps it."""
    kept: Whole = ends.copy()
    for row in range(1, len(kept)):
        kept[row] = np.where(kept[row - 1] != _UNDECIDED, kept[row - 1], kept[row])
    return kept


def _first(more: Whole, is_enough: NDArray[np.bool_]) -> int | None:
    return int(more[np.argmax(is_enough)]) if is_enough.any() else None
