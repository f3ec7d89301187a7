"""The answer in three sentences: what was found, how sure it is, and why."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bamgate.reports.words.gate_properties import PROPERTIES
from bamgate.reports.words.measure import Measure, measure_of
from bamgate.reports.words.numbers import (
    capital,
    count,
    listed,
    p_value,
    percent,
    percent_bounded,
)
from bamgate.reports.words.runs import FEW_PAIRS
from bamgate.reports.words.status import why
from bamgate.reports.words.verdict import WORDS, missing_unknown, plan_phrase
from bamgate.stats.status import NOT_COUNTS
from bamgate.stats.verdict import EQUIVALENT, LOST_IN_FAMILY, NEGLIGIBLE, UNDECIDED

Row = Mapping[str, Any]
FEWEST_TO_PLAN = 4  # pairs; fewer tell too little about the spread for more than a rough plan


class Headline(NamedTuple):
    """What was found, how sure it is, and why; an empty text if there is nothing to say."""

    sentence: str
    sure: str
    why: str


def headline_words(stats: Row) -> Headline:
    """The first screen of a report in words.

    Args:
        stats: what stats.json holds.
    """
    kind, arm = stats["headline"]["kind"], stats["headline"]["arm"]
    rows, measure = [row for row in stats["contrasts"] if row["arm"] == arm], measure_of(stats)
    if kind == "interim":
        return _interim(stats["progress"])
    if kind == "across-contexts":
        new = next(row for row in stats["across"] if row["arm"] == arm)
        sentence, sure = _over_contexts(stats, new, rows, measure)
    elif kind == "one-context":
        sentence, sure = _sentence(stats, rows[0], measure) + _others(stats), _sure(stats, rows[0], measure)
    else:
        sentence, sure = _one_by_one(stats["headline"], rows)
    notes = [*_failures(stats, rows), *_choices(stats, measure)]
    return Headline(sentence, " ".join(text for text in (sure, *notes) if text), _why(stats["headline"], measure))


def _interim(progress: Row) -> Headline:
    done = f"{progress['seeds_done']} of {progress['seeds_planned']} seeds"
    runs = f"{progress['planned'] - progress['missing']} of {progress['planned']} runs"
    return Headline(
        f"Interim: {done} are complete ({runs} have ended), so there is no verdict yet.",
        "Testing before all planned runs have ended, and stopping when the result pleases, finds differences that do "
        "not exist. Every p value is withheld until the study is complete.",
        "",
    )


def _sentence(stats: Row, row: Row, measure: Measure) -> str:
    code, t, rope = row["verdict"]["code"], row["t"], stats["design"]["rope"]
    arm, reference = row["arm"], row["reference"]
    if t["mean"] is None:
        return f"Undecided: there are no pairs of {arm} and {reference} to compare."
    if t["low"] is None:
        scored = f"{_scored(row, measure)} ({_evidence(t, measure)})"
        return f"Undecided: {scored}. {capital(why(t))}. {missing_unknown('seed')}"
    if code == EQUIVALENT:
        return (
            f"{arm} and {reference} are equivalent here: the difference, "
            f"{measure.difference(t['mean'])}{_in_metric(measure)} (90 % interval {measure.reach(row['equivalence'])}, "
            f"{count(t['n'], 'seed')}), lies within the margin of "
            f"{measure.margin(rope)}."
        )
    if code == UNDECIDED:
        scored = f"{_scored(row, measure)} ({_evidence(t, measure)})"
        return f"Undecided: {scored}, {_doubt(row)}{_missing(rope, row, measure)}."
    direction, size = code.removesuffix(NEGLIGIBLE), f"{measure.size(t['mean'])}{_in_metric(measure)}"
    start = f"{arm} is {direction} than {reference} by {size} ({_evidence(t, measure)})"
    if code == direction:
        return f"{start}. The whole interval lies beyond {measure.margin(rope)}; less counts as too small to matter."
    return f"{start}. The difference may still lie within {measure.margin(rope)}, which counts as too small to matter."


def _in_metric(measure: Measure) -> str:
    """Of what a difference is, unless that goes without saying."""
    return f" of {measure.name}" if measure.says_direction else ""


def _scored(row: Row, measure: Measure) -> str:
    """How far apart the two arms are. Who has less of an error does not score below."""
    mean, arm, reference = row["t"]["mean"], row["arm"], row["reference"]
    if not measure.says_direction:
        if mean == 0:
            return f"{arm} scored exactly as high as {reference}"
        return f"{arm} scored {measure.size(mean)} {'above' if mean > 0 else 'below'} {reference}"
    if mean == 0:
        return f"the {measure.name} of {arm} is exactly that of {reference}"
    return f"the {measure.name} of {arm} is {measure.size(mean)} {'above' if mean > 0 else 'below'} that of {reference}"


def _evidence(t: Row, measure: Measure) -> str:
    parts = [measure.direction] if measure.says_direction else []
    parts += [] if t["low"] is None else [f"95 % interval {measure.reach(t)}"]
    return ", ".join([*parts, count(t["n"], "seed")])


def _doubt(row: Row) -> str:
    """Why there is no direction: the interval, or the number of comparisons."""
    if row["verdict"]["reason"] == LOST_IN_FAMILY:
        family = family_words(row)
        return f"an interval that excludes 0, but corrected for {family} {p_value(row['holm_p'])}, not below 0.05"
    return f"consistent with chance (uncorrected {p_value(row['t']['p'])})"


def family_words(row: Row) -> str:
    """The comparisons that a p value is corrected for."""
    return "one comparison" if row["family"] == 1 else f"{row['family']} comparisons with {row['reference']}"


def _missing(rope: float, row: Row, measure: Measure) -> str:
    """How many seeds more, or why nobody can say."""
    verdict, plan, n = row["verdict"], row["planning"], row["t"]["n"]
    missing, needed = verdict["seeds_missing"], plan["seeds_needed"]
    if missing is None:
        return f"; how many seeds are missing cannot be estimated: {plan_phrase(verdict)}"
    if not missing:
        enough = f"these {n}" if needed == n else f"{needed} of these {n}"
        return f"; {enough} seeds would find {measure.amount(rope)}, so more seeds may not decide it"
    found = "" if plan["mde_points"] is None else f" (these {n} find {measure.size(plan['mde_points'], fewer=1)})"
    rough = "; with so few pairs the spread, and so this number, is a rough estimate" if n < FEWEST_TO_PLAN else ""
    return (
        f"; finding a true difference of {measure.amount(rope)} with power {plan['power']:g} takes {needed} seeds, "
        f"{missing} more than these {n}{found}{rough}"
    )


def _others(stats: Row) -> str:
    """The verdicts on the arms that the sentence is not about."""
    arms: dict[str, list[str]] = {}
    for row in stats["contrasts"]:
        if row["arm"] != stats["headline"]["arm"]:
            arms.setdefault(row["verdict"]["code"], []).append(row["arm"])
    ordered = sorted(arms.items(), key=lambda item: item[0] == UNDECIDED)
    parts = [f"{WORDS[code]}: {', '.join(names) if len(names) < 4 else len(names)}" for code, names in ordered]
    return f" The other arms against {stats['headline']['reference']}: {'; '.join(parts)}." if parts else ""


def _sure(stats: Row, row: Row, measure: Measure) -> str:
    posterior, n = row["posterior"], row["t"]["n"]
    if posterior["below"] is None:
        return f"{count(n, 'pair')} cannot tell a difference from chance: {why(posterior)}."
    rope = measure.amount(stats["design"]["rope"])
    worse, better = ("below", "above") if measure.metric.higher_is_better else ("above", "below")
    parts = (
        (worse, f"that it is worse by more than {rope}"),
        ("inside", f"that the difference lies within {measure.margin(stats['design']['rope'])}"),
        (better, f"that it is better by more than {rope}"),
    )
    chances = listed([f"{percent_bounded(posterior[name])} {text}" for name, text in parts])
    return (
        f"Taken alone, with a flat prior, this comparison gives {row['arm']} a chance of {chances}. "
        f"{row['arm']} won on {row['sign_test']['wins']} of {n} seeds; {_exact(row)}."
    )


def _exact(row: Row) -> str:
    """What a test that assumes no distribution gives: sign flips, which need counts, or else ranks."""
    flip, ranks = row["sign_flip"], row["signed_rank"]
    if flip["status"] == NOT_COUNTS and row["t"]["n"] >= FEW_PAIRS:
        known = ranks["p"] is not None
        return f"Wilcoxon's signed-rank test gives {p_value(ranks['p'])}" if known else why(ranks)
    if flip["reachable"]:
        return f"the exact sign-flip test gives {p_value(flip['p'])}"
    return f"{row['t']['n']} pairs are too few for any exact test to reach p < 0.05"


def _failures(stats: Row, rows: list[Row]) -> list[str]:
    """How often the two arms failed in each context in which one did, and what that means for the comparison."""
    failed = [(row, text) for row in rows if (text := _diverged(stats, row))]
    compared = any(row["t"]["n"] for row, _ in failed)
    return [text for _, text in failed] + ["The comparison uses the seeds that both finished."] * compared


def _diverged(stats: Row, row: Row) -> str:
    if row["fisher"] is None:
        return ""
    arms = (row["arm"], row["reference"])
    levels = [x for x in stats["levels"] if x["context"] == row["context"] and x["arm"] in arms]
    parts = " and ".join(f"{x['arm']} diverged in {x['diverged']} of {x['planned']} runs" for x in levels)
    place = f" ({row['context']})" if row["context"] else ""
    p = "" if row["fisher"]["p"] is None else f"; Fisher's exact test {p_value(row['fisher']['p'])}"
    return f"{parts}{place}{p}."


def _choices(stats: Row, measure: Measure) -> list[str]:
    """What the author of the report chose, and what was added to the study."""
    design, headline = stats["design"], stats["headline"]
    notes = []
    if headline["shown"] < headline["compared"]:
        shown = f"Only {headline['shown']} of the study's {headline['compared']} comparisons are shown"
        notes.append(f"{shown}; p values are corrected for all of them.")
    if design["rope_of_study"] is not None:
        declared = measure.amount(design["rope_of_study"])
        chosen = f"The margin of {measure.amount(design['rope'])} was chosen for this report"
        notes.append(f"{chosen}; the study declared {declared}.")
    if added := design["added_seeds"]:
        were = f"Seed{'s' * (len(added) > 1)} {', '.join(map(str, added))} {'were' if len(added) > 1 else 'was'}"
        notes.append(f"{were} added to the plan later: if the results had been seen by then, p values are too small.")
    return notes


def _one_by_one(headline: Row, rows: list[Row]) -> tuple[str, str]:
    """Several contexts that are no sample of anything."""
    names = f"{headline['arm']} against {headline['reference']}"
    sentence = f"{names}, in each of {len(rows)} contexts by itself: {_counts(rows) or 'no comparison'}."
    return sentence, "The contexts are chosen settings, so no claim is made over all of them." if rows else ""


def _counts(rows: list[Row]) -> str:
    codes = [row["verdict"]["code"] for row in rows]
    return "; ".join(f'"{WORDS[code]}" in {codes.count(code)}' for code in dict.fromkeys(codes))


def _over_contexts(stats: Row, new: Row, rows: list[Row], measure: Measure) -> tuple[str, str]:
    cells, rope = new["across"]["cells"], stats["design"]["rope"]
    interval = "no interval" if cells["low"] is None else f"95 % interval {measure.reach(cells)} over their means"
    mean = "" if cells["mean"] is None else f"{_scored({**new, 't': cells}, measure)} ({interval}); "
    compared = [row for row in rows if row["differences"]]
    lost = [row["context"] for row in rows if not row["differences"]]
    sentence = (
        f"For a new network or data set like these {cells['k']}: {WORDS[new['verdict_new']['code']]}; {mean}one by "
        f"one: {_counts(compared)}." + (f" Left out, because they have no pair: {', '.join(lost)}." if lost else "")
    )
    ends = {"low": cells["these_low"], "high": cells["these_high"]}
    these = "cannot be computed" if None in ends.values() else f"is {measure.with_unit(measure.reach(ends))}"
    return sentence, (
        f"The interval is about a new network or data set; for these {cells['k']} alone it {these}. "
        f"Differences within {measure.margin(rope)} count as too small to matter."
    )


def _why(headline: Row, measure: Measure) -> str:
    """The steps from the reference to the arm, and how much the gates attenuated."""
    texts = [text for text in (_steps(headline["steps"], measure), _attenuated(headline["attenuated"])) if text]
    place = headline["why_context"]
    if texts and place is not None:
        texts[0] = f"In {place}, the first context: {texts[0][0].lower()}{texts[0][1:]}"
    return " ".join(texts)


def _steps(steps: list[Row], measure: Measure) -> str:
    if not steps:
        return ""
    parts = ", ".join(f"{PROPERTIES[step['property']]} {measure.signed(step['mean'])}" for step in steps)
    sure = [f"the {PROPERTIES[step['property']]}" for step in steps if step["beyond_chance"]]
    told = f"only {listed(sure)} can be told from chance" if sure else "none can be told from chance"
    told = "each of them can be told from chance" if len(sure) == len(steps) else told
    return f"Step by step from {steps[0]['control']} to {steps[-1]['treatment']}: {measure.with_unit(parts)}; {told}."


def _attenuated(shares: list[Row]) -> str:
    if not shares:
        return ""
    parts = " and ".join(f"{percent(x['percent'], 0)} of {x['arm']}'s" for x in shares)
    return f"At the end of training {parts} values were attenuated (s < 1), averaged over the sites."
