"""The sequential test against integrals, against its own interval, and against made-up studies."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from bamgate.errors import UsageError
from bamgate.stats import Pairs, anytime_t
from bamgate.stats.anytime import half_width, log_evidence


def pairs_of(differences):
    return Pairs.of_values([10.0 + d for d in differences], [10.0] * len(differences))


def by_integral(d, g, m0=0.0):
    """The ratio of densities of t under d_z ~ N(0, g) and under 0, by the noncentral t."""
    n = len(d)
    t = (np.mean(d) - m0) / (np.std(d, ddof=1) / math.sqrt(n))

    def integrand(effect):
        return stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect, 0, math.sqrt(g))

    reach = 8 * math.sqrt(g)
    return integrate.quad(integrand, -reach, reach, limit=500, points=[0, t / math.sqrt(n)])[0] / stats.t.pdf(t, n - 1)


@pytest.mark.parametrize("g", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_evidence_is_the_ratio_of_the_densities_of_t(n, g):
    d = np.random.default_rng(n).normal(0.4, 1.3, n)
    assert math.exp(log_evidence(d, g)[-1]) == pytest.approx(by_integral(d, g), rel=1e-6)


def test_the_running_values_are_those_of_the_first_pairs_alone():
    d = np.random.default_rng(3).normal(1, 1, 9)
    running = log_evidence(d)
    assert running == pytest.approx([log_evidence(d[:n])[-1] for n in range(1, 10)], abs=1e-12)
    found = anytime_t(pairs_of(d))
    assert found.largest == pytest.approx(max(1.0, math.exp(running.max())))
    assert found.p == pytest.approx(1 / found.largest)
    assert found.evidence == pytest.approx(math.exp(running[-1]))


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.01])
def test_the_ends_of_the_interval_are_the_means_that_are_just_refuted(alpha):
    d = np.random.default_rng(1).normal(0.7, 0.9, 14)
    found = anytime_t(pairs_of(d), confidence=1 - alpha)
    for end in (found.low, found.high):
        assert math.exp(log_evidence(d - end)[-1]) == pytest.approx(1 / alpha)
    inside = found.low + 0.3 * (found.high - found.low)
    assert math.exp(log_evidence(d - inside)[-1]) < 1 / alpha


def test_two_pairs_bound_nothing_at_five_per_cent():
    assert half_width(2, 1.0, 0.05) == math.inf
    assert half_width(1, 1.0, 0.05) == math.inf
    found = anytime_t(pairs_of([0.5, 0.7]))
    assert (found.low, found.high, found.status) == (None, None, "ok")
    assert found.p == pytest.approx(math.exp(-log_evidence(np.array([0.5, 0.7]))[-1]))
    assert math.isfinite(half_width(6, 1.0, 0.05))


def test_equal_differences_and_single_ones_have_no_test():
    assert anytime_t(pairs_of([0.5, 0.5, 0.5])).status == "no-spread"
    assert anytime_t(pairs_of([0.5])).status == "few-pairs"
    assert anytime_t(Pairs(treatment=(), control=(), points=0.01)).status == "few-pairs"
    assert log_evidence(np.zeros(4)).tolist() == [0, 0, 0, 0]


def test_the_first_equal_differences_have_the_limit_and_not_nan():
    found = log_evidence(np.array([2.0, 2.0, 2.0, 1.0]))
    # S = 0: log E = n/2 log(1 + n) - 1/2 log(1 + n)
    assert found[:3] == pytest.approx([0.0, math.log(3) / 2, math.log(4)])
    assert np.isfinite(found).all()


def test_units_and_sign_do_not_matter():
    d = np.random.default_rng(5).normal(0.3, 1, 8)
    assert log_evidence(d) == pytest.approx(log_evidence(-1000 * d))
    up, down = anytime_t(pairs_of(d)), anytime_t(pairs_of(-d))
    assert (up.low, up.high) == pytest.approx((-down.high, -down.low))


def test_a_confidence_that_is_none_is_refused():
    with pytest.raises(UsageError, match="confidence must be between 0 and 1"):
        anytime_t(pairs_of([1.0, 2.0]), confidence=1.0)


def test_looking_after_every_seed_keeps_the_five_per_cent():
    """20 looks at 4,000 studies without a difference: a t test would be wrong in a quarter of them."""
    d = np.random.default_rng(0).normal(0, 1, (4000, 20))
    wrong = np.mean([log_evidence(row).max() >= math.log(20) for row in d])
    assert wrong <= 0.03
    n = np.arange(1, 21)
    sd = np.array([[np.nan, *(row[:k].std(ddof=1) for k in n[1:])] for row in d[:500]])
    t = np.cumsum(d[:500], axis=1) / n / (sd / np.sqrt(n))
    assert np.mean((np.abs(t[:, 2:]) > stats.t.isf(0.025, n[2:] - 1)).any(axis=1)) > 0.15


def test_an_effect_of_one_sd_is_found():
    d = np.random.default_rng(1).normal(1, 1, (2000, 20))
    first = np.array([np.argmax(np.append(log_evidence(row) >= math.log(20), True)) + 1 for row in d])
    assert np.mean(first <= 10) == pytest.approx(0.39, abs=0.04)
    assert np.mean(first <= 20) == pytest.approx(0.88, abs=0.03)
