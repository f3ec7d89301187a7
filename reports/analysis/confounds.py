"""What a swap of gates changes besides the gate, named wherever the study's own runs cannot exclude it."""

from typing import Any

from bamgate.reports.design import Design, axes_of
from bamgate.reports.records import Records

Plain = dict[str, Any]
WITHOUT_NORM = ("squeezenet", "vgg")  # networks in which no batch norm follows the scale


def confounds(design: Design, records: Records, attribution: list[Plain]) -> list[str]:
    """Sentences, the gravest first."""
    runs = records.runs
    separated = {row["property"] for row in attribution}
    varied = {name for context in design.contexts for name in axes_of(context)}
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
            f"At the default start {', '.join(sorted(wide))} begin as strong multiplicative noise (SD of the scale "
            "about 0.7, for sigmoid about 0.3); no arm here starts at the identity (gate_init = zero), so a difference "
            "may be one of the start."
        )
    if wide:
        found.append(
            "The gradient into the gate's parameters is proportional to its slope: at z = 0 four times sigmoid's for "
            f"{', '.join(sorted(wide))}. One learning rate for all gates is another effective one for each."
        )
    if "attention_weight_decay" not in varied:
        found.append(
            "Weight decay on the gate's parameters weighs more on a gate that needs larger logits (sigmoid needs twice "
            "those of tanh for the same saturation); it was the same for all arms."
        )
    found += _of_networks(runs)
    return found


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
        f"The runs trained for {' or '.join(map(str, epochs))} epochs with one recipe, tuned for no gate; a longer or "
        "tuned training may end elsewhere."
    )
    return found
