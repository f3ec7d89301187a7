"""Forecasts against simulated studies, minimum-effect tests against intervals."""

import numpy as np
import pytest
from scipy import stats

from bamgate.errors import UsageError
from bamgate.stats import Pairs, beyond_margin, forecast_seeds
from bamgate.stats.anytime import log_evidence
from bamgate.stats.forecast import MOST_MORE_SEEDS


def pairs_of(differences):
    return Pairs.of_values([50.0 + d for d in differences], [50.0] * len(differences))


SEEN = np.array([0.9, -0.4, 1.5, 0.2, 1.1])


def simulated(d, rope, total, *, sequential, reps=3000, alpha=0.05):
    """Share of studies that are decided at `total` seeds, run one by one from drawn mean and spread."""
    rng = np.random.default_rng(7)
    decided = 0
    for _ in range(reps):
        sigma = np.sqrt(((d - d.mean()) ** 2).sum() / rng.chisquare(len(d) - 1))
        mu = rng.normal(d.mean(), sigma / np.sqrt(len(d)))
        whole = np.concatenate([d, rng.normal(mu, sigma, total - len(d))])
        if sequential:
            decided += bool((log_evidence(whole)[len(d) :] >= np.log(1 / alpha)).any())
        else:
            outer = stats.t.interval(1 - alpha, total - 1, whole.mean(), stats.sem(whole))
            inner = stats.t.interval(1 - 2 * alpha, total - 1, whole.mean(), stats.sem(whole))
            decided += outer[0] > 0 or outer[1] < 0 or (-rope < inner[0] and inner[1] < rope)
    return decided / reps


@pytest.mark.parametrize("sequential", [False, True])
def test_the_likely_number_of_seeds_decides_four_in_five_studies(sequential):
    rope = 0.01  # so narrow that nothing is equivalent
    found = forecast_seeds(pairs_of(SEEN), rope, sequential=sequential)
    assert found.soon <= found.likely <= found.surely
    chance = simulated(SEEN, rope, 5 + found.likely, sequential=sequential)
    assert chance == pytest.approx(0.8, abs=0.03)
    assert found.different == 1.0


def test_a_small_difference_will_be_equivalent():
    found = forecast_seeds(pairs_of([0.01, -0.02, 0.02, -0.01, 0.0, 0.01]), 0.05)
    assert found.likely <= 3
    assert found.different < 0.3


def test_looking_at_every_seed_costs_seeds():
    fixed, sequential = (forecast_seeds(pairs_of(SEEN), 0.01, sequential=kind) for kind in (False, True))
    assert fixed.likely < sequential.likely


def test_no_decision_below_the_least_number_of_pairs():
    clear = pairs_of([5.0, 5.1, 4.9])
    assert forecast_seeds(clear, 0.1).likely == 1
    assert forecast_seeds(clear, 0.1, least=8).likely == 5


def test_what_no_number_of_seeds_decides_is_none():
    found = forecast_seeds(pairs_of([3.0, -3.0] * 20), 1e-6)
    # The mean is drawn with an SD of about 0.5; a tenth of the draws lie within 0.06, which needs some 20,000 seeds.
    assert (found.surely, found.n) == (None, 40)
    assert found.soon < MOST_MORE_SEEDS


def test_the_same_seed_gives_the_same_forecast_in_any_unit():
    one, other = forecast_seeds(pairs_of(SEEN), 0.3), forecast_seeds(pairs_of(SEEN * 7), 2.1)
    assert (one.soon, one.likely, one.surely) == (other.soon, other.likely, other.surely)
    assert forecast_seeds(pairs_of(SEEN), 0.3).to_dict() == one.to_dict()


def test_pairs_without_a_spread_have_no_forecast():
    assert forecast_seeds(pairs_of([1.0, 1.0]), 0.1).status == "no-spread"
    assert forecast_seeds(pairs_of([1.0]), 0.1).status == "few-pairs"
    with pytest.raises(UsageError, match="rope must be"):
        forecast_seeds(pairs_of(SEEN), 0.0)


@pytest.mark.parametrize("shift", [-2.0, -0.5, 0.0, 0.4, 1.0, 3.0])
def test_beyond_the_margin_is_the_interval_beyond_the_margin(shift):
    d, rope = SEEN + shift, 0.3
    found = beyond_margin(pairs_of(d), rope)
    low, high = stats.t.interval(0.95, 4, d.mean(), stats.sem(d))
    assert (found.p < 0.05) == (low > rope or high < -rope)
    t = (d.mean() - rope) / stats.sem(d)
    assert found.p_above == pytest.approx(stats.t.sf(t, 4))
    mirrored = beyond_margin(pairs_of(-d), rope)
    assert (mirrored.p, mirrored.p_below) == pytest.approx((found.p, found.p_above))


def test_beyond_has_no_test_without_a_spread():
    assert beyond_margin(pairs_of([1.0, 1.0]), 0.1).status == "no-spread"
    with pytest.raises(UsageError, match="rope must be"):
        beyond_margin(pairs_of(SEEN), -1.0)
