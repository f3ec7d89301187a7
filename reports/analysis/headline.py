"""The answer: the verdict on the headline arm, what it is about, and the facts that explain it."""

import itertools
from typing import Any

from bamgate.reports.design import Design

Plain = dict[str, Any]
PATHS = {  # from the first gate to the second by steps that change one property each
    ("sigmoid", "tanh"): (
        ("sigmoid", "centred-sigmoid", "tanh-half", "tanh"),
        ("sigmoid", "centred-sigmoid", "tanh-quarter", "tanh"),
    )
}
INTERIM, ONE, ACROSS, EACH = "interim", "one-context", "across-contexts", "each-context"


def headline(whole: Design, facts: Plain, *, compared: int) -> Plain:
    """The first screen of a report, from what has been found.

    Args:
        facts: "progress", "contrasts", "across", "attribution", "mechanism".
        compared: comparisons of the whole study, shown or not.

    Returns:
        arm, reference; kind: one of the four above; code: the verdict's; context: of the one contrast; compared,
        shown: comparisons; why_context, steps (an empty list if the study does not hold them all) and attenuated
        (percent of values, by arm; empty if unknown): why.
    """
    design = whole.shown
    found: Plain = {"arm": design.headline, "reference": design.reference, "context": None}
    found |= {"compared": compared, "shown": len(facts["contrasts"])}
    rows = [row for row in facts["contrasts"] if row["arm"] == design.headline]
    kind, code = _verdict(design, facts, rows)
    if kind == ONE:
        found["context"] = rows[0]["context"] or None
    why: Plain = {"why_context": None, "steps": [], "attenuated": []}
    if rows and kind != INTERIM:
        context = rows[0]["context"]
        why = {"why_context": context if len(rows) > 1 else None, "steps": _steps(design, facts, context)}
        why["attenuated"] = _attenuated(facts, rows[0])
    return {**found, "kind": kind, "code": code, **why}


def _verdict(design: Design, facts: Plain, rows: list[Plain]) -> tuple[str, str]:
    """What the verdict is about, and its code."""
    if not facts["progress"]["complete"]:
        return INTERIM, "interim"
    new = next((row for row in facts["across"] if row["arm"] == design.headline), None)
    if new is not None:
        return ACROSS, new["verdict_new"]["code"]
    if len(rows) == 1:
        return ONE, rows[0]["verdict"]["code"]
    # Several contexts that are no sample of anything.
    codes = {row["verdict"]["code"] for row in rows}
    return EACH, codes.pop() if len(codes) == 1 else "undecided"


def _steps(design: Design, facts: Plain, context: str) -> list[Plain]:
    """The steps from the reference to the arm, if the study holds them all."""
    known = {(r["treatment"], r["control"]): r for r in facts["attribution"] if r["context"] == context}
    for path in PATHS.get((design.reference, design.headline), ()):
        steps = [known.get((after, before)) for before, after in itertools.pairwise(path)]
        if all(step is not None and step["t"]["mean"] is not None for step in steps):
            return [
                {
                    **{name: step[name] for name in ("property", "treatment", "control")},
                    "mean": step["t"]["mean"],
                    "beyond_chance": (step["holm_p"] or 1) < 0.05,
                }
                for step in steps
                if step
            ]
    return []


def _attenuated(facts: Plain, row: Plain) -> list[Plain]:
    """Percent of values below 1 of both arms, means over sites; empty if one of them is not known."""
    found = []
    for arm in (row["reference"], row["arm"]):
        means = [
            m["attenuated"]["mean"]
            for m in facts["mechanism"]
            if m["arm"] == arm and m["context"] == row["context"] and m["attenuated"]["mean"] is not None
        ]
        if not means:
            return []
        found.append({"arm": arm, "percent": sum(means) / len(means)})
    return found
