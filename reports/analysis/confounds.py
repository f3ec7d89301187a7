"""What a swap of gates changes besides the gate, named wherever the study's own runs cannot exclude it."""

from collections.abc import Sequence
from typing import Any

from bamgate.record.tables import context_values
from bamgate.reports.analysis.attribution import Attribution
from bamgate.reports.design import Design
from bamgate.reports.gate_curves import FORMULAS, slope_at_zero
from bamgate.reports.records import Records

Plain = dict[str, Any]
STEEP, SAME = 4, 0.001
WITHOUT_NORM = ("squeezenet", "vgg")  # networks in which no batch norm follows the scale


def confounds(design: Design, records: Records, attribution: Sequence[Attribution]) -> list[Plain]:
    """A code each, with what it is about; the gravest first."""
    runs = records.runs
    separated = {name for row in attribution for name in row.property.split("+")}
    varied = {name for context in design.contexts for name in context_values(context)}
    varied |= {name for settings in design.arm_settings.values() for name in settings}
    gates = {str(gate) for gate in runs["gate"]}
    both = {"sigmoid", "tanh"} <= gates
    found: list[Plain] = []
    lacking = [name for name in ("centre", "depth", "slope") if name not in separated]
    if both and lacking:
        found.append({"code": "not-separated", "lacking": lacking})
    wide = sorted(gate for gate in gates & set(FORMULAS) if _is_steep(gate))
    if wide and "gate_init" not in varied:
        found.append({"code": "start-noise", "scales": _start(records)})
    if wide:
        found.append({"code": "gradient-by-slope", "gates": wide})
    if own := sorted(gates - set(FORMULAS)):
        found.append({"code": "own-gates", "gates": own})
    if "attention_weight_decay" not in varied:
        found.append({"code": "weight-decay", "sigmoid_and_tanh": both})
    return found + _of_networks(runs)


def _is_steep(gate: str) -> bool:
    """Whether its slope at 0 is that of tanh, four times that of sigmoid."""
    return abs(slope_at_zero(gate) / slope_at_zero("sigmoid") - STEEP) < SAME


def _start(records: Records) -> list[Plain]:
    """SD of the scale before training, by gate, as it was measured."""
    first = records.gates[records.gates["epoch"] == 0].merge(records.runs[["cell", "gate"]], on="cell")
    means = first.groupby("gate")["sd"].mean().dropna()
    own = sorted(set(means.index) - set(FORMULAS))
    known = [gate for gate in ("sigmoid", "tanh", "softsign", *own) if gate in means.index]
    return [{"gate": gate, "sd": float(means[gate])} for gate in known]


def _of_networks(runs: Any) -> list[Plain]:
    plain = sorted({str(m) for m in runs["model"] if any(name in str(m) for name in WITHOUT_NORM)})
    epochs = sorted({int(n) for n in runs["epochs"]})
    found: list[Plain] = [{"code": "no-batch-norm", "models": plain}] if plain else []
    return [*found, {"code": "one-recipe", "epochs": epochs}]
