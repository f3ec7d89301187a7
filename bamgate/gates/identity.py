"""The fingerprint of a gate: hex digits that identify its function, whatever its name.

It tells an edited gate from the one before, and sees the function alone. Records hold the sha256 of the gate's source
beside it, which any edit changes.
"""

import functools
import hashlib

import torch
from torch import Tensor, nn

from bamgate.gates.builtin import GATES
from bamgate.gates.gate import Gate, applied, moved, values_and_slopes
from bamgate.seeding import hashed_integers

# 0, the kinks of the hard gates, and both tails. The first rule: it is fixed, since records hold its digests.
_GRID = torch.cat([torch.arange(-40, 41) / 10, torch.tensor([-12.0, -7.3, -5.1, 5.1, 7.3, 12.0])]).double()
_TAILS = torch.tensor([-100.0, -50.0, -30.0, -20.0, -15.0, 15.0, 20.0, 30.0, 50.0, 100.0]).double()


@functools.lru_cache(maxsize=256)
def fingerprint(gate: Gate) -> str:
    """The fingerprint of a gate.

    It covers values and slopes from -100 to 100 in training and in evaluation mode, and the parameters: their names,
    shapes, initial values and gradients, and what changes if they are moved.

    Returns:
        16 digits by the first rule (see `fingerprint_v1`), a hyphen, and 16 digits of everything above. If a built-in
        gate is the same function up to rounding, the first 16 alone.
    """
    if gate.name in GATES and GATES.get(gate.name) is gate:
        return fingerprint_v1(gate)
    full = _full(gate)
    return _of_built_in_gates().get(full) or f"{fingerprint_v1(gate)}-{full}"


@functools.lru_cache(maxsize=256)
def fingerprint_v1(gate: Gate) -> str:
    """The first rule: values and slopes from -12 to 12 in training mode, and the number of parameters.

    The first runs were stored with it, before tails, evaluation mode and the parameters themselves counted.
    """
    module = gate.sample().double()
    numbers = torch.stack(values_and_slopes(module, _GRID))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    # Rounded before it is formatted, and + 0.0 for -0.0: the last bits differ between machines and releases of torch.
    text = " ".join(f"{value + 0.0:.6f}" for value in (torch.round(numbers * 1e6) / 1e6).flatten().tolist())
    return _digest(text + f" {parameters} parameters")  # a learned gate may start as the same function as a fixed one


def has_fingerprint(gate: Gate, stored: str) -> bool:
    """Whether `stored` is the fingerprint of this gate, by today's rule or by the first one.

    For a built-in gate both rules give the same digits. Those are compared by today's rule, which sees more.
    """
    if stored in _of_built_in_gates().values():
        return stored == fingerprint(gate)
    return stored in (fingerprint(gate), fingerprint_v1(gate))


def gate_facts(gate: Gate) -> dict[str, str]:
    """What a record says about a gate, as in config.json."""
    return {"name": gate.name, "source_sha256": gate.source_sha256, "fingerprint": fingerprint(gate)}


@functools.cache
def _of_built_in_gates() -> dict[str, str]:
    """Full digest of each built-in gate -> the fingerprint that records hold."""
    return {_full(gate): fingerprint_v1(gate) for gate in GATES}


def _full(gate: Gate) -> str:
    parts = []
    for start in (gate.sample(), moved(gate.sample())):
        for training in (True, False):
            module = start.double().train(training)
            parts += [_text(numbers) for numbers in values_and_slopes(module, torch.cat([_GRID, _TAILS]))]
            parts += [f"{name} {tuple(p.shape)} {_text(p)}" for name, p in module.named_parameters()]
            parts += [_text(gradient) for gradient in _parameter_gradients(module)]
    return _digest("\n".join(parts))


def _parameter_gradients(module: nn.Module) -> list[Tensor]:
    """The gradient of a weighted sum of the values at each parameter that learns."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        g = applied(module, _GRID)
        if not learning or not g.requires_grad:
            return []
        # Weights, as in a plain sum over a symmetric grid the gradients of odd functions would cancel.
        weights = hashed_integers(0, torch.arange(len(_GRID)), 1000).double() / 1000
        gradients = torch.autograd.grad((g * weights).sum(), learning, allow_unused=True)
    return [torch.zeros_like(p) if found is None else found for p, found in zip(learning, gradients, strict=True)]


def _text(numbers: Tensor) -> str:
    """Numbers rounded to 6 decimals and 6 digits, which are the same on every machine."""
    return " ".join(f"{round(value, 6) + 0.0:.6g}" for value in numbers.detach().flatten().tolist())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
