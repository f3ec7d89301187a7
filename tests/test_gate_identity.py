"""Which gate is which: what a fingerprint tells apart, and what stays recognised."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bamgate.gates import GATES, Gate, fingerprint, fingerprint_v1, has_fingerprint, load_gate
from bamgate.gates.gate import Elementwise
from bamgate.record.ended import same_gate

# As runs on disk were stored with, before parameters, tails and evaluation counted.
STORED = {
    "sigmoid": "c95bcfdb0e11d84e",
    "tanh": "8bc77277a94d805a",
    "hard-sigmoid": "511e00f2b5e30862",
    "hard-sigmoid-keras": "44fc68d11f95fd68",
    "softsign": "876d103cff1a40f6",
    "none": "fc43946cd768226e",
    "constant-half": "d269e32b731fe3aa",
    "centred-sigmoid": "d579b16e408d5e22",
    "half-sigmoid": "e7244406f65c3573",
    "tanh-quarter": "6f355717c9053c6f",
    "tanh-half": "792c0a395de7c395",
    "hardtanh": "74135bc22592060a",
    "clip-sigmoid": "57feb92a9fadfa05",
    "arctan": "d729bb9d220f9027",
    "learned-depth": "63afac3206109ce7",
}


def gate_of(build: Callable[[], nn.Module]) -> Gate:
    return Gate(name="mine", build=build, source="")


def function(code: Callable[[Tensor], Tensor]) -> Gate:
    return gate_of(lambda: Elementwise(code))


def learned(code: Callable[[Tensor, Tensor], Tensor], start: Any = 1.0, name: str = "a", learns: bool = True) -> Gate:
    """g(z) = code(z, a) with a parameter of that name."""

    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter(name, nn.Parameter(torch.tensor(start), requires_grad=learns))

        def forward(self, z: Tensor) -> Tensor:
            return code(z, getattr(self, name))

    return gate_of(Learned)


class ByMode(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z) if self.training else torch.tanh(2 * z)


A_TANH = learned(lambda z, a: a * torch.tanh(z))
PAIRS: dict[str, tuple[Gate, Gate]] = {
    "which scalar is learned": (A_TANH, learned(lambda z, k: torch.tanh(k * z), name="k")),
    "which scalar is learned, by the same name": (A_TANH, learned(lambda z, a: torch.tanh(a * z))),
    "what the parameter is called": (A_TANH, learned(lambda z, b: b * torch.tanh(z), name="b")),
    "its shape": (A_TANH, learned(lambda z, a: a * torch.tanh(z), start=[1.0])),
    "its start, which the values hide": (
        learned(lambda z, a: torch.tanh(z) + 0 * a),
        learned(lambda z, a: torch.tanh(z) + 0 * a, start=2.0),
    ),
    "whether it learns": (A_TANH, learned(lambda z, a: a * torch.tanh(z), learns=False)),
    "whether a gradient reaches it": (A_TANH, learned(lambda z, a: a.detach() * torch.tanh(z))),
    "what it does away from its start": (
        learned(lambda z, a: torch.tanh(z) + a**2 * z, start=0.0),
        learned(lambda z, a: torch.tanh(z) + a**3 * z, start=0.0),
    ),
    "one far out": (function(torch.tanh), function(lambda z: torch.where(z.abs() > 12, 0 * z, torch.tanh(z)))),
    "the bound of a clip": (load_gate("expr:clip(z, -13, 13)"), load_gate("expr:clip(z, -17, 17)")),
    "evaluation": (function(torch.tanh), gate_of(ByMode)),
    "a fixed gate and a learned one": (function(torch.tanh), A_TANH),
}


@pytest.mark.parametrize("what", PAIRS)
def test_a_fingerprint_tells_apart(what: str) -> None:
    one, other = PAIRS[what]
    assert fingerprint(one) != fingerprint(other)
    assert not has_fingerprint(other, fingerprint(one))
    assert not has_fingerprint(one, fingerprint(other))


def test_the_same_gate_built_again_has_the_same_fingerprint() -> None:
    assert fingerprint(A_TANH) == fingerprint(learned(lambda z, a: torch.tanh(z) * a))
    assert fingerprint(gate_of(ByMode)) == fingerprint(gate_of(ByMode))


def test_the_fingerprints_of_built_in_gates_are_those_on_record() -> None:
    assert {gate.name: fingerprint(gate) for gate in GATES} == STORED


def test_a_function_that_is_a_built_in_gate_has_its_fingerprint() -> None:
    assert fingerprint(load_gate("expr:tanh(z)")) == STORED["tanh"]
    assert fingerprint(function(lambda z: 2 * torch.sigmoid(2 * z) - 1)) == STORED["tanh"]
    assert fingerprint(load_gate("expr:0*z+0.5")) == STORED["constant-half"]


def test_a_gate_on_record_by_the_first_rule_is_recognised() -> None:
    for gate in (A_TANH, function(lambda z: z**3), GATES.get("tanh")):
        assert has_fingerprint(gate, fingerprint_v1(gate))
        assert has_fingerprint(gate, fingerprint(gate))
    assert not has_fingerprint(A_TANH, STORED["tanh"])
    # A record by today's rule is not taken for one by the first, which would not see this edit.
    edited = learned(lambda z, a: torch.tanh(a * z))
    assert fingerprint_v1(edited) == fingerprint_v1(A_TANH)
    assert not has_fingerprint(edited, fingerprint(A_TANH))


def test_marks_of_older_records_agree_with_those_of_today() -> None:
    """By the strings alone, as records are compared: with and without the source, by the first rule and by today's."""
    edited = learned(lambda z, a: torch.tanh(a * z))
    old, new, other = fingerprint_v1(A_TANH), fingerprint(A_TANH), fingerprint(edited)
    assert new == f"{old}-{new[17:]}"
    assert len(new) == 33
    assert same_gate(old, new)
    assert same_gate(new, new + "+50ace")
    assert same_gate(old + "+50ace", new + "+50ace")
    assert not same_gate(new, other)
    assert not same_gate(new + "+50ace", other + "+50ace")
    assert not same_gate(new + "+50ace", new + "+0ff1ce")
    assert not same_gate(old + "+50ace", new + "+0ff1ce")
    assert not same_gate(STORED["tanh"], new)
