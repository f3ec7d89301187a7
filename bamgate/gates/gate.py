"""What a gate is: a name, a maker of modules, and what is known of its function."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bamgate.seeding import drawing_from, hashed_integers

GateFunction = Callable[[Tensor], Tensor]


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


def applied(module: nn.Module, z: Tensor) -> Tensor:
    """g(z) of an elementwise gate for logits of any shape; its code may name the dimensions of a map, B, C, H, W."""
    g: Tensor = module(z if z.ndim == 4 else z.reshape(1, 1, 1, -1)).reshape(z.shape)
    return g


def values_and_slopes(module: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """g(z) and g'(z) of an elementwise gate, any shape; detached."""
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        g = applied(module, z)
        slope = torch.zeros_like(z)
        if g.requires_grad:
            (gradient,) = torch.autograd.grad(g.sum(), z, allow_unused=True)
            slope = slope if gradient is None else gradient
    return g.detach(), slope.detach()


def moved(module: nn.Module) -> nn.Module:
    """The module, each of its parameters moved by 1/8 to 3/8: what one that starts at 0 does shows only then."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            steps = 1 / 8 + hashed_integers(number, torch.arange(parameter.numel()), 1000) / 4000
            parameter.add_(steps.view_as(parameter).to(parameter.dtype))
    return module
