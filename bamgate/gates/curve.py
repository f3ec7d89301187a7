"""The curve of a gate, as stored with a run, so that a record can be read later without the gate and without torch."""

import functools

import torch

from bamgate.gates.gate import Gate, values_and_slopes

REACH, STEPS = 6, 20  # z from -6 to 6, 20 steps per unit
Point = dict[str, str | float]


@functools.lru_cache(maxsize=256)
def gate_curve(gate: Gate) -> tuple[Point, ...]:
    """The rows of gate_curve.csv: gate, z, g(z) and g'(z). A learned gate is taken at its initial values."""
    z = torch.arange(-REACH * STEPS, REACH * STEPS + 1).double() / STEPS
    g, slope = values_and_slopes(gate.sample().double(), z)
    points = zip(z.tolist(), g.tolist(), slope.tolist(), strict=True)
    return tuple({"gate": gate.name, "z": x, "g": _stable(y), "slope": _stable(dy)} for x, y, dy in points)


def _stable(value: float) -> float:
    """Rounded to 6 decimals and 6 digits, which are the same on every machine."""
    # + 0.0 turns -0.0 into 0.0.
    return float(f"{round(value, 6) + 0.0:.6g}")
