"""Diverged runs, single images and families of p-values: by hand, by counting, by the golden study with one failure."""

import math

import numpy as np
import pytest
from scipy import stats
from stats_samples import D1

from bamgate.errors import UsageError
from bamgate.stats import (
    Pairs,
    failure_rate,
    false_discovery,
    fisher,
    holm,
    image_bootstrap,
    mcnemar,
    paired_t,
    signed_rank,
    worst_rank,
)


def test_the_first_data_set_with_a_diverged_run() -> None:
    treatment = [None if seed == 3 else value for seed, value in enumerate(D1.treatment)]
    found = worst_rank(treatment, D1.control)
    assert (found.wins, found.ties, found.losses, found.a12) == (8, 0, 2, pytest.approx(0.79))
    assert found.p == pytest.approx(0.105, abs=0.001)
    rest = [seed for seed in range(10) if seed != 3]
    complete = Pairs(
        treatment=tuple(D1.treatment[s] for s in rest), control=tuple(D1.control[s] for s in rest), points=0.01
    )
    given_both = paired_t(complete)
    assert (given_both.mean, given_both.p) == (pytest.approx(0.303, abs=5e-4), pytest.approx(0.0016, abs=5e-5))
    rate = failure_rate(1, 10)
    assert (rate.share, rate.low, rate.high) == pytest.approx((0.1, 0.018, 0.404), abs=5e-4)


def test_without_failures_the_worst_rank_is_wilcoxon() -> None:
    assert worst_rank(D1.treatment, D1.control).p == signed_rank(D1).p


def test_two_failures_of_one_seed_tie() -> None:
    """Left are -1 and the treatment's failure: both ranks lost, p = 2 / 2^2."""
    found = worst_rank([None, 7, None], [None, 8, 3])
    assert (found.wins, found.ties, found.losses, found.p) == (0, 1, 2, 0.5)
    # Of nine couples, ranked (fails, fails, 7) against (fails, 8, 3): 7 beats fails and 3, two fail alike.
    assert found.a12 == pytest.approx((2 + 2 / 2) / 9)


def test_a_failure_is_below_the_worst_run_and_failures_rank_alike() -> None:
    found = worst_rank([None, 900, 1000, 1100, None], [0, 0, 0, 0, 5])
    # |d| ranks: 1, 2, 3 won, both failures 4.5 lost; sums of ranks at most 6 come from 12 of 32 signs.
    assert found.p == pytest.approx(2 * 12 / 32)
    assert (found.wins, found.losses) == (3, 2)


def test_worst_rank_without_an_answer() -> None:
    assert worst_rank([None], [5]).status == "few-pairs"
    assert worst_rank([], []).status == "few-pairs"
    all_failed = worst_rank([None, None], [None, None])
    assert (all_failed.status, all_failed.p, all_failed.a12) == ("all-tie", None, 0.5)
    with pytest.raises(UsageError, match="pairs need the same seeds: 1 treatment, 2 control"):
        worst_rank([1], [1, 2])


def test_failure_rates_at_their_ends() -> None:
    z2 = stats.norm.isf(0.025) ** 2
    none, all_failed = failure_rate(0, 10), failure_rate(10, 10)
    assert (none.low, none.high) == (0.0, pytest.approx(z2 / (10 + z2)))
    assert (all_failed.low, all_failed.high) == (pytest.approx(10 / (10 + z2)), 1.0)
    assert failure_rate(0, 0).status == "no-runs"
    for failed, n in ((-1, 5), (6, 5)):
        with pytest.raises(UsageError, match=f"failures must be from 0 to the 5 runs, got {failed}"):
            failure_rate(failed, n)


def test_fisher_by_counting() -> None:
    """4 of 5 against 0 of 5: all four failures in one arm, 5 of 210 ways on each side."""
    found = fisher(4, 5, 0, 5)
    assert found.p == pytest.approx(2 * math.comb(5, 4) / math.comb(10, 4))
    assert (found.odds_ratio, found.status) == (None, "ok")
    assert fisher(4, 5, 1, 5).odds_ratio == 16
    nothing = fisher(0, 5, 0, 5)
    assert (nothing.p, nothing.odds_ratio) == (1.0, None)
    assert fisher(0, 0, 1, 5).status == "arm-without-runs"


def answers(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


def test_mcnemar_by_hand() -> None:
    found = mcnemar(answers("xxxxxx.x.."), answers("x......xx."))
    assert (found.only_treatment, found.only_control, found.p) == (5, 1, pytest.approx(2 * 7 / 64))
    same = mcnemar(answers("x.x"), answers("x.x"))
    assert (same.p, same.status) == (None, "images-alike")


def test_answers_are_true_or_false() -> None:
    assert mcnemar(np.array([1, 0, 1]), answers("...")).only_treatment == 2
    with pytest.raises(UsageError, match="must be true or false, got other values"):
        mcnemar(np.array([0.5, 1.0]), np.array([1.0, 1.0]))
    with pytest.raises(UsageError, match=r"same shape \(images,\), got \(3,\) and \(2,\)"):
        mcnemar(answers("..."), answers(".."))
    with pytest.raises(UsageError, match=r"same shape \(seeds, images\), got \(3,\) and \(3,\)"):
        image_bootstrap(answers("..."), answers("..."))


def test_image_bootstrap_is_the_spread_over_images() -> None:
    """One seed, independent answers: the interval is mean ± 1.96 sd / sqrt(images), by the central limit theorem."""
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 10_000)) < 0.77, rng.random((1, 10_000)) < 0.75
    found = image_bootstrap(a, b, resamples=4000)
    d = (a[0].astype(float) - b[0]) * 100
    half = 1.96 * d.std() / 100
    assert found.mean == pytest.approx(d.mean())
    assert [found.low, found.high] == pytest.approx([d.mean() - half, d.mean() + half], abs=0.06)


def test_image_bootstrap_keeps_the_seeds_together() -> None:
    """The same seed three times tells no more of the images than once."""
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 2000)) < 0.8, rng.random((1, 2000)) < 0.8
    once, thrice = image_bootstrap(a, b), image_bootstrap(np.repeat(a, 3, axis=0), np.repeat(b, 3, axis=0))
    assert (once.mean, once.low, once.high) == pytest.approx((thrice.mean, thrice.low, thrice.high))


def test_image_bootstrap_draws_as_one_draws_images() -> None:
    """The plain road: indices of images, with a loop."""
    rng = np.random.default_rng(5)
    a, b = rng.random((3, 300)) < 0.7, rng.random((3, 300)) < 0.6
    per_image = 100 * (a.mean(axis=0) - b.mean(axis=0))
    means = [per_image[rng.integers(0, 300, 300)].mean() for _ in range(4000)]
    found = image_bootstrap(a, b, resamples=4000)
    assert [found.low, found.high] == pytest.approx(list(np.quantile(means, [0.025, 0.975])), abs=0.4)
    assert image_bootstrap(a, b, seed=1) == image_bootstrap(a, b, seed=1) != image_bootstrap(a, b, seed=2)


def test_image_bootstrap_without_an_answer() -> None:
    same = image_bootstrap(np.ones((2, 5), dtype=bool), np.zeros((2, 5), dtype=bool))
    assert (same.mean, same.low, same.status) == (100.0, None, "images-agree")
    assert image_bootstrap(np.ones((2, 0), dtype=bool), np.ones((2, 0), dtype=bool)).status == "no-images"


def test_holm_by_hand() -> None:
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1, never falling."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": None})
    assert found == {
        "a": pytest.approx(0.03),
        "b": pytest.approx(0.06),
        "c": pytest.approx(0.06),
        "d": pytest.approx(0.02),
        "e": None,
    }
    assert list(found) == ["a", "b", "c", "d", "e"]


def test_false_discovery_by_hand() -> None:
    """Sorted .005, .01, .03, .04 times 4/1, 4/2, 4/3, 4/4."""
    found = false_discovery({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": None})
    assert found == {
        "a": pytest.approx(0.02),
        "b": pytest.approx(0.04),
        "c": pytest.approx(0.04),
        "d": pytest.approx(0.02),
        "e": None,
    }


@pytest.mark.parametrize("adjust", [holm, false_discovery])
def test_families_at_their_ends(adjust) -> None:  # type: ignore[no-untyped-def]
    assert adjust({}) == {}
    assert adjust({1: None}) == {1: None}
    assert adjust({("gate", "cell"): 0.03}) == {("gate", "cell"): 0.03}
    assert adjust({"a": 0.9, "b": 1.0}) == {"a": 1.0, "b": 1.0}
    for bad in (math.nan, -0.1, 1.2):
        with pytest.raises(UsageError, match="p of 'a' must be from 0 to 1, got"):
            adjust({"a": bad})
