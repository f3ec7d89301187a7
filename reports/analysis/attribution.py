"""Is it the centre, the depth or the slope? Pairs of gates that differ in one of them, in s = c (1 + A tanh(k z)).

A pair counts where both gates are arms of one design: the same network, data and attention but for the gate.
"""

from typing import Any, NamedTuple

from bamgate import stats
from bamgate.reports.analysis.pairing import pair
from bamgate.reports.design import Design
from bamgate.reports.records import Records

Plain = dict[str, Any]


class Control(NamedTuple):
    """Two gates whose difference is one property's.

    Args:
        what: the change, from the control to the treatment.
        held: what else is equal, or is not.
    """

    property: str
    treatment: str
    control: str
    what: str
    held: str


CONTROLS = (
    Control("gating", "sigmoid", "constant-half", "letting sigmoid depend on the image", "the same centre, 1.5"),
    Control("centre", "centred-sigmoid", "sigmoid", "moving the centre from 1.5 to 1", "the same depth, 1/3, and k"),
    Control("depth", "tanh-half", "centred-sigmoid", "deepening the gate from 1/3 to 1", "the same centre and k"),
    Control("depth", "tanh-quarter", "half-sigmoid", "deepening the gate from 1/2 to 1", "the same centre and slope"),
    Control(
        "depth and slope",
        "tanh-quarter",
        "centred-sigmoid",
        "deepening the gate from 1/3 to 1",
        "the same centre; the slope at 0 is 1/4 instead of 1/6",
    ),
    Control("slope", "tanh-half", "tanh-quarter", "doubling the slope to 1/2", "the same centre and depth"),
    Control("slope", "tanh", "tanh-half", "doubling the slope to 1", "the same centre and depth"),
    Control("slope", "tanh", "tanh-quarter", "raising the slope from 1/4 to 1", "the same centre and depth"),
    Control("smoothness", "clip-sigmoid", "sigmoid", "replacing curves by kinks", "the same centre, range and slope"),
    Control("smoothness", "hardtanh", "tanh", "replacing curves by kinks", "the same centre, range and slope"),
    Control(
        "smoothness and slope",
        "hard-sigmoid",
        "sigmoid",
        "replacing curves by kinks",
        "the same centre and range; the slope is 1/6 instead of 1/4",
    ),
    Control("tails", "softsign", "tanh", "making the tails heavier", "the same centre, range and slope at 0"),
    Control("tails", "arctan", "tanh", "making the tails heavier", "the same centre, range and slope at 0"),
    Control("learned depth", "learned-depth", "sigmoid", "letting the depth be learned", "the same start"),
)


def attribution(design: Design, records: Records) -> list[Plain]:
    """A row for each pair of control gates that the study holds, in each context; p corrected over all of them."""
    rows = [
        _row(design, records, control, arms, context)
        for context in design.contexts
        for control in CONTROLS
        if (arms := _arms_of(design, records, control, context))
    ]
    adjusted = stats.holm({number: row["t"]["p"] for number, row in enumerate(rows)})
    for number, row in enumerate(rows):
        row |= {"holm_p": adjusted[number], "family": f"{len(rows)} contrasts of control gates"}
        row["sentence"] = _sentence(row)
    return rows


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


def _row(design: Design, records: Records, control: Control, arms: tuple[str, str], context: str) -> Plain:
    paired = pair(design, records, *arms, context)
    return {
        "context": context,
        **control._asdict(),
        "treatment": arms[0],
        "control": arms[1],
        "seeds": paired.seeds,
        "left_out": list(paired.left_out),
        "differences": [float(d) for d in paired.pairs.differences],
        "t": stats.paired_t(paired.pairs).to_dict(),
    }


def _sentence(row: Plain) -> str:
    t = row["t"]
    names = f"{row['treatment']} against {row['control']}: {row['held']}"
    start = f"{row['property'].capitalize()}: {row['what']} ({names})"
    if t["mean"] is None:
        return f"{start} cannot be judged: {t['status']}."
    if t["low"] is None:
        return f"{start} went with {_points(t['mean'])}; {t['status']}."
    interval = f"95 % interval {t['low']:+.2f} to {t['high']:+.2f}, {t['n']} seeds"
    if (row["holm_p"] or 1) < 0.05:
        return f"{start} changed the accuracy by {_points(t['mean'])} ({interval})."
    return f"{start} went with {_points(t['mean'])} ({interval}), which these seeds cannot distinguish from chance."


def _points(value: float) -> str:
    return f"{value:+.2f} points"
