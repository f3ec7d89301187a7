"""The curve of a gate, as it is stored with a run: whoever reads the record later needs neither the gate nor torch."""

import functools

import torch

from bamgate.gates.gate import Gate, values_and_slopes

REACH, STEPS = 6, 20  # z from -6 to 6, 20 steps a unit
Point = dict[str, str | float]


@functools.lru_cache(maxsize=256)
def gate_curve(gate: Gate) -> tuple[Point, ...]:
    """A row of gate_curve.csv for each logit: gate, z, g(z) and g'(z). A gate that learns is taken as it starts."""
    z = torch.arange(-REACH * STEPS, REACH * STEPS + 1).double() / STEPS
    g, slope = values_and_slopes(gate.sample().double(), z)
    points = zip(z.tolist(), g.tolist(), slope.tolist(), strict=True)
    return tuple({"gate": gate.name, "z": x, "g": _stable(y), "slope": _stable(dy)} for x, y, dy in points)


def _stable(value: float) -> float:
    """To 6 decimals and 6 digits: what rounding leaves of a number on any machine."""
    return float(f"{round(value, 6) + 0.0:.6g}")
