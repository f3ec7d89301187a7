"""The six words: the two golden studies, and made differences for each case."""

import pytest
from stats_samples import D1, D2, made_pairs

from bamgate.errors import UsageError
from bamgate.stats import WORDS, Pairs, Verdict, equivalence, paired_t, planning, verdict


def judge(pairs: Pairs, rope: float, holm_p: float | None = None) -> Verdict:
    return verdict(paired_t(pairs), equivalence(pairs, rope), rope=rope, holm_p=holm_p, planning=planning(pairs, rope))


def mirrored(pairs: Pairs) -> Pairs:
    return Pairs(treatment=pairs.control, control=pairs.treatment, points=pairs.points)


def test_first_golden_study() -> None:
    found = judge(D1, 0.2)
    assert (found.word, found.also_equivalent, found.seeds_missing) == ("better, size may be negligible", False, None)
    assert found.sentence == (
        "Better, size may be negligible: +0.29 points, 95 % interval +0.16 to +0.43, p 0.0008; "
        "the interval reaches below 0.2 points, the least that matters."
    )


def test_second_golden_study() -> None:
    found = judge(D2, 0.1)
    assert (found.word, found.seeds_missing) == ("undecided", 14 - 5)
    assert found.sentence == (
        "Undecided: +0.01 points, 95 % interval -0.14 to +0.16, p 0.8617; to find a difference of 0.1 points with "
        "power 0.8 takes 14 seeds: 9 more than these 5."
    )


CLEAR = made_pairs([100, 110, 90, 105, 95])  # mean 1.0, interval 0.90 to 1.10
SMALL = made_pairs([10, 11, 9, 12, 8, 10])  # mean 0.10, interval 0.085 to 0.115
NOTHING = made_pairs([1, -2, 3, -1, 0, -1])  # mean 0, interval -0.019 to 0.019


@pytest.mark.parametrize(
    ("pairs", "rope", "word", "also"),
    [
        (CLEAR, 0.2, "better", False),
        (CLEAR, 1.0, "better, size may be negligible", False),
        (CLEAR, 1.09, "better, size may be negligible", True),  # 90 % interval to 1.075
        (CLEAR, 2.0, "better, size may be negligible", True),
        (SMALL, 0.2, "better, size may be negligible", True),
        (NOTHING, 0.2, "equivalent", False),
        (NOTHING, 0.01, "undecided", False),
    ],
)
def test_each_word_and_its_mirror(pairs: Pairs, rope: float, word: str, also: bool) -> None:
    found, other = judge(pairs, rope), judge(mirrored(pairs), rope)
    assert (found.word, found.also_equivalent) == (word, also)
    assert (other.word, other.also_equivalent) == (word.replace("better", "worse"), also)
    assert found.word in WORDS
    assert found.sentence.lower().startswith(word.split(",")[0])
    assert ("also equivalent" in found.sentence) == also


def test_a_direction_needs_the_family() -> None:
    assert judge(CLEAR, 0.2, holm_p=0.049).word == "better"
    held_back = judge(CLEAR, 0.2, holm_p=0.05)
    assert held_back.word == "undecided"
    assert "the interval excludes 0, but not after the adjustment for the family" in held_back.sentence
    assert "Holm-adjusted p 0.05" in held_back.sentence
    # Equivalence is no direction: it stands without one.
    assert judge(SMALL, 0.2, holm_p=0.3).word == "equivalent"


def test_the_interval_alone_gives_no_direction() -> None:
    """A p below 0.05 from elsewhere does not help an interval that holds 0."""
    assert judge(D2, 0.1, holm_p=0.001).word == "undecided"


def test_undecided_though_the_seeds_should_do() -> None:
    """The difference lies near 0.15 with a ROPE of 0.2: six seeds would find 0.2, and yet neither word holds."""
    found = judge(made_pairs([0, 25, 35, -5, 20, 3, 30, -8]), 0.2)
    assert (found.word, found.seeds_missing) == ("undecided", 0)
    assert "of these 8 seeds would find a difference of 0.2 points with power 0.8" in found.sentence


def test_equal_differences_are_stated() -> None:
    found = judge(made_pairs([50] * 4), 0.2)
    assert (found.word, found.seeds_missing) == ("undecided", None)
    assert found.status == "all differences are equal: no spread to judge by"
    assert found.sentence == (
        "Undecided: every one of 4 seeds differs by exactly +0.5 points; without a spread there is nothing to judge "
        "by, nor to tell the seeds that are missing from."
    )
    assert "exactly +0 points" in judge(made_pairs([0, 0]), 0.2).sentence


def test_too_few_seeds() -> None:
    one = judge(made_pairs([50]), 0.2)
    assert one.word == "undecided"
    assert one.sentence == (
        "Undecided: one pair, +0.50 points; needs at least 2 pairs, so that the seeds that are missing cannot be told."
    )
    none = judge(made_pairs([]), 0.2)
    assert none.sentence.startswith("Undecided: no pairs; needs at least 2 pairs")


def test_a_rope_that_no_number_of_seeds_resolves() -> None:
    found = judge(made_pairs([7000, -7000, 6000, -6000]), 0.01)
    assert (found.word, found.seeds_missing) == ("undecided", None)
    assert "cannot be told: the ROPE is too small beside the spread" in found.sentence


def test_undecided_is_never_called_no_difference() -> None:
    for pairs, rope in ((D2, 0.1), (NOTHING, 0.01), (made_pairs([0, 0]), 0.2), (CLEAR, 0.2)):
        for holm_p in (None, 1.0):
            assert "no difference" not in judge(pairs, rope, holm_p).sentence.lower()


def test_one_rope_for_all() -> None:
    with pytest.raises(UsageError, match=r"made with a ROPE of 0.1 points, not 0.2"):
        verdict(paired_t(D1), equivalence(D1, 0.1), rope=0.2, holm_p=None, planning=planning(D1, 0.2))
