"""What a pair of control gates shows about one property of the gate, and what a swap of gates changes besides."""

from collections.abc import Mapping
from typing import Any

from bamgate.reports.words.measure import OF_ACCURACY, Measure
from bamgate.reports.words.numbers import count, listed, number
from bamgate.reports.words.status import why

Row = Mapping[str, Any]

PROPERTIES = {
    "gating": "gating",
    "centre": "centre",
    "depth": "depth",
    "depth+slope": "depth and slope",
    "slope": "slope",
    "smoothness": "smoothness",
    "smoothness+slope": "smoothness and slope",
    "tails": "tails",
    "learned-depth": "learned depth",
}
# (treatment, control) -> the change, from the control to the treatment; and what else is equal, or is not.
CONTROLS = {
    ("sigmoid", "constant-half"): ("letting sigmoid depend on the image", "the same centre, 1.5"),
    ("centred-sigmoid", "sigmoid"): ("moving the centre from 1.5 to 1", "the same depth, 1/3, and k"),
    ("tanh-half", "centred-sigmoid"): ("deepening the gate from 1/3 to 1", "the same centre and k"),
    ("tanh-quarter", "half-sigmoid"): ("deepening the gate from 1/2 to 1", "the same centre and slope"),
    ("tanh-quarter", "centred-sigmoid"): (
        "deepening the gate from 1/3 to 1",
        "the same centre; the slope at 0 is 1/4 instead of 1/6",
    ),
    ("tanh-half", "tanh-quarter"): ("doubling the slope to 1/2", "the same centre and depth"),
    ("tanh", "tanh-half"): ("doubling the slope to 1", "the same centre and depth"),
    ("tanh", "tanh-quarter"): ("raising the slope from 1/4 to 1", "the same centre and depth"),
    ("clip-sigmoid", "sigmoid"): ("replacing curves by kinks", "the same centre, range and slope"),
    ("hardtanh", "tanh"): ("replacing curves by kinks", "the same centre, range and slope"),
    ("hard-sigmoid", "sigmoid"): (
        "replacing curves by kinks",
        "the same centre and range; the slope is 1/6 instead of 1/4",
    ),
    ("softsign", "tanh"): ("making the tails heavier", "the same centre, range and slope at 0"),
    ("arctan", "tanh"): ("making the tails heavier", "the same centre, range and slope at 0"),
    ("learned-depth", "sigmoid"): ("letting the depth be learned", "the same start"),
}


def attribution_sentence(row: Row, measure: Measure = OF_ACCURACY) -> str:
    """What a pair of control gates shows."""
    t = row["t"]
    what, held = CONTROLS[tuple(row["gates"])]
    place = f"At {row['context']}: " if row["context"] else ""
    name = PROPERTIES[row["property"]].capitalize()
    start = f"{place}{name}: {what} ({row['treatment']} against {row['control']}: {held})"
    if t["mean"] is None:
        return f"{start} cannot be judged: {why(t)}."
    if t["low"] is None:
        return f"{start} went with a difference of {measure.difference(t['mean'])}; {why(t)}."
    interval = f"95 % interval {measure.reach(t)}, {count(t['n'], 'seed')}"
    if (row["holm_p"] or 1) < 0.05:
        return f"{start} changed the {measure.name} by {measure.difference(t['mean'])} ({interval})."
    return f"{start} went with a difference of {measure.difference(t['mean'])} ({interval}), consistent with chance."


def confound_sentence(item: Row) -> str:
    """What a swap of gates changes besides the gate, and this study does not exclude."""
    return _CONFOUNDS[item["code"]](item)


def _not_separated(item: Row) -> str:
    lacking = ", the ".join(item["lacking"])
    return (
        "tanh(z) = 2 sigmoid(2z) - 1: swapping one for the other changes centre, depth and slope at once, and this "
        f"study holds no control gates that separate the {lacking}."
    )


def _start_noise(item: Row) -> str:
    known = ", ".join(f"{number(row['sd'])} for {row['gate']}" for row in item["scales"])
    measured = f" (SD of the scale before training: {known})" if known else ""
    return (
        f"At the default start, gates as deep as tanh begin as strong multiplicative noise{measured}. No arm starts "
        "at the identity (gate_init = zero), so a difference may be due to the start."
    )


def _gradient(item: Row) -> str:
    return (
        "The gradient of the gate's parameters is proportional to the gate's slope: at z = 0 the slope of "
        f"{listed(item['gates'])} is four times that of sigmoid. The same learning rate therefore acts differently on "
        "each gate."
    )


def _own_gates(item: Row) -> str:
    return (
        f"What {listed(item['gates'])} changes besides the form (centre, depth, slope, start) is not known here; "
        "`bamgate gates show` prints it."
    )


def _weight_decay(item: Row) -> str:
    example = " (sigmoid needs twice those of tanh for the same saturation)" if item["sigmoid_and_tanh"] else ""
    return (
        f"Weight decay on the gate's parameters costs a gate more if it needs larger logits{example}; it was the same "
        "for all arms."
    )


def _no_batch_norm(item: Row) -> str:
    return (
        f"In {', '.join(item['models'])} no batch norm follows the scale, so the gate's centre is not absorbed: a "
        "constant factor of 1.5 compounds from site to site."
    )


def _one_recipe(item: Row) -> str:
    epochs = item["epochs"]
    return (
        f"The runs trained for {' or '.join(map(str, epochs))} epoch{'s' * (epochs != [1])} with one recipe that was "
        "tuned for no gate; longer or tuned training may end differently."
    )


_CONFOUNDS = {
    "not-separated": _not_separated,
    "start-noise": _start_noise,
    "gradient-by-slope": _gradient,
    "own-gates": _own_gates,
    "weight-decay": _weight_decay,
    "no-batch-norm": _no_batch_norm,
    "one-recipe": _one_recipe,
}
