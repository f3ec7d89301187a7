"""The curves of a report are those of the gates that train."""

import numpy as np
import pytest
import torch

from bamgate.gates import GATES
from bamgate.gates.gate import values_and_slopes
from bamgate.reports.gate_curves import FORMULAS, gate_curves


def test_every_built_in_gate_has_a_formula() -> None:
    assert set(FORMULAS) == set(GATES.names())


@pytest.mark.parametrize("name", list(FORMULAS))
def test_a_formula_is_the_gate(name: str) -> None:
    frame = gate_curves([name])
    z = torch.tensor(frame["z"].to_numpy() + 1e-3)  # beside the kinks, where a slope is defined
    values, slopes = values_and_slopes(GATES.get(name).build().double(), z)
    curve = FORMULAS[name](z.numpy())
    assert curve == pytest.approx(values.detach().numpy(), abs=1e-7)
    central = (FORMULAS[name](z.numpy() + 1e-5) - FORMULAS[name](z.numpy() - 1e-5)) / 2e-5
    assert central == pytest.approx(slopes.detach().numpy(), abs=1e-5)
    assert frame["scale"].to_numpy() == pytest.approx(1 + FORMULAS[name](frame["z"].to_numpy()))


def test_gates_of_somebody_else_are_left_out() -> None:
    assert list(gate_curves(["tanh", "mine.py:gate", "tanh"])["gate"].unique()) == ["tanh"]
    assert gate_curves(["mine.py:gate"]).empty
    assert np.isclose(gate_curves(["sigmoid"]).set_index("z").loc[0.0, "scale"], 1.5)
