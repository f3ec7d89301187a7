"""What a swap of gates changes besides the gate, named wherever the study's own runs cannot exclude it."""

from typing import Any

from bamgate.reports.design import Design
from bamgate.reports.gate_curves import FORMULAS
from bamgate.reports.records import Records
from bamgate.tables import context_values

Plain = dict[str, Any]
WITHOUT_NORM = ("squeezenet", "vgg")  # networks in which no batch norm follows the scale


def confounds(design: Design, records: Records, attribution: list[Plain]) -> list[str]:
    """Sentences, the gravest first."""
    runs = records.runs
    separated = {name for row in attribution for name in row["property"].split(" and ")}
    varied = {name for context in design.contexts for name in context_values(context)}
    varied |= {name for settings in design.arm_settings.values() for name in settings}
    gates = {str(gate) for gate in runs["gate"]}
    found = []
    if {"sigmoid", "tanh"} <= gates:
        lacking = [name for name in ("centre", "depth", "slope") if name not in separated]
        if lacking:
            found.append(
                "tanh(z) = 2 sigmoid(2z) - 1: swapping one for the other changes centre, depth and slope at once, and "
                f"this study holds no control gates that separate the {', the '.join(lacking)}."
            )
    wide = gates & {"tanh", "softsign", "hardtanh", "arctan"}
    if wide and "gate_init" not in varied:
        found.append(
            f"At the default start gates as deep as tanh begin as strong multiplicative noise{_start(records)}; no arm "
            "here starts at the identity (gate_init = zero), so a difference may be one of the start."
        )
    if wide:
        found.append(
            "The gradient into the gate's parameters is proportional to its slope: at z = 0 that of "
            f"{' and '.join(sorted(wide))} is four times sigmoid's. One learning rate for all gates is effectively a "
            "different one for each."
        )
    if own := sorted(gates - set(FORMULAS)):
        found.append(
            f"What {' and '.join(own)} changes besides the form (centre, depth, slope, start) is not known here; "
            "`bamgate gates show` prints it."
        )
    if "attention_weight_decay" not in varied:
        both = {"sigmoid", "tanh"} <= gates
        example = " (sigmoid needs twice those of tanh for the same saturation)" if both else ""
        found.append(
            f"Weight decay on the gate's parameters weighs more on a gate that needs larger logits{example}; it was "
            "the same for all arms."
        )
    found += _of_networks(runs)
    return found


def _start(records: Records) -> str:
    """SD of the scale before training, by gate, as it was measured."""
    first = records.gates[records.gates["epoch"] == 0].merge(records.runs[["cell", "gate"]], on="cell")
    means = first.groupby("gate")["sd"].mean()
    own = sorted(set(means.index) - set(FORMULAS))
    known = [f"{means[gate]:.2f} for {gate}" for gate in ("sigmoid", "tanh", "softsign", *own) if gate in means.index]
    return f" (SD of the scale before training: {', '.join(known)})" if known else ""


def _of_networks(runs: Any) -> list[str]:
    plain = sorted({str(m) for m in runs["model"] if any(name in str(m) for name in WITHOUT_NORM)})
    found = []
    if plain:
        found.append(
            f"In {', '.join(plain)} no batch norm follows the scale, so the gate's centre is not absorbed: a constant "
            "factor of 1.5 a site compounds."
        )
    epochs = sorted({int(n) for n in runs["epochs"]})
    found.append(
        f"The runs trained for {' or '.join(map(str, epochs))} epoch{'s' * (epochs != [1])} with one recipe, tuned "
        "for no gate; a longer or tuned training may end elsewhere."
    )
    return found
