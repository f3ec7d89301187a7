"""The built-in gates as curves, for records of before a run stored the curve of its gate; they need no torch.

A test holds them equal to the gates that train. A gate that comes later needs no formula here.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Curve = NDArray[np.float64]
REACH, STEP = 6.0, 0.05
NUDGE = 1e-4  # half of the difference that a slope is taken over


def _sigmoid(z: Curve) -> Curve:
    return np.asarray((1 + np.tanh(z / 2)) / 2)


FORMULAS: dict[str, Callable[[Curve], Curve]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "hard-sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "hard-sigmoid-keras": lambda z: np.clip(0.2 * z + 0.5, 0, 1),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "none": np.zeros_like,
    "constant-half": lambda z: np.full_like(z, 0.5),
    "centred-sigmoid": lambda z: np.tanh(z / 2) / 3,
    "half-sigmoid": lambda z: np.tanh(z / 2) / 2,
    "tanh-quarter": lambda z: np.tanh(z / 4),
    "tanh-half": lambda z: np.tanh(z / 2),
    "hardtanh": lambda z: np.clip(z, -1, 1),
    "clip-sigmoid": lambda z: np.clip(z / 4 + 0.5, 0, 1),
    "arctan": lambda z: 2 / np.pi * np.arctan(np.pi / 2 * z),
    "learned-depth": lambda z: 1.5 * (1 + np.tanh(z / 2) / 3) - 1,
}


def gate_curves(gates: Iterable[str]) -> pd.DataFrame:
    """Scale s = 1 + g and slope g' of the gates that are built in, over logits from -6 to 6; others are left out.

    Returns a long frame: gate, z, scale, slope. A learned gate is drawn as it starts.
    """
    z = np.round(np.arange(-REACH, REACH + STEP / 2, STEP), 10)
    frames = [
        pd.DataFrame({"gate": gate, "z": z, "scale": 1 + FORMULAS[gate](z), "slope": _slope(FORMULAS[gate], z)})
        for gate in dict.fromkeys(gates)
        if gate in FORMULAS
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["gate", "z", "scale", "slope"])


def slope_at_zero(gate: str) -> float:
    """How steep a built-in gate is at the logit 0."""
    return float(_slope(FORMULAS[gate], np.zeros(1))[0])


def _slope(gate: Callable[[Curve], Curve], z: Curve) -> Curve:
    return (gate(z + NUDGE) - gate(z - NUDGE)) / (2 * NUDGE)
