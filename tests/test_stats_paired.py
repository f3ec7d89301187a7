"""Paired runs: intervals, exact tests, effects, planning, by hand and by scipy; ties, equal differences, few pairs."""

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats
from stats_samples import D1, D2, made_pairs
from statsmodels.stats.power import TTestPower

from bamgate.errors import UsageError
from bamgate.stats import (
    Pairs,
    Result,
    bayes_factor,
    bca,
    effect_size,
    equivalence,
    image_bootstrap,
    level,
    paired_t,
    planning,
    posterior,
    power_curve,
    sign_flip,
    sign_test,
    signed_rank,
    superiority,
    unpaired,
)
from bamgate.stats.noncentral import cdf, noncentrality, two_sided_power
from bamgate.stats.result import listen
from bamgate.stats.status import CODES, NO_SPREAD

EVERY: dict[str, Callable[[Pairs], Result]] = {
    "paired_t": paired_t,
    "bca": bca,
    "sign_flip": sign_flip,
    "signed_rank": signed_rank,
    "sign_test": sign_test,
    "effect_size": effect_size,
    "superiority": superiority,
    "unpaired": unpaired,
    "equivalence": lambda pairs: equivalence(pairs, 0.2),
    "posterior": lambda pairs: posterior(pairs, 0.2),
    "bayes_factor": bayes_factor,
    "planning": lambda pairs: planning(pairs, 0.2),
}
HARD_CASES = {
    "none": [],
    "one": [5],
    "two": [5, 9],
    "all zero": [0] * 12,
    "all equal": [50] * 12,
    "one not zero": [0] * 11 + [1],
    "ties": [3, -3, 3, 0, 0, 3, -3, 7, 7, 7, 7, 7],
    "tight": [5000] * 11 + [5001],
    "wild": [7000, -7000] * 6,
}


@pytest.mark.parametrize("case", HARD_CASES)
@pytest.mark.parametrize("name", EVERY)
def test_an_answer_is_numbers_or_a_code(name: str, case: str) -> None:
    """No warning escapes (they are errors here), nothing but plain finite numbers is found in the dictionary."""
    result = EVERY[name](made_pairs(HARD_CASES[case]))
    plain = result.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert result.call
    assert plain["status"] in CODES
    if name not in ("paired_t", "planning") and plain["status"] != "ok":
        allowed = {"n", "resamples", "rope", "n_used", "wins", "ties", "losses", "confidence"}
        assert not [k for k, v in plain.items() if type(v) in (int, float) and k not in allowed], plain


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("differences", [[], [5]])
def test_fewer_than_two_pairs(name: str, differences: list[int]) -> None:
    expected = "few-pairs-for-bootstrap" if name == "bca" else "few-pairs"
    assert EVERY[name](made_pairs(differences)).status == expected


@pytest.mark.parametrize(
    "name", ["paired_t", "bca", "effect_size", "equivalence", "posterior", "bayes_factor", "planning"]
)
def test_equal_differences_have_no_spread(name: str) -> None:
    assert EVERY[name](made_pairs([50] * 12)).status == NO_SPREAD


def test_equal_differences_keep_their_mean() -> None:
    t = paired_t(made_pairs([50] * 4))
    assert (t.mean, t.sd, t.sem, t.df, t.t, t.p, t.low) == (0.5, 0.0, 0.0, 3, None, None, None)
    one = paired_t(made_pairs([7]))
    assert (one.mean, one.sd, one.df) == (pytest.approx(0.07), None, None)
    assert paired_t(made_pairs([])).mean is None


def test_level_by_hand() -> None:
    four = level([1.0, 2.0, 3.0, 6.0])
    sd = math.sqrt(14 / 3)
    half = 3.182446305284263 * sd / 2  # the 97.5 % point of t with 3 degrees of freedom
    assert (four.n, four.mean, four.minimum, four.median, four.maximum) == (4, 3.0, 1.0, 2.5, 6.0)
    assert (four.sd, four.sem, four.low, four.high) == pytest.approx((sd, sd / 2, 3 - half, 3 + half))


def test_level_without_interval() -> None:
    one = level([77.5])
    assert (one.mean, one.median, one.sd, one.low, one.status) == (77.5, 77.5, None, None, "one-seed")
    same = level([77.5, 77.5, 77.5])
    assert (same.mean, same.sd, same.low) == (77.5, 0.0, None)
    assert same.status == "equal-values"
    assert (level([]).n, level([]).mean, level([]).status) == (0, None, "no-values")
    with pytest.raises(UsageError, match="a level needs finite numbers, got nan"):
        level([1.0, math.nan])


def test_pairs_refuse_what_is_no_pair() -> None:
    for treatment, control, points, message in [
        ((1, 2), (1,), 0.01, "pairs need the same seeds: 2 treatment, 1 control"),
        ((1.5,), (1,), 0.01, "treatment must be whole numbers, got 1.5"),
        ((1,), (True,), 0.01, "control must be whole numbers, got True"),
        ((1,), (1,), 0.0, "points must be above 0 (100 / images), got 0.0"),
        ((1,), (1,), math.nan, "points must be above 0 (100 / images), got nan"),
    ]:
        with pytest.raises(UsageError) as caught:
            Pairs(treatment=treatment, control=control, points=points)  # type: ignore[arg-type]
        assert str(caught.value) == message


def test_pairs_take_numpy_integers_and_keep_plain_ones() -> None:
    pairs = Pairs(treatment=tuple(np.array([5, 7])), control=tuple(np.array([4, 9])), points=0.5)
    assert pairs.raw == (1, -2)
    assert {type(value) for value in (*pairs.treatment, *pairs.raw)} == {int}
    assert pairs.differences.tolist() == [0.5, -1.0]
    assert (pairs.treatment_points.tolist(), pairs.control_points.tolist()) == ([2.5, 3.5], [2.0, 4.5])


def test_wrong_arguments() -> None:
    for rope in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="rope must be a number above 0, got"):
            equivalence(D1, rope)
    with pytest.raises(UsageError, match="confidence must be between 0 and 1, got 95"):
        paired_t(D1, confidence=95)
    with pytest.raises(UsageError, match="power must be above alpha"):
        planning(D1, 0.2, power=0.04)
    with pytest.raises(UsageError, match="a power curve starts at 2 seeds, got 1"):
        power_curve(0.2, 0.2, [1, 2])
    with pytest.raises(UsageError, match="sd must be a number above 0, got 0"):
        power_curve(0.0, 0.2, [2])


def test_sign_flips_by_enumeration() -> None:
    rng = np.random.default_rng(3)
    for n in (2, 5, 9):
        counts = rng.integers(-4, 7, size=n)
        signs = np.array(list(itertools.product((1, -1), repeat=n)))
        expected = float(np.mean(np.abs(signs @ counts) >= abs(counts.sum())))
        assert sign_flip(made_pairs(counts.tolist())).p == expected


@pytest.mark.parametrize("points", [0.01, 100 / 50_000, 100 / 1797])
def test_exact_tests_do_not_see_the_unit(points: float) -> None:
    """On percentages scipy's own test says 0.875 for the second data set, where 1 is right."""
    pairs = Pairs(treatment=D2.treatment, control=D2.control, points=points)
    assert (sign_flip(pairs).p, signed_rank(pairs).p, sign_test(pairs).p) == (1.0, 1.0, 1.0)


def test_sign_flips_of_more_than_20_pairs_are_drawn() -> None:
    counts = np.random.default_rng(0).integers(-30, 50, size=25)
    drawn = sign_flip(made_pairs(counts.tolist()))
    assert (drawn.exact, drawn.resamples, drawn.reachable) == (False, 99_999, True)
    assert drawn == sign_flip(made_pairs(counts.tolist()))
    assert drawn.p == pytest.approx(_exact_p(counts), abs=0.005)
    clear = sign_flip(made_pairs([50 + i for i in range(25)]))
    assert clear.p == clear.smallest_p == 1e-5  # 1 / (1 + resamples), never 0
    assert sign_flip(made_pairs(counts[:20].tolist())).exact


def _exact_p(counts: np.ndarray) -> float:
    """By the distribution of the sum, built one difference at a time."""
    reach = int(np.abs(counts).sum())
    chance = np.zeros(2 * reach + 1)
    chance[reach] = 1
    for count in counts:
        chance = (np.roll(chance, count) + np.roll(chance, -count)) / 2
    return float(chance[np.abs(np.arange(-reach, reach + 1)) >= abs(counts.sum())].sum())


def test_pairs_that_tie_cannot_be_flipped() -> None:
    six = sign_flip(made_pairs([5, 6, 7, 8, 9, 0]))
    assert (six.p, six.smallest_p, six.reachable) == (2 / 2**5, 2 / 2**5, False)
    none = sign_flip(made_pairs([0, 0, 0]))
    assert (none.status, none.p, none.smallest_p, none.reachable) == ("ok", 1.0, 1.0, False)


def test_signed_rank_names_its_method() -> None:
    def method(differences: list[int]) -> tuple[str | None, int]:
        test = signed_rank(made_pairs(differences))
        return test.method, test.n_used

    assert method([1, 2, -3, 4]) == ("exact", 4)
    assert method([1, 2, -2, 0]) == ("permutation", 3)
    assert method([1] * 10 + [-2] * 4) == ("asymptotic", 14)
    assert method(list(range(1, 52))) == ("asymptotic", 51)
    assert signed_rank(made_pairs([0, 0, 0])).status == "all-tie"


def test_signed_rank_by_hand() -> None:
    """Ranks 1 to 4, of which -1 loses: sums of ranks at most 1 come from 2 of 16 signs."""
    test = signed_rank(made_pairs([-1, 2, 3, 4]))
    assert (test.statistic, test.p) == (1.0, 2 * 2 / 16)
    # Equal ranks 1.5, 1.5, 3: the loser's 1.5 or less comes from 3 of 8 signs.
    tied = signed_rank(made_pairs([2, -2, 5]))
    assert (tied.statistic, tied.p) == (1.5, 2 * 3 / 8)


def test_sign_test_by_hand() -> None:
    test = sign_test(made_pairs([4, 1, 0, 3, -2, 9]))
    assert (test.wins, test.ties, test.losses, test.p) == (4, 1, 1, pytest.approx(2 * (1 + 5) / 32))
    ties = sign_test(made_pairs([0, 0]))
    assert (ties.ties, ties.p, ties.status) == (2, None, "all-tie")


def test_bootstrap_needs_ten_pairs_and_a_seed() -> None:
    few = bca(made_pairs(list(range(9))))
    assert (few.status, few.about) == ("few-pairs-for-bootstrap", (10,))
    assert bca(D1, seed=1) == bca(D1, seed=1) != bca(D1, seed=2)


def test_effect_size_limits_give_back_their_shares() -> None:
    for counts in ([3, 1], [5, 9, -2], [100, 101, 102, 103, 104], [-7, -8, -6, -9, -7, -5]):
        pairs = made_pairs(counts)
        effect, root = effect_size(pairs), math.sqrt(len(counts))
        assert effect.d_z is not None
        assert effect.low is not None
        assert effect.high is not None
        t, df = effect.d_z * root, len(counts) - 1
        assert stats.nct.cdf(t, df, effect.low * root) == pytest.approx(0.975, abs=1e-6)
        assert stats.nct.cdf(t, df, effect.high * root) == pytest.approx(0.025, abs=1e-6)


def test_small_sample_correction() -> None:
    assert effect_size(made_pairs([3, 1])).g_z is None
    three = effect_size(made_pairs([3, 1, 2]))
    # J at 2 degrees of freedom is gamma(1) / (gamma(1/2) * 1) = 1 / sqrt(pi).
    assert three.g_z == pytest.approx(2 / math.sqrt(math.pi))


def test_superiority_of_ties() -> None:
    half = superiority(made_pairs([0] * 10))
    assert (half.win_share, half.low, half.a12, half.meaningful) == (0.5, 0.0, 0.5, False)
    all_won = superiority(made_pairs([1] * 10))
    z2 = stats.norm.isf(0.025) ** 2
    assert (all_won.low, all_won.high) == pytest.approx((10 / (10 + z2), 1.0))
    assert all_won.meaningful


def test_meaningful_needs_both_limits() -> None:
    """52 of 80 wins surely more than half, but 3 of 4 is out of reach; 5 of 6 may be 3 of 4, but also half."""
    sure = superiority(made_pairs([1] * 100 + [-1] * 60))
    assert sure.low is not None
    assert sure.high is not None
    assert sure.low > 0.5
    assert sure.high < 0.75
    assert not sure.meaningful
    assert not superiority(made_pairs([1] * 5 + [-1])).meaningful


def test_correlation_where_there_is_none() -> None:
    assert unpaired(made_pairs([5, 9])).correlation is None
    constant = unpaired(made_pairs([5, 9, 1]))
    assert (constant.status, constant.correlation) == ("ok", None)
    assert constant.p is not None
    assert unpaired(made_pairs([5, 5, 5])).status == "constant-arms"


def test_bayes_factor_by_quadrature() -> None:
    def integrand(g: float, t: float, n: int, r: float) -> float:
        fit = (1 + n * g) ** -0.5 * (1 + t**2 / ((1 + n * g) * (n - 1))) ** (-n / 2)
        return float(fit * stats.invgamma(0.5, scale=r**2 / 2).pdf(g))

    for differences in ([1, 2, 3, 5], [4, -3, 6, 0, 2, 2, -1], [10, 12, 11, 13, 9, 10]):
        pairs = made_pairs(differences)
        t, n = paired_t(pairs).t, pairs.n
        assert t is not None
        null = (1 + t**2 / (n - 1)) ** (-n / 2)
        for width, ours in zip((0.5, math.sqrt(2) / 2, 1.0), _factors(pairs), strict=True):
            value, _ = integrate.quad(integrand, 0, np.inf, args=(t, n, width), limit=500)
            assert ours == pytest.approx(value / null, rel=1e-5)


def _factors(pairs: Pairs) -> list[float | None]:
    factors = bayes_factor(pairs)
    return [factors.narrow, factors.medium, factors.wide]


def test_noncentral_t_is_that_of_scipy_where_it_has_one() -> None:
    for df, t, nc in itertools.product((1, 2, 4, 9, 29, 200), (-3, 0, 0.5, 4, 30), (-2, 0, 0.3, 4, 9)):
        scipy = float(stats.nct.cdf(t, df, nc))
        assert cdf(t, df, nc) == pytest.approx(scipy, abs=1e-9) or math.isnan(scipy), (df, t, nc)
    assert 0 <= cdf(-3, 1, 10) < 1e-20
    assert cdf(4, 9, noncentrality(4, 9, 0.3)) == pytest.approx(0.3)


def test_power_is_that_of_statsmodels_where_it_has_one() -> None:
    for n, d_z in itertools.product((2, 3, 5, 20, 500), (0, 0.1, 0.7, 1.5)):
        expected = float(TTestPower().power(d_z, n, 0.05))
        ours = two_sided_power(stats.t.isf(0.025, n - 1), n - 1, d_z * math.sqrt(n))
        assert ours == pytest.approx(expected, abs=1e-9) or math.isnan(expected)
    assert two_sided_power(stats.t.isf(0.025, 1), 1, 50 * math.sqrt(2)) == pytest.approx(1)  # NaN by statsmodels 0.15


def test_planning_at_its_ends() -> None:
    easy = planning(made_pairs([1, 2, 1, 2]), rope=50.0)
    assert (easy.status, easy.seeds_needed, easy.seeds_needed_exact) == ("ok", 2, 2.0)
    assert easy.power_at_rope == pytest.approx(1)
    hopeless = planning(made_pairs([7000, -7000, 6000, -6000]), rope=0.01)
    assert (hopeless.status, hopeless.about) == ("rope-too-small", (100_000,))
    assert (hopeless.seeds_needed, hopeless.seeds_needed_exact) == (None, None)
    assert hopeless.power_at_rope == pytest.approx(0.05, abs=1e-4)


def test_seeds_needed_have_the_power_and_one_fewer_has_not() -> None:
    plan = planning(D2, 0.1)
    assert plan.seeds_needed == 14
    (_, _, before), (_, _, at) = power_curve(float(D2.differences.std(ddof=1)), 0.1, [13, 14])
    assert before < 0.8 <= at


def test_a_power_curve_goes_down_in_points_and_up_in_power() -> None:
    curve = power_curve(0.28284, 0.3, list(range(2, 31)))
    assert [n for n, _, _ in curve] == list(range(2, 31))
    points, power = [p for _, p, _ in curve], [w for _, _, w in curve]
    assert points == sorted(points, reverse=True)
    assert power == sorted(power)
    assert next(n for n, _, w in curve if w >= 0.8) == 10  # sd 0.2 in each arm, no correlation, 0.3 points


@pytest.mark.slow
def test_the_t_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for counts in np.rint(rng.normal(300, 200, size=(1000, 5))).astype(int):
        t = paired_t(made_pairs(counts.tolist()))
        assert t.low is not None
        assert t.high is not None
        covered += t.low < 3.0 < t.high
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)  # three standard errors


def test_global_randomness_is_left_alone() -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    for statistic in EVERY.values():
        statistic(D1)
    sign_flip(made_pairs(list(range(25))))
    image_bootstrap(np.eye(3, 40, dtype=bool), np.zeros((3, 40), dtype=bool))
    assert np.random.get_state()[1].tolist() == before


def test_a_number_that_did_not_come_out_is_named() -> None:
    factors = bayes_factor(made_pairs([5000] * 150 + [5001] * 150))
    assert factors.medium is None
    assert (factors.status, factors.about) == ("not-finite", ("narrow",))


def test_warnings_are_heard() -> None:
    value, heard = listen(lambda: float(np.float64(1) / np.float64(0)))
    assert value == math.inf
    assert heard == ["divide by zero encountered in scalar divide"]
    assert listen(lambda: 3) == (3, [])


def test_import_is_light() -> None:
    code = "import sys, bamgate.stats; print(sorted({'scipy', 'statsmodels', 'pandas', 'torch'} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
