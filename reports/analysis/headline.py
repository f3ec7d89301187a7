"""The answer in three sentences: what was found, how sure it is, and why."""

import itertools
from typing import Any

from bamgate.reports.design import Design

Plain = dict[str, Any]
FEWEST_TO_PLAN = 4  # pairs; fewer tell too little about the spread for more than a rough plan
PATHS = {  # from the first gate to the second by steps that change one property each
    ("sigmoid", "tanh"): (
        ("sigmoid", "centred-sigmoid", "tanh-half", "tanh"),
        ("sigmoid", "centred-sigmoid", "tanh-quarter", "tanh"),
    )
}


def headline(whole: Design, facts: Plain, *, compared: int) -> Plain:
    """The first screen of a report, from what has been found.

    Args:
        facts: "progress", "contrasts", "across", "attribution", "mechanism", "levels".
        compared: comparisons of the whole study, shown or not.
    """
    design = whole.shown
    names: Plain = {"arm": design.headline, "reference": design.reference, "context": None}
    if not facts["progress"]["complete"]:
        return {**names, "word": "interim", **_interim(facts["progress"])}
    rows = [row for row in facts["contrasts"] if row["arm"] == design.headline]
    new = next((row for row in facts["across"] if row["arm"] == design.headline), None)
    why = _why(design, facts, rows)
    notes = [_diverged(facts, row) for row in rows] + _choices(whole, facts, compared)
    if new is not None:
        found = {"word": new["verdict_new"]["word"], **_over_contexts(design, new, rows)}
    elif len(rows) == 1:
        names["context"] = rows[0]["context"] or None
        found = {
            "word": rows[0]["verdict"]["word"],
            "sentence": _sentence(design, rows[0]) + _others(design, facts["contrasts"]),
            "sure": _sure(design, rows[0]),
        }
    else:
        found = _one_by_one(design, rows)
    found["sure"] = " ".join(text for text in (found["sure"], *notes) if text)
    return {**names, **found, "why": why}


def _others(design: Design, contrasts: list[Plain]) -> str:
    """The verdicts on the arms that the sentence is not about."""
    words: dict[str, list[str]] = {}
    for row in contrasts:
        if row["arm"] != design.headline:
            words.setdefault(row["verdict"]["word"], []).append(row["arm"])
    ordered = sorted(words.items(), key=lambda item: item[0] == "undecided")
    parts = [f"{word}: {', '.join(arms) if len(arms) < 4 else len(arms)}" for word, arms in ordered]
    return f" The other arms against {design.reference}: {'; '.join(parts)}." if parts else ""


def _diverged(facts: Plain, row: Plain) -> str:
    """How often the two arms failed, where one did."""
    counts = {
        level["arm"]: f"{level['diverged']} of {level['planned']} runs"
        for level in facts["levels"]
        if level["context"] == row["context"] and level["arm"] in (row["arm"], row["reference"])
    }
    if row["fisher"] is None:
        return ""
    where = f" ({row['context']})" if row["context"] else ""
    p = "" if row["fisher"]["p"] is None else f"; Fisher's exact test p = {_p(row['fisher']['p'])}"
    parts = " and ".join(f"{arm} diverged in {count}" for arm, count in counts.items())
    return f"{parts}{where}{p}: the comparison is of the seeds that both finished."


def _choices(whole: Design, facts: Plain, compared: int) -> list[str]:
    """What whoever made the report chose, and what they added."""
    notes, shown = [], len(facts["contrasts"])
    if shown < compared:
        notes.append(
            f"Only {shown} of the {compared} comparisons of the study are shown; p values are corrected for all."
        )
    if whole.rope_of_study is not None:
        chosen, declared = _points(whole.rope), _points(whole.rope_of_study)
        notes.append(f"The margin of {chosen} was chosen for this report; the study declared {declared}.")
    if whole.added_seeds:
        seeds = ", ".join(map(str, whole.added_seeds))
        were = f"Seed {seeds} was" if len(whole.added_seeds) == 1 else f"Seeds {seeds} were"
        notes.append(f"{were} added to the plan later: if the results had been seen, p values are too small.")
    return notes


def _one_by_one(design: Design, rows: list[Plain]) -> Plain:
    """Several contexts that are no sample of anything."""
    words = list(dict.fromkeys(row["verdict"]["word"] for row in rows))
    counts = "; ".join(f'"{w}" in {sum(r["verdict"]["word"] == w for r in rows)}' for w in words) or "no comparison"
    sentence = f"{design.headline} against {design.reference}, in each of {len(rows)} contexts by itself: {counts}."
    sure = "The contexts are settings that somebody chose, so there is no claim over all of them." if rows else ""
    return {"word": words[0] if len(words) == 1 else "undecided", "sentence": sentence, "sure": sure}


def _interim(progress: Plain) -> Plain:
    done = f"{progress['seeds_done']} of {progress['seeds_planned']} seeds"
    runs = f"{progress['planned'] - progress['missing']} of {progress['planned']} runs"
    return {
        "sentence": f"Interim: {done} are complete ({runs} have ended), so there is no verdict yet.",
        "sure": "Whoever looks before all planned runs are in, and stops when the result pleases, finds differences "
        "that are not there; no p value is given until the study is complete.",
        "why": "",
    }


def _sentence(design: Design, row: Plain) -> str:
    word, t, margin = row["verdict"]["word"], row["t"], _margin(design)
    arm, reference = row["arm"], row["reference"]
    if t["mean"] is None:
        return f"Undecided: there are no pairs of {arm} and {reference} to compare."
    size, evidence = _size(t["mean"]), _evidence(t)
    if t["low"] is None:
        why = f"{t['status']}, so that the seeds that are missing cannot be told"
        return f"Undecided: {arm} scored {size} {reference} ({evidence}); {why}."
    if word in ("better", "worse"):
        return f"{arm} is {word} than {reference}: {size} it ({evidence}), beyond the {margin}."
    if word in ("better, size may be negligible", "worse, size may be negligible"):
        how = word.split(",")[0]
        return f"{arm} is {how} than {reference}, {size} it ({evidence}); whether beyond the {margin} is open."
    if word == "equivalent":
        equal = row["equivalence"]
        return (
            f"{arm} and {reference} are equivalent here: the difference, {t['mean']:+.2f} points (90 % interval "
            f"{equal['low']:+.2f} to {equal['high']:+.2f}, {t['n']} seeds), lies within the {margin}."
        )
    return f"Undecided: {arm} scored {size} {reference} ({evidence}), {_doubt(row)}{_missing(design, row)}."


def _doubt(row: Plain) -> str:
    """Why there is no direction: the interval, or the number of comparisons."""
    if row["t"]["low"] <= 0 <= row["t"]["high"]:
        return f"which chance alone can bring (p = {_p(row['t']['p'])} before any correction)"
    return f"an interval without 0, but not after the correction for {row['family']} (p = {_p(row['holm_p'])})"


def _missing(design: Design, row: Plain) -> str:
    """How many seeds more, or why nobody can say."""
    missing, plan, n = row["verdict"]["seeds_missing"], row["planning"], row["t"]["n"]
    needed = plan["seeds_needed"]
    if missing is None:
        return f"; how many seeds are missing cannot be told: {plan['status']}"
    if not missing:
        return f"; {needed} of these {n} seeds would find {_points(design.rope)}: more are no sure way to a decision"
    found = "" if plan["mde_points"] is None else f"; these {n} find one of {plan['mde_points']:.1f} points"
    rough = "; so few tell little about the spread, and the figure is rough" if n < FEWEST_TO_PLAN else ""
    return (
        f"; to find a true difference as small as {_points(design.rope)} with power {plan['power']:g} takes "
        f"{needed} seeds, {missing} more than these{found}{rough}"
    )


def _sure(design: Design, row: Plain) -> str:
    posterior, flip, n = row["posterior"], row["sign_flip"], row["t"]["n"]
    if posterior["below"] is None:
        return f"With {n} pair{'' if n == 1 else 's'} nothing can be said about chance: {posterior['status']}."
    rope = _points(design.rope)
    shares = {
        "below": f"worse by more than {rope}",
        "inside": f"within ±{rope}",
        "above": f"better by more than {rope}",
    }
    chances = ", ".join(f"{_percent(posterior[name])} {text}" for name, text in shares.items())
    exact = (
        f"exact sign-flip test p = {_p(flip['p'])}"
        if flip["reachable"]
        else f"{n} pairs are too few for any exact test to reach p < 0.05"
    )
    wins = row["sign_test"]
    return (
        f"This comparison taken alone, with a flat prior, gives {row['arm']} these chances: {chances}. "
        f"It won on {wins['wins']} of {n} seeds; {exact}."
    )


def _over_contexts(design: Design, new: Plain, rows: list[Plain]) -> Plain:
    cells, verdict, rope = new["across"]["cells"], new["verdict_new"], _points(design.rope)
    words: dict[str, int] = {}
    for row in rows:
        if row["differences"]:
            words[row["verdict"]["word"]] = words.get(row["verdict"]["word"], 0) + 1
    counts = "; ".join(f'"{word}" in {number}' for word, number in words.items())
    interval = "no interval" if cells["low"] is None else f"95 % interval {cells['low']:+.2f} to {cells['high']:+.2f}"
    size = "cannot be told" if cells["mean"] is None else _size(cells["mean"])
    sentence = (
        f"For a new network or data set like these {cells['k']}: {verdict['word']}. {new['arm']} scored "
        f"{size} {new['reference']} ({interval} over their means); one by one: {counts}.{_lost(rows)}"
    )
    sure = (
        f"The interval speaks of a new network or data set; for these {cells['k']} alone it is "
        f"{_interval(cells['these_low'], cells['these_high'])}. "
        f"Differences within ±{rope} count as too small to matter."
    )
    return {"sentence": sentence, "sure": sure}


def _lost(rows: list[Plain]) -> str:
    """Contexts without a pair: what was lost may be what matters."""
    lost = [row["context"] for row in rows if not row["differences"]]
    return f" Without a pair, and so left out: {', '.join(lost)}." if lost else ""


def _interval(low: float | None, high: float | None) -> str:
    return "not to be had" if low is None or high is None else f"{low:+.2f} to {high:+.2f} points"


def _why(design: Design, facts: Plain, rows: list[Plain]) -> str:
    """The steps from the reference to the arm, where the study holds them all; else what the gates did."""
    if not rows:
        return ""
    texts = [text for text in (_steps(design, facts, rows[0]["context"]), _muting(facts, rows[0])) if text]
    where = [f"In {rows[0]['context']}, the first of the contexts:"] if texts and len(rows) > 1 else []
    return " ".join([*where, *texts])


def _steps(design: Design, facts: Plain, context: str) -> str:
    known = {(r["treatment"], r["control"]): r for r in facts["attribution"] if r["context"] == context}
    for path in PATHS.get((design.reference, design.headline), ()):
        steps = [known.get((after, before)) for before, after in itertools.pairwise(path)]
        if all(step is not None and step["t"]["mean"] is not None for step in steps):
            parts = ", ".join(f"{s['property']} {s['t']['mean']:+.2f}" for s in steps if s)
            sure = [s["property"] for s in steps if s and (s["holm_p"] or 1) < 0.05]
            return f"Step by step from {path[0]} to {path[-1]}: {parts} points; {_told(sure, len(steps))}."
    return ""


def _told(sure: list[str], steps: int) -> str:
    if len(sure) == steps:
        return "each of them can be distinguished from chance"
    return (
        f"only the {' and the '.join(sure)} can be distinguished from chance"
        if sure
        else "none can be distinguished from chance"
    )


def _muting(facts: Plain, row: Plain) -> str:
    """Share of values below 1, over sites, of both arms."""
    shares = {}
    for arm in (row["reference"], row["arm"]):
        means = [
            m["attenuated"]["mean"]
            for m in facts["mechanism"]
            if m["arm"] == arm and m["context"] == row["context"] and m["attenuated"]["mean"] is not None
        ]
        if not means:
            return ""
        shares[arm] = sum(means) / len(means)
    parts = " and ".join(f"{share:.0f} % of {arm}'s" for arm, share in shares.items())
    return f"At the end of training {parts} values were attenuated (s < 1), on average over the sites."


def _size(mean: float) -> str:
    if mean == 0:
        return "exactly as high as"
    return f"{abs(mean):.2f} points {'above' if mean > 0 else 'below'}"


def _evidence(t: Plain) -> str:
    seeds = f"{t['n']} seed{'s' if t['n'] != 1 else ''}"
    return seeds if t["low"] is None else f"95 % interval {t['low']:+.2f} to {t['high']:+.2f}, {seeds}"


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


def _p(p: float) -> str:
    return "below 0.0001" if p < 0.0001 else f"{p:.4f}".rstrip("0").rstrip(".")


def _margin(design: Design) -> str:
    return f"±{design.rope:g}-point margin below which a difference does not matter"


def _points(value: float) -> str:
    return f"{value:g} point{'' if value == 1 else 's'}"
