"""Pairs of a metric that counts nothing, such as a mean squared error, against scipy and against hand."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bamgate.errors import UsageError
from bamgate.reports.words.status import why
from bamgate.stats import Pairs, bca, effect_size, paired_t, sign_flip, sign_test, signed_rank, superiority, unpaired
from bamgate.stats.status import NO_SPREAD, NOT_COUNTS

A = (0.81, 0.77, 0.93, 0.66, 0.71, 0.88, 0.79, 0.84, 0.73, 0.69, 0.90, 0.75)
B = (0.80, 0.79, 0.89, 0.61, 0.70, 0.83, 0.80, 0.78, 0.70, 0.66, 0.91, 0.70)
PAIRS = Pairs.of_values(A, B)


def test_the_t_test_is_scipys() -> None:
    found, expected = paired_t(PAIRS), scipy_stats.ttest_rel(A, B)
    interval = expected.confidence_interval(0.95)
    assert (found.t, found.p) == (expected.statistic, expected.pvalue)
    assert (found.low, found.high) == (interval.low, interval.high)
    assert found.mean == pytest.approx(sum(A) / 12 - sum(B) / 12)
    assert found.sd == pytest.approx(np.std(np.subtract(A, B), ddof=1))


def test_the_other_tests_take_values_too() -> None:
    d = np.subtract(A, B)
    assert effect_size(PAIRS).d_z == pytest.approx(d.mean() / d.std(ddof=1))
    assert (sign_test(PAIRS).wins, sign_test(PAIRS).losses, sign_test(PAIRS).ties) == (9, 3, 0)
    assert sign_test(PAIRS).p == scipy_stats.binomtest(9, 12).pvalue
    welch = scipy_stats.ttest_ind(A, B, equal_var=False)
    assert unpaired(PAIRS).p == pytest.approx(welch.pvalue)
    assert superiority(PAIRS).win_share == 0.75
    assert signed_rank(PAIRS).p == pytest.approx(scipy_stats.wilcoxon(d).pvalue)
    low = bca(PAIRS).low
    assert low is not None
    assert 0 < low < d.mean()


def test_a_test_that_needs_counts_says_so() -> None:
    found = sign_flip(PAIRS).to_dict()
    assert (found["status"], found["p"]) == (NOT_COUNTS, None)
    assert why(found) == "the test needs counts, and this metric counts nothing"


def test_differences_that_only_rounding_spreads_have_no_spread() -> None:
    """0.3 - 0.2 and 0.2 - 0.1 are not the same float."""
    assert 0.3 - 0.2 != 0.2 - 0.1
    found = paired_t(Pairs.of_values((0.3, 0.2), (0.2, 0.1)))
    assert (found.status, found.t, found.sd) == (NO_SPREAD, None, 0.0)
    assert found.mean == pytest.approx(0.1)
    assert paired_t(Pairs.of_values((0.3, 0.2), (0.2, 0.1 + 1e-12))).status != NO_SPREAD


@pytest.mark.parametrize(
    ("treatment", "control", "message"),
    [
        ((0.5, math.nan), (0.5, 0.5), "treatment must be finite numbers, got nan"),
        ((0.5,), (math.inf,), "control must be finite numbers, got inf"),
        ((0.5,), (True,), "control must be finite numbers, got True"),
        ((0.5,), ("0.5",), "control must be finite numbers, got '0.5'"),
        ((0.5, 0.6), (0.5,), "pairs need the same seeds: 2 treatment, 1 control"),
    ],
)
def test_values_refuse_what_is_not_a_number(treatment: tuple[float], control: tuple[float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Pairs.of_values(treatment, control)
    assert str(caught.value) == message


def test_one_pair_and_a_tie() -> None:
    assert paired_t(Pairs.of_values((0.5,), (0.25,))).mean == 0.25
    assert sign_test(Pairs.of_values((0.5, 0.7), (0.5, 0.2))).ties == 1
