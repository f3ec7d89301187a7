"""A verdict as words, and as a sentence with its numbers."""

from collections.abc import Mapping
from typing import Any

from bamgate.reports.words.measure import OF_ACCURACY, Measure
from bamgate.reports.words.numbers import capital, count, p_value, percent
from bamgate.reports.words.status import phrase, why
from bamgate.stats import status as codes
from bamgate.stats.verdict import BETTER, EQUIVALENT, LOST_IN_FAMILY, NEGLIGIBLE, UNDECIDED, WORSE

Row = Mapping[str, Any]
INTERIM = "interim"
WORDS = {
    BETTER: "better",
    WORSE: "worse",
    BETTER + NEGLIGIBLE: "better, size may be negligible",
    WORSE + NEGLIGIBLE: "worse, size may be negligible",
    EQUIVALENT: "equivalent",
    UNDECIDED: "undecided",
    INTERIM: "interim",
}


def verdict_sentence(verdict: Row, measure: Measure = OF_ACCURACY) -> str:
    """The verdict with its numbers, as one sentence."""
    if verdict["code"] == INTERIM:
        return f"Interim: {phrase(codes.INTERIM)}."
    if verdict["reason"] == "no-test":
        return _without_test(verdict, measure)
    label = "Holm-adjusted p" if verdict["adjusted"] else "p"
    level = percent(100 * verdict["confidence"], 0)
    numbers = f"{measure.difference(verdict['mean'])}, {level} interval {measure.reach(verdict)}"
    head = f"{capital(WORDS[verdict['code']])}: {numbers}, {p_value(verdict['p'], label)}"
    return f"{head}; {_reason(verdict, measure)}."


def _reason(verdict: Row, measure: Measure) -> str:
    rope = verdict["rope"]
    if verdict["code"] == EQUIVALENT:
        low_high = {"low": verdict["equal_low"], "high": verdict["equal_high"]}
        return f"the {percent(90, 0)} interval {measure.reach(low_high)} lies within {measure.margin(rope)}"
    if verdict["code"] == UNDECIDED:
        family = "the interval excludes 0, but p corrected for the family is not below 0.05; "
        return (family if verdict["reason"] == LOST_IN_FAMILY else "") + _missing(verdict, measure)
    small = f"the difference is real, but smaller than the margin of {measure.amount(rope)}"
    reasons = {
        "within-rope": f"also equivalent: {small}",
        "reaches-into-rope": f"the interval reaches into the margin of {measure.margin(rope)}",
        "beyond-rope": f"the whole interval lies beyond {measure.margin(rope)}",
    }
    return reasons[verdict["reason"]]


def _missing(verdict: Row, measure: Measure) -> str:
    """How many more would decide, or why nobody can say."""
    n, unit, needed = verdict["n"], verdict["unit"], verdict["seeds_needed"]
    if needed is None:
        return f"how many {unit}s are missing cannot be estimated: {plan_phrase(verdict)}"
    aim = f"a difference of {measure.amount(verdict['rope'])} with power {verdict['power']:g}"
    if verdict["seeds_missing"]:
        return f"finding {aim} takes {count(needed, unit)}, {verdict['seeds_missing']} more than these {n}"
    enough = f"these {n}" if needed == n else f"{needed} of these {n}"
    return f"{enough} {unit}s would find {aim}, so more {unit}s may not decide it"


def plan_phrase(verdict: Row) -> str:
    """Why the number of missing seeds is not known."""
    return phrase(verdict["plan_status"], verdict["plan_about"])


def _without_test(verdict: Row, measure: Measure) -> str:
    n, unit = verdict["n"], verdict["unit"]
    if verdict["mean"] is not None and verdict["sd"] == 0:
        exact = f"all {n} {unit}s differ by exactly {measure.exactly(verdict['mean'])}"
        return f"Undecided: {exact}, so there is no spread to judge by. {missing_unknown(unit)}"
    noun = "pair" if unit == "seed" else unit
    exact = count(n, noun) if n else f"no {noun}s"
    exact += "" if verdict["mean"] is None else f", {measure.difference(verdict['mean'])}"
    return f"Undecided: {exact}. {capital(why(verdict))}. {missing_unknown(unit)}"


def missing_unknown(unit: str) -> str:
    """A sentence for a comparison whose spread is not known."""
    return f"How many {unit}s are missing cannot be estimated."
