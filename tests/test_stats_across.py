"""The difference over cells: the views agree where theory says so, and say why where one has no answer."""

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import optimize, stats

from bamgate.errors import UsageError
from bamgate.stats import MetaAnalysis, across, friedman
from bamgate.stats.status import CODES


def made_cells(
    *, seeds: Sequence[int] = (4, 4, 4, 4, 4, 4), between: float = 0.3, seed: int = 1
) -> dict[str, list[float]]:
    """Cells that differ: mean 0.2, sd `between`; seeds within a cell: sd 0.2."""
    rng = np.random.default_rng(seed)
    return {f"c{i}": (0.2 + between * rng.normal() + 0.2 * rng.normal(size=n)).tolist() for i, n in enumerate(seeds)}


def anova(cells: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """(variance between cells, variance within) of a balanced one-way layout, from its mean squares."""
    x = np.array(list(cells.values()))
    within = float(x.var(axis=1, ddof=1).mean())
    return float(x.mean(axis=1).var(ddof=1)) - within / x.shape[1], within


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_mixed_model_is_the_t_over_cell_means_where_balanced(seed: int) -> None:
    cells = made_cells(seed=seed)
    found = across(cells)
    assert found.mixed.status == found.cells.status == "ok"
    for name in ("mean", "low", "high", "p"):
        assert getattr(found.mixed, name) == pytest.approx(getattr(found.cells, name), abs=1e-3), name
    assert [found.mixed.tau2, found.mixed.sigma2] == pytest.approx(anova(cells), abs=5e-4)


def test_t_over_cell_means_by_hand() -> None:
    found = across({"a": [0.1, 0.3], "b": [0.5, 0.7], "c": [0.0, 0.2]}).cells
    means = np.array([0.2, 0.6, 0.1])
    sd = float(means.std(ddof=1))
    half = 4.302652729911275 * sd / math.sqrt(3)  # the 97.5 % point of t with 2 degrees of freedom
    assert (found.k, found.df) == (3, 2)
    assert (found.mean, found.sd, found.low, found.high) == pytest.approx((0.3, sd, 0.3 - half, 0.3 + half))
    # These cells: within each, the variance is 0.02; the error of a mean over 6 seeds is sqrt(0.02 / 6); t has 3 df.
    half = 3.182446305284263 * math.sqrt(0.02 / 6)
    assert (found.these_low, found.these_high) == pytest.approx((0.3 - half, 0.3 + half))


def test_these_cells_are_least_squares_with_cell_effects() -> None:
    """Seeds unequal: each cell still counts the same. The road here: the design matrix and its covariance."""
    cells = made_cells(seeds=(2, 5, 3, 1))
    d = np.concatenate(list(cells.values()))
    which = np.repeat(np.arange(4), [len(x) for x in cells.values()])
    design = np.eye(4)[which]
    effects, residual, *_ = np.linalg.lstsq(design, d, rcond=None)
    df = len(d) - 4
    weights = np.full(4, 0.25)
    error = math.sqrt(residual[0] / df * (weights @ np.linalg.inv(design.T @ design) @ weights))
    half = stats.t.isf(0.025, df) * error
    found = across(cells).cells
    assert found.mean == pytest.approx(effects.mean())
    assert (found.these_low, found.these_high) == pytest.approx((effects.mean() - half, effects.mean() + half))


def test_new_cells_are_less_sure_than_these_cells() -> None:
    found = across(made_cells()).cells
    assert found.low is not None
    assert found.these_low is not None
    assert found.low < found.these_low < 0.3


def test_more_seeds_do_not_stand_for_more_cells() -> None:
    """Each seed written twice: the claim about new cells must not become surer."""
    once = made_cells()
    twice = {name: values * 2 for name, values in once.items()}
    few, many = across(once).cells, across(twice).cells
    assert (few.low, few.high, few.p) == pytest.approx((many.low, many.high, many.p))


def meta_by_root(cells: Mapping[str, Sequence[float]]) -> tuple[float, float, float]:
    """(mean, tau2, standard error) where Paule and Mandel's equation is 0, found by bisection."""
    x = [np.array(values) for values in cells.values()]
    means, variances = np.array([v.mean() for v in x]), np.array([v.var(ddof=1) / len(v) for v in x])

    def weighted(tau2: float) -> tuple[float, np.ndarray]:
        w = 1 / (variances + tau2)
        return float(w @ means / w.sum()), w

    def excess(tau2: float) -> float:
        mean, w = weighted(tau2)
        return float(w @ (means - mean) ** 2) - (len(means) - 1)

    tau2 = float(optimize.brentq(excess, 0, 10)) if excess(0) > 0 else 0.0
    mean, w = weighted(tau2)
    knapp_hartung = (w @ (means - mean) ** 2) / (w.sum() * (len(means) - 1))
    return mean, tau2, math.sqrt(max(knapp_hartung, 1 / w.sum()))


def assert_meta(found: MetaAnalysis, cells: Mapping[str, Sequence[float]]) -> None:
    mean, tau2, error = meta_by_root(cells)
    k = len(cells)
    half, ahead = stats.t.isf(0.025, k - 1) * error, stats.t.isf(0.025, k - 2) * math.sqrt(error**2 + tau2)
    expected = [mean, tau2, mean - half, mean + half, mean - ahead, mean + ahead]
    values = [found.mean, found.tau2, found.low, found.high, found.prediction_low, found.prediction_high]
    assert found.status == "ok"
    assert values == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_meta_analysis_by_another_root(seed: int) -> None:
    cells = made_cells(seeds=(4, 3, 5, 6, 4), between=0.6, seed=seed)
    found = across(cells).meta
    assert_meta(found, cells)
    assert found.tau2 is not None
    assert found.tau2 > 0
    assert found.i2 is not None
    assert 0 < found.i2 < 1


ALIKE = {"a": [0.1, 0.5, 0.3], "b": [0.12, 0.48, 0.31], "c": [0.0, 0.6, 0.29]}


def test_cells_more_alike_than_chance_are_not_surer_than_their_seeds() -> None:
    """Hartung and Knapp's error alone would be a tenth of the fixed-effect error here."""
    found = across(ALIKE)
    assert_meta(found.meta, ALIKE)
    assert (found.meta.tau2, found.meta.i2) == (0.0, 0.0)
    assert found.mixed.status == "on-boundary"
    assert (found.mixed.mean, found.mixed.p) == (None, None)


def test_one_cell() -> None:
    found = across({"only": [0.1, 0.3, 0.2]})
    assert {found.cells.status, found.mixed.status, found.meta.status} == {"few-contexts"}
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert (found.cells.mean, found.cells.low) == (pytest.approx(0.2), None)
    assert (found.cells.these_low, found.cells.these_high) == pytest.approx((0.2 - half, 0.2 + half))


def test_no_cells() -> None:
    found = across({})
    assert (found.cells.k, found.cells.mean, found.cells.status) == (0, None, "no-contexts")
    assert found.meta.status == "few-contexts"


def test_two_cells_predict_no_third() -> None:
    found = across({"a": [0.1, 0.3, 0.2], "b": [0.9, 1.1, 1.0]}).meta
    assert (found.status, found.prediction_low, found.prediction_high) == ("ok", None, None)
    assert found.low is not None


def test_one_seed_in_each_cell() -> None:
    found = across({"a": [0.1], "b": [0.4], "c": [0.2]})
    assert found.cells.status == "ok"
    assert (found.cells.these_low, found.cells.these_high) == (None, None)
    assert found.mixed.status == "one-seed-contexts"
    assert (found.meta.status, found.meta.about) == ("weightless-contexts", ("a", "b", "c"))


def test_one_seed_in_one_cell() -> None:
    cells = made_cells(seeds=(4, 4, 1, 4), between=0.6)
    found = across(cells)
    assert found.cells.status == found.mixed.status == "ok"
    assert (found.meta.status, found.meta.about) == ("weightless-contexts", ("c2",))


def test_equal_differences_within_cells() -> None:
    """0.1 + 0.2 is not 0.3 for a computer; it is for us."""
    found = across({"a": [0.3, 0.1 + 0.2], "b": [0.5, 0.5]})
    assert found.cells.status == "ok"
    assert (found.cells.these_low, found.cells.these_high) == (None, None)
    assert found.mixed.status == "no-spread-within"
    assert (found.meta.status, found.meta.about) == ("weightless-contexts", ("a", "b"))
    one = across({"a": [0.3, 0.3], "b": [0.5, 0.7], "c": [0.1, 0.2]})
    assert (one.meta.status, one.meta.about) == ("weightless-contexts", ("a",))


def test_equal_cell_means() -> None:
    found = across({"a": [0.1, 0.3], "b": [0.3, 0.1]}).cells
    assert (found.status, found.sd, found.p) == ("equal-contexts", 0.0, None)
    assert found.these_low is not None


def test_no_difference_anywhere() -> None:
    found = across({"a": [0.0, 0.0], "b": [0.0, 0.0]})
    assert (found.cells.mean, found.cells.low, found.mixed.mean, found.meta.mean) == (0.0, None, None, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_difference_is_a_number(bad: float) -> None:
    with pytest.raises(UsageError, match=f"context 'b' has a difference that is not finite: {bad}"):
        across({"a": [0.1, 0.2], "b": [0.1, bad]})
    with pytest.raises(UsageError, match="context 'b' has no seeds; leave it out"):
        across({"a": [0.1, 0.2], "b": []})


def test_a_fit_with_warnings_gives_no_number() -> None:
    """Many made studies with hardly any spread between cells: every mixed model is either right or withheld."""
    ok = 0
    for seed in range(25):
        cells = made_cells(between=0.05, seed=seed)
        mixed = across(cells).mixed
        if mixed.status == "ok":
            ok += 1
            assert [mixed.tau2, mixed.sigma2] == pytest.approx(anova(cells), abs=5e-4)
        else:
            assert mixed.mean is mixed.se is mixed.tau2 is mixed.low is mixed.p is None
    assert 5 <= ok < 25


def test_results_are_plain() -> None:
    for cells in (made_cells(), ALIKE, {"a": [0.1]}, {}):
        plain = across(cells).to_dict()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert plain["mixed"]["status"] in CODES


def test_friedman_by_hand() -> None:
    """Three gates in 4 cells; mean ranks 1.25, 1.75, 3: chi2 = 12 * 4 / (3 * 4) * sum (mean rank - 2)^2 = 6.5."""
    found = friedman(
        {
            "a": {"p": 9.0, "q": 9.0, "r": 9.0, "s": 5.0},
            "b": {"p": 8.0, "q": 8.0, "r": 8.0, "s": 6.0},
            "c": {"p": 1.0, "q": 1.0, "r": 1.0, "s": 1.0},
        }
    )
    assert found.mean_ranks == {"a": 1.25, "b": 1.75, "c": 3.0}
    f = 3 * 6.5 / (4 * 2 - 6.5)
    assert (found.chi2, found.p, found.f) == pytest.approx((6.5, math.exp(-6.5 / 2), f))
    assert found.f_p == pytest.approx(float(stats.f.sf(f, 2, 6)))


def test_friedman_without_an_answer() -> None:
    two = friedman({"a": {"p": 1.0, "q": 2.0}, "b": {"p": 2.0, "q": 3.0}})
    assert (two.status, two.mean_ranks) == ("few-gates-or-contexts", {"a": 2.0, "b": 1.0})
    tied = friedman({gate: {"p": 1.0, "q": 2.0} for gate in "abc"})
    assert (tied.status, tied.p) == ("gates-tie", None)
    alike = friedman({gate: {"p": value, "q": value} for gate, value in zip("abc", (3.0, 2.0, 1.0), strict=True)})
    assert (alike.chi2, alike.f, alike.f_p) == (pytest.approx(4.0), None, None)
    assert friedman({}).status == "few-gates-or-contexts"
    with pytest.raises(UsageError, match="gate 'b' has no result in context 'q'; all gates need the same contexts"):
        friedman({"a": {"p": 1.0, "q": 2.0}, "b": {"p": 2.0}, "c": {"p": 1.0, "q": 1.0}})
