"""Every number about one contrast, a line a method, the primary one first."""

from bamgate.reports.words.document import Facts_
from bamgate.reports.words.headline import family_words
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import (
    NBSP,
    capital,
    count,
    interval,
    number,
    p_value,
    percent,
    points,
    probability,
    ratio,
    seeds,
    share,
)
from bamgate.reports.words.sections.common import OK, Row, given, without_interval
from bamgate.reports.words.status import left_out, why
from bamgate.reports.words.verdict import verdict_sentence

PRIORS = (("narrow", "0.5"), ("medium", "0.707"), ("wide", "1"))


def facts(row: Row, design: Row, measure: Measure) -> Facts_:
    """(method, result) of one contrast."""
    rope = measure.amount(design["rope"])
    return (
        ("Verdict", verdict_sentence(row["verdict"], measure)),
        ("Pairs", _pairs(row)),
        ("Paired t (primary)", _paired_t(row, measure)),
        ("Exact sign flips", given(row["sign_flip"], _sign_flip)),
        ("Wilcoxon signed rank", given(row["signed_rank"], _signed_rank)),
        ("Sign test", _sign_test(row["sign_test"])),
        ("Bootstrap (BCa)", given(row["bca"], lambda result: _bootstrap(result, measure))),
        ("Effect size", given(row["effect"], _effect)),
        ("Chance of winning", given(row["superiority"], _superiority)),
        (
            f"Equivalence within {measure.margin(design['rope'])}",
            given(row["equivalence"], lambda result: _equivalence(result, measure)),
        ),
        (
            "Posterior",
            given(row["posterior"], lambda result: _posterior(result, rope, measure)),
        ),
        ("Bayes factors", given(row["bayes"], _bayes)),
        ("Unpaired (Welch)", given(row["unpaired"], lambda result: _unpaired(result, measure))),
        ("What these seeds can see", _planning(row["planning"], rope, measure)),
    )


def _pairs(row: Row) -> str:
    text = f"{count(row['t']['n'], 'pair')}, seeds {seeds(row['seeds'])}."
    if row["left_out"]:
        text += " Left out: " + "; ".join(map(left_out, row["left_out"])) + "."
    return text


def _paired_t(row: Row, measure: Measure) -> str:
    t = row["t"]
    if t["mean"] is None:
        return f"none: {why(t)}."
    if t["low"] is None:
        return f"mean difference {measure.difference(t['mean'])}; {without_interval(t)}."
    return (
        f"mean difference {measure.difference(t['mean'])}, SD over seeds {measure.number(t['sd'])}, "
        f"{percent(100 * t['confidence'], 0)} interval {measure.interval(t['low'], t['high'])}; "
        f"t({t['df']}){NBSP}={NBSP}{number(t['t'])}, {p_value(t['p'])}, {p_value(row['holm_p'], 'Holm p')} "
        f"({family_words(row)})."
    )


def _sign_flip(result: Row) -> str:
    if not result["reachable"]:
        return (
            f"cannot reach p < 0.05 with these pairs, however clear the difference: the smallest possible is "
            f"{p_value(result['smallest_p'])} (here {p_value(result['p'])})."
        )
    how = "all exchanges within pairs" if result["exact"] else f"{result['resamples']} random exchanges within pairs"
    return f"{p_value(result['p'])} over {how}; the smallest possible is {p_value(result['smallest_p'])}."


def _signed_rank(result: Row) -> str:
    return f"W{NBSP}={NBSP}{result['statistic']:g}, {p_value(result['p'])} ({result['method']})."


def _sign_test(result: Row) -> str:
    ties = f", {count(result['ties'], 'tie')}" if result["ties"] else ""
    wins = f"{count(result['wins'], 'win')}{ties}, {count(result['losses'], 'loss', 'losses')}"
    return f"{wins}; {p_value(result['p'])}." if result["status"] == OK else f"{wins}; {why(result)}."


def _bootstrap(result: Row, measure: Measure) -> str:
    return f"95{NBSP}% interval {measure.interval(result['low'], result['high'])} from {result['resamples']} resamples."


def _effect(result: Row) -> str:
    unbiased = "" if result["g_z"] is None else f"; without small-sample bias g_z{NBSP}={NBSP}{points(result['g_z'])}"
    return (
        f"d_z{NBSP}={NBSP}{points(result['d_z'])}, 95{NBSP}% interval {interval(result['low'], result['high'])}"
        f"{unbiased}. In units of the SD of the paired differences; not Cohen's d of independent groups."
    )


def _superiority(result: Row) -> str:
    rule = "meets" if result["meaningful"] else "does not meet"
    return (
        f"{share(result['win_share'], 0)} of seeds won (ties half), Wilson 95{NBSP}% interval "
        f"[{share(result['low'], 0)}, {share(result['high'], 0)}]; over all couples of runs A12{NBSP}={NBSP}"
        f"{number(result['a12'])}. This {rule} the rule of Bouthillier et al. for a meaningful improvement (lower "
        f"limit above 50{NBSP}%, upper at 75{NBSP}% or more)."
    )


def _equivalence(result: Row, measure: Measure) -> str:
    return (
        f"two one-sided t tests: {p_value(result['p'])} (against the lower bound {p_value(result['p_lower'])}, "
        f"against the upper {p_value(result['p_upper'])}); 90{NBSP}% interval "
        f"{measure.interval(result['low'], result['high'])}."
    )


def _posterior(result: Row, rope: str, measure: Measure) -> str:
    worse, better = ("below", "above") if measure.metric.higher_is_better else ("above", "below")
    return (
        f"the mean difference is {worse} the range (worse by more than {rope}) with probability "
        f"{probability(result[worse])}, within it {probability(result['inside'])}, {better} it "
        f"{probability(result[better])}; above 0 {probability(result['positive'])}. The next seed wins with "
        f"probability {probability(result['next_seed_wins'])}. Reference prior."
    )


def _bayes(result: Row) -> str:
    parts = [f"{ratio(result[name])} (prior width {width})" for name, width in PRIORS]
    return f"BF10, a difference against none, with a Cauchy prior on d_z: {', '.join(parts)}."


def _unpaired(result: Row, measure: Measure) -> str:
    known = result["correlation"] is not None
    pairing = (
        f"correlation between the arms over seeds {points(result['correlation'])}; near 0, pairing buys nothing"
        if known
        else "the correlation between the arms cannot be computed"
    )
    return (
        f"{p_value(result['p'])}, 95{NBSP}% interval {measure.interval(result['low'], result['high'])}, as if the "
        f"seeds were unrelated; {pairing}."
    )


def _planning(result: Row, rope: str, measure: Measure) -> str:
    if result["mde_points"] is None:
        return f"none: {why(result)}."
    wanted = share(result["power"], 0)
    text = (
        f"{count(result['n'], 'seed')} find a true difference of {measure.size(result['mde_points'])} "
        f"(d_z{NBSP}={NBSP}{number(result['mde_dz'])}) with power {wanted}; one of {rope} "
        f"with power {share(result['power_at_rope'], 0)}."
    )
    if result["seeds_needed"] is None:
        return f"{text} {capital(why(result))}."
    return f"{text} For power {wanted} there: {count(result['seeds_needed'], 'seed')}."
