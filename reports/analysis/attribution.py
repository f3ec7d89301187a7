"""Is it the centre, the depth or the slope? Pairs of gates that differ in one of them, in s = c (1 + A tanh(k z)).

A pair counts where both gates are arms of one design: the same network, data and attention but for the gate.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from bamgate import stats
from bamgate.reports.analysis.pairing import LeftOut, pair
from bamgate.reports.analysis.plain import Typed
from bamgate.reports.design import Design
from bamgate.reports.records import Records


class Control(NamedTuple):
    """Two gates whose difference is one property's; what changes and what is held equal, the words floor says."""

    property: str
    treatment: str
    control: str


CONTROLS = (
    Control("gating", "sigmoid", "constant-half"),
    Control("centre", "centred-sigmoid", "sigmoid"),
    Control("depth", "tanh-half", "centred-sigmoid"),
    Control("depth", "tanh-quarter", "half-sigmoid"),
    Control("depth+slope", "tanh-quarter", "centred-sigmoid"),
    Control("slope", "tanh-half", "tanh-quarter"),
    Control("slope", "tanh", "tanh-half"),
    Control("slope", "tanh", "tanh-quarter"),
    Control("smoothness", "clip-sigmoid", "sigmoid"),
    Control("smoothness", "hardtanh", "tanh"),
    Control("smoothness+slope", "hard-sigmoid", "sigmoid"),
    Control("tails", "softsign", "tanh"),
    Control("tails", "arctan", "tanh"),
    Control("learned-depth", "learned-depth", "sigmoid"),
)


@dataclass(frozen=True, kw_only=True)
class Attribution(Typed):
    """Two arms that carry a pair of control gates; p is corrected in a family of its own."""

    context: str
    property: str
    gates: tuple[str, str]
    treatment: str
    control: str
    seeds: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    differences: tuple[float, ...]
    t: stats.PairedT
    holm_p: float | None = None
    family: int = 0


def attribution(design: Design, records: Records) -> list[Attribution]:
    """A row for each pair of control gates that the study holds, in each context; p corrected over all of them."""
    rows = [
        _row(design, records, control, arms, context)
        for context in design.contexts
        for control in CONTROLS
        if (arms := _arms_of(design, records, control, context))
    ]
    adjusted = stats.holm({number: row.t.p for number, row in enumerate(rows)})
    return [replace(row, holm_p=adjusted[number], family=len(rows)) for number, row in enumerate(rows)]


def _arms_of(design: Design, records: Records, control: Control, context: str) -> tuple[str, str] | None:
    """The arms that carry the two gates and differ in nothing else; the reference's design where there are several."""
    runs = records.runs[records.runs["context"] == context]
    first = runs[runs["arm"] == design.reference]["design_sha256"]
    order = [*first.unique(), *runs["design_sha256"].unique()]
    for sha in dict.fromkeys(order):
        same = runs[runs["design_sha256"] == sha].drop_duplicates("gate").set_index("gate")["arm"]
        if control.treatment in same.index and control.control in same.index:
            return str(same[control.treatment]), str(same[control.control])
    return None


def _row(design: Design, records: Records, control: Control, arms: tuple[str, str], context: str) -> Attribution:
    paired = pair(design, records, *arms, context)
    return Attribution(
        context=context,
        property=control.property,
        gates=(control.treatment, control.control),
        treatment=arms[0],
        control=arms[1],
        seeds=tuple(paired.seeds),
        left_out=paired.left_out,
        differences=tuple(float(d) for d in paired.pairs.differences),
        t=stats.paired_t(paired.pairs),
    )
