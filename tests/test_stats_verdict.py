"""The six verdicts: the two golden studies, and made differences for each case; and what is said of them."""

import pytest
from stats_samples import D1, D2, made_pairs

from bamgate.errors import UsageError
from bamgate.reports.words.numbers import ascii_signs
from bamgate.reports.words.verdict import WORDS, verdict_sentence
from bamgate.stats import REASONS, VERDICTS, Pairs, Verdict, equivalence, paired_t, planning, verdict


def judge(pairs: Pairs, rope: float, holm_p: float | None = None) -> Verdict:
    return verdict(paired_t(pairs), equivalence(pairs, rope), rope=rope, holm_p=holm_p, planning=planning(pairs, rope))


def said(found: Verdict) -> str:
    return ascii_signs(verdict_sentence(found.to_dict()))


def mirrored(pairs: Pairs) -> Pairs:
    return Pairs(treatment=pairs.control, control=pairs.treatment, points=pairs.points)


def test_first_golden_study() -> None:
    found = judge(D1, 0.2)
    assert (found.code, found.also_equivalent, found.seeds_missing) == ("better-maybe-negligible", False, None)
    assert said(found) == (
        "Better, size may be negligible: +0.29 points, 95 % interval +0.16 to +0.43, p = 0.0008; "
        "the interval reaches into the margin of ±0.2 points."
    )


def test_second_golden_study() -> None:
    found = judge(D2, 0.1)
    assert (found.code, found.seeds_missing) == ("undecided", 14 - 5)
    assert said(found) == (
        "Undecided: +0.01 points, 95 % interval -0.14 to +0.16, p = 0.8617; finding a difference of 0.1 points with "
        "power 0.8 takes 14 seeds, 9 more than these 5."
    )


CLEAR = made_pairs([100, 110, 90, 105, 95])  # mean 1.0, interval 0.90 to 1.10
SMALL = made_pairs([10, 11, 9, 12, 8, 10])  # mean 0.10, interval 0.085 to 0.115
NOTHING = made_pairs([1, -2, 3, -1, 0, -1])  # mean 0, interval -0.019 to 0.019


@pytest.mark.parametrize(
    ("pairs", "rope", "word", "also"),
    [
        (CLEAR, 0.2, "better", False),
        (CLEAR, 1.0, "better-maybe-negligible", False),
        (CLEAR, 1.09, "better-maybe-negligible", True),  # 90 % interval to 1.075
        (CLEAR, 2.0, "better-maybe-negligible", True),
        (SMALL, 0.2, "better-maybe-negligible", True),
        (NOTHING, 0.2, "equivalent", False),
        (NOTHING, 0.01, "undecided", False),
    ],
)
def test_each_word_and_its_mirror(pairs: Pairs, rope: float, word: str, also: bool) -> None:
    found, other = judge(pairs, rope), judge(mirrored(pairs), rope)
    assert (found.code, found.also_equivalent) == (word, also)
    assert (other.code, other.also_equivalent) == (word.replace("better", "worse"), also)
    assert found.code in VERDICTS
    assert found.reason in REASONS
    assert said(found).lower().startswith(WORDS[word])
    assert ("also equivalent" in said(found)) == also


def test_a_direction_needs_the_family() -> None:
    assert judge(CLEAR, 0.2, holm_p=0.049).code == "better"
    held_back = judge(CLEAR, 0.2, holm_p=0.05)
    assert held_back.code == "undecided"
    assert "the interval excludes 0, but p corrected for the family is not below 0.05" in said(held_back)
    assert "Holm-adjusted p = 0.05" in said(held_back)
    # Equivalence is no direction: it stands without one.
    assert judge(SMALL, 0.2, holm_p=0.3).code == "equivalent"


def test_the_interval_alone_gives_no_direction() -> None:
    """A p below 0.05 from elsewhere does not help an interval that holds 0."""
    assert judge(D2, 0.1, holm_p=0.001).code == "undecided"


def test_undecided_though_the_seeds_should_do() -> None:
    """The difference lies near 0.15 with a ROPE of 0.2: six seeds would find 0.2, and yet neither word holds."""
    found = judge(made_pairs([0, 25, 35, -5, 20, 3, 30, -8]), 0.2)
    assert (found.code, found.seeds_missing) == ("undecided", 0)
    assert "; these 8 seeds would find a difference of 0.2 points with power 0.8" in said(found)


def test_equal_differences_are_stated() -> None:
    found = judge(made_pairs([50] * 4), 0.2)
    assert (found.code, found.seeds_missing) == ("undecided", None)
    assert (found.status, found.reason) == ("no-spread", "no-test")
    assert said(found) == (
        "Undecided: all 4 seeds differ by exactly +0.5 points, so there is no spread to judge by. "
        "How many seeds are missing cannot be estimated."
    )
    assert "exactly 0 points" in said(judge(made_pairs([0, 0]), 0.2))


def test_too_few_seeds() -> None:
    one = judge(made_pairs([50]), 0.2)
    assert one.code == "undecided"
    assert said(one) == (
        "Undecided: 1 pair, +0.50 points. A test needs at least 2 pairs. "
        "How many seeds are missing cannot be estimated."
    )
    none = judge(made_pairs([]), 0.2)
    assert said(none).startswith("Undecided: no pairs. A test needs at least 2 pairs.")


def test_a_rope_that_no_number_of_seeds_resolves() -> None:
    found = judge(made_pairs([7000, -7000, 6000, -6000]), 0.01)
    assert (found.code, found.seeds_missing) == ("undecided", None)
    assert "cannot be estimated: the margin is too small for this spread: it would take more than 100000 seeds" in said(
        found
    )


def test_undecided_is_never_called_no_difference() -> None:
    for pairs, rope in ((D2, 0.1), (NOTHING, 0.01), (made_pairs([0, 0]), 0.2), (CLEAR, 0.2)):
        for holm_p in (None, 1.0):
            assert "no difference" not in said(judge(pairs, rope, holm_p)).lower()


def test_one_rope_for_all() -> None:
    with pytest.raises(UsageError, match=r"used a ROPE of 0.1 points, not 0.2"):
        verdict(paired_t(D1), equivalence(D1, 0.1), rope=0.2, holm_p=None, planning=planning(D1, 0.2))
