"""The answer: the verdict on the headline arm, what it is about, and the facts that explain it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from bamgate.reports.analysis.across import Across
from bamgate.reports.analysis.attribution import Attribution
from bamgate.reports.analysis.contrasts import Contrast
from bamgate.reports.analysis.mechanism import Site
from bamgate.reports.analysis.plain import Typed
from bamgate.reports.design import Design

PATHS = {  # from the first gate to the second by steps that change one property each
    ("sigmoid", "tanh"): (
        ("sigmoid", "centred-sigmoid", "tanh-half", "tanh"),
        ("sigmoid", "centred-sigmoid", "tanh-quarter", "tanh"),
    )
}
INTERIM, ONE, ACROSS, EACH = "interim", "one-context", "across-contexts", "each-context"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the answer is made of, of the part that is shown."""

    complete: bool
    contrasts: Sequence[Contrast]
    across: Sequence[Across]
    attribution: Sequence[Attribution]
    mechanism: Sequence[Site]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that changes one property of the gate, and by how much the metric."""

    property: str
    treatment: str
    control: str
    mean: float
    beyond_chance: bool


@dataclass(frozen=True, kw_only=True)
class Attenuated:
    """Percent of an arm's values below 1, mean over sites."""

    arm: str
    percent: float


@dataclass(frozen=True, kw_only=True)
class Headline(Typed):
    """The first screen of a report.

    Args:
        kind: one of the four above; code: the verdict's.
        context: of the one contrast.
        compared: comparisons of the whole study, shown or not.
        why_context: which context the rest is of, if there are several.
        steps: from the reference to the arm; none if the study does not hold them all.
        attenuated: of both arms; none if it is not known of both.
    """

    arm: str
    reference: str
    context: str | None
    compared: int
    shown: int
    kind: str
    code: str
    why_context: str | None = None
    steps: tuple[Step, ...] = ()
    attenuated: tuple[Attenuated, ...] = ()


def headline(whole: Design, facts: Facts, *, compared: int) -> Headline:
    """The first screen, from what has been found."""
    design = whole.shown
    rows = [row for row in facts.contrasts if row.arm == design.headline]
    kind, code = _verdict(design, facts, rows)
    explained = bool(rows) and kind != INTERIM
    return Headline(
        arm=design.headline,
        reference=design.reference,
        context=(rows[0].context or None) if kind == ONE else None,
        compared=compared,
        shown=len(facts.contrasts),
        kind=kind,
        code=code,
        why_context=rows[0].context if explained and len(rows) > 1 else None,
        steps=_steps(design, facts, rows[0].context) if explained else (),
        attenuated=_attenuated(facts, rows[0]) if explained else (),
    )


def _verdict(design: Design, facts: Facts, rows: list[Contrast]) -> tuple[str, str]:
    """What the verdict is about, and its code."""
    if not facts.complete:
        return INTERIM, "interim"
    new = next((row for row in facts.across if row.arm == design.headline), None)
    if new is not None:
        return ACROSS, new.verdict_new.code
    codes = [row.verdict.code for row in rows if row.verdict]
    if len(rows) == 1:
        return ONE, codes[0]
    # Several contexts that are no sample of anything.
    return EACH, codes[0] if len(set(codes)) == 1 else "undecided"


def _steps(design: Design, facts: Facts, context: str) -> tuple[Step, ...]:
    """The steps from the reference to the arm, if the study holds them all."""
    known = {(row.treatment, row.control): row for row in facts.attribution if row.context == context}
    for path in PATHS.get((design.reference, design.headline), ()):
        steps = [_step(known.get((after, before))) for before, after in itertools.pairwise(path)]
        if all(steps):
            return tuple(step for step in steps if step)
    return ()


def _step(row: Attribution | None) -> Step | None:
    if row is None or row.t.mean is None:
        return None
    names = {"property": row.property, "treatment": row.treatment, "control": row.control}
    return Step(**names, mean=row.t.mean, beyond_chance=(row.holm_p or 1) < 0.05)


def _attenuated(facts: Facts, row: Contrast) -> tuple[Attenuated, ...]:
    found = []
    for arm in (row.reference, row.arm):
        sites = [site.attenuated.mean for site in facts.mechanism if (site.arm, site.context) == (arm, row.context)]
        means = [mean for mean in sites if mean is not None]
        if not means:
            return ()
        found.append(Attenuated(arm=arm, percent=sum(means) / len(means)))
    return tuple(found)
