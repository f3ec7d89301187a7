"""Every golden value that a function of ours gives, made by other libraries: see "by" in statistics_golden.json."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from stats_samples import GOLDEN, golden_pairs, rope_of

from bamgate.stats import (
    bayes_factor,
    bca,
    effect_size,
    equivalence,
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
from bamgate.stats.planning import seeds_for, smallest_effect

DATASETS = ("d1_clear_n10", "d2_null_n5_ties")
BOOTSTRAP_TOLERANCE = 0.02  # across versions of scipy and numpy


@cache
def found(name: str) -> dict[str, Any]:
    """Our values by the golden file's keys; where a key holds more than we give, the keys that we give."""
    pairs, rope = golden_pairs(name), rope_of(name)
    t, welch, tost, plan = paired_t(pairs), unpaired(pairs), equivalence(pairs, rope), planning(pairs, rope)
    effect, wins, signs, masses = effect_size(pairs), superiority(pairs), sign_test(pairs), posterior(pairs, rope)
    ranks, factors, middle = signed_rank(pairs), bayes_factor(pairs), level(pairs.differences.tolist())
    treatment, control = level(pairs.treatment_points.tolist()), level(pairs.control_points.tolist())
    return {
        "n": pairs.n,
        "mean_treatment": treatment.mean,
        "mean_control": control.mean,
        "sd_treatment": treatment.sd,
        "sd_control": control.sd,
        "diffs": pairs.differences.tolist(),
        "mean_diff": t.mean,
        "sd_diff": t.sd,
        "sem_diff": t.sem,
        "median_diff": middle.median,
        "pair_correlation": welch.correlation,
        "wins_ties_losses": [signs.wins, signs.ties, signs.losses],
        "ttest_rel": {"t": t.t, "df": t.df, "p": t.p, "ci95": [t.low, t.high]},
        "t_ci95_crosscheck": [middle.low, middle.high],
        "welch_unpaired": {"t": welch.t, "df": welch.df, "p": welch.p, "ci95": [welch.low, welch.high]},
        "sign_flip_permutation_exact": {"two-sided": sign_flip(pairs).p},
        "wilcoxon_auto": {"wilcox": {"statistic": ranks.statistic, "p": ranks.p}},
        "sign_test": signs.p,
        "cohen_dz": effect.d_z,
        "hedges_gz_exact": effect.g_z,
        "cohen_dz_ci95_noncentral_t": [effect.low, effect.high],
        "a12_unpaired": wins.a12,
        "a12_unpaired_crosscheck": wins.a12,
        "p_superior_paired": wins.win_share,
        "p_superior_paired_wilson_ci95": [wins.low, wins.high],
        "tost_paired": {"rope": tost.rope, "p": tost.p, "p_lower": tost.p_lower, "p_upper": tost.p_upper},
        "tost_paired_crosscheck": tost.p,
        "tost_ci90": [tost.low, tost.high],
        "bf10_jzs_r707": factors.medium,
        "bf10_jzs_r_0.5_1": [factors.narrow, factors.wide],
        "posterior_mean_diff": {
            "p_below_rope": masses.below,
            "p_in_rope": masses.inside,
            "p_above_rope": masses.above,
            "p_gt_0": masses.positive,
        },
        "posterior_predictive_p_win_next_seed": masses.next_seed_wins,
        "mde_dz_power80": plan.mde_dz,
        "mde_points_power80": plan.mde_points,
        "power_at_rope": plan.power_at_rope,
        "seeds_needed_for_rope_power80": {"raw": plan.seeds_needed_exact, "ceil": plan.seeds_needed},
    }


def assert_close(ours: Any, golden: Any, tolerance: float) -> None:
    if isinstance(ours, dict):
        for key, value in ours.items():
            assert_close(value, golden[key], tolerance)
    else:
        assert ours == pytest.approx(golden, abs=tolerance, rel=0)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("key", found(DATASETS[0]))
def test_value_is_that_of_other_libraries(name: str, key: str) -> None:
    golden = GOLDEN["expected"][name][key]
    assert_close(found(name)[key], golden["value"], golden["tol"])


def test_one_sided_p_is_the_posterior_mass_below_0() -> None:
    for name in DATASETS:
        golden = GOLDEN["expected"][name]["ttest_rel_one_sided"]["value"]
        positive = posterior(golden_pairs(name), rope_of(name)).positive
        assert positive is not None
        assert 1 - positive == pytest.approx(golden["greater"], abs=1e-6)


def test_bootstrap_interval() -> None:
    golden = GOLDEN["expected"]["d1_clear_n10"]["bootstrap_ci95_mean_diff"]["value"]["BCa"]
    interval = bca(golden_pairs("d1_clear_n10"))
    assert [interval.low, interval.high] == pytest.approx(golden, abs=BOOTSTRAP_TOLERANCE)
    assert interval.resamples == 9999


PLANNING = {key: entry["value"] for key, entry in GOLDEN["expected"]["planning"].items()}


def ceil_of(alpha: float) -> Callable[[float], float]:
    return lambda d_z: float(np.ceil(seeds_for(d_z, 0.8, alpha) or np.nan))


@pytest.mark.parametrize(
    ("key", "ours", "tolerance"),
    [
        ("mde_dz_for_power80_alpha05", lambda n: smallest_effect(n, 0.8, 0.05), 1e-4),
        ("mde_dz_for_power80_alpha05", lambda n: power_curve(2.0, 0.1, [int(n)])[0][1] / 2, 1e-4),
        ("seeds_for_power80_by_dz", ceil_of(0.05), 0),
        ("seeds_for_power80_by_dz_alpha_over_6", ceil_of(0.05 / 6), 0),
    ],
)
def test_planning_numbers(key: str, ours: Callable[[float], float], tolerance: float) -> None:
    for given, value in PLANNING[key].items():
        assert ours(float(given)) == pytest.approx(value, abs=tolerance, rel=0), given


def test_smallest_p_of_sign_flips() -> None:
    from stats_samples import made_pairs

    for n, smallest in PLANNING["least_two_sided_p_of_exact_sign_flip"].items():
        clear = sign_flip(made_pairs([50 + i for i in range(int(n))]))
        assert clear.p == clear.smallest_p == pytest.approx(smallest, abs=1e-6)
        assert clear.reachable == (int(n) >= 6)
