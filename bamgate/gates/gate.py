"""What a gate is: a name, a maker of modules, and what is known of its function."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bamgate.seeding import drawing_from

GateFunction = Callable[[Tensor], Tensor]

# 0, the kinks of the hard gates, and both tails.
_GRID = torch.cat([torch.arange(-40, 41) / 10, torch.tensor([-12.0, -7.3, -5.1, 5.1, 7.3, 12.0])]).double()


class Elementwise(nn.Module):
    """A parameter-free gate as a module. Shape in, the same shape out."""

    def __init__(self, function: GateFunction) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


@dataclass(frozen=True, kw_only=True)
class TanhForm:
    """s(z) = 1 + g(z) = c * (1 + depth * tanh(k z)), the family that sigmoid and tanh both belong to."""

    c: float
    depth: float
    k: float


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A gate function g and what the log says of it.

    Args:
        name: as users type it and as the log shows it.
        build: makes a fresh module z -> g(z), elementwise; called once a site, so learned gates learn apart.
        source: the text whose sha256 identifies the gate's code.
        low, high: infimum and supremum of g; None where nobody has stated them.
        form: (c, depth, k) where s has that form.
        summary: one line for `bamgate gates list`.
        origin: the file that it was loaded from, or the folder that its module was found in; None for all others.
    """

    name: str
    build: Callable[[], nn.Module]
    source: str
    low: float | None = None
    high: float | None = None
    form: TanhForm | None = None
    summary: str = ""
    origin: Path | None = None

    def sample(self) -> nn.Module:
        """A module for looking at: what a learned gate draws at its start comes from a fixed seed here."""
        with drawing_from(0):
            return self.build()

    @property
    def source_sha256(self) -> str:
        return hashlib.sha256(self.source.encode()).hexdigest()


def values_and_slopes(module: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """g(z) and g'(z) of an elementwise gate, any shape; detached."""
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        g = module(z)
        slope = torch.zeros_like(z)
        if g.requires_grad:
            (gradient,) = torch.autograd.grad(g.sum(), z, allow_unused=True)
            slope = slope if gradient is None else gradient
    return g.detach(), slope.detach()


@functools.lru_cache(maxsize=256)
def fingerprint(gate: Gate) -> str:
    """16 hex digits from values and slopes on a fixed grid, to 6 decimals: the function, whatever it is called."""
    module = gate.sample().double()
    numbers = torch.stack(values_and_slopes(module, _GRID))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    text = " ".join(f"{value + 0.0:.6f}" for value in (torch.round(numbers * 1e6) / 1e6).flatten().tolist())
    text += f" {parameters} parameters"  # a learned gate may start as a fixed one
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def gate_facts(gate: Gate) -> dict[str, str]:
    """What a record says of a gate, as it stands in config.json."""
    return {"name": gate.name, "source_sha256": gate.source_sha256, "fingerprint": fingerprint(gate)}
