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
    """A parameter-free gate as a module: logits of any shape -> g of the same shape."""

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
    """A gate function g and what is known about it.

    Args:
        name: as users type it and as records show it.
        build: makes a new module z -> g(z), elementwise. It is called once per site, so that each site of a learned
            gate has parameters of its own.
        source: the text whose sha256 identifies the gate's code.
        low, high: infimum and supremum of g; None if they are not stated.
        form: (c, depth, k) if s has that form.
        summary: one line for `bamgate gates list`.
        origin: the file from which it was loaded, or the folder in which its module was found; None for all others.
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
        """A module to examine: a learned gate that draws its initial values draws them from a fixed seed."""
        with drawing_from(0):
            return self.build()

    @property
    def source_sha256(self) -> str:
        return hashlib.sha256(self.source.encode()).hexdigest()


def applied(module: nn.Module, z: Tensor) -> Tensor:
    """g(z) of an elementwise gate for logits of any shape.

    The gate sees four dimensions, as in a network, since its code may unpack B, C, H, W.
    """
    g: Tensor = module(z if z.ndim == 4 else z.reshape(1, 1, 1, -1)).reshape(z.shape)
    return g


def values_and_slopes(module: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """g(z) and g'(z) of an elementwise gate, both detached and of the shape of z."""
    # enable_grad, since the caller may be under no_grad.
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        g = applied(module, z)
        slope = torch.zeros_like(z)
        # A constant gate has no graph. For any other the gradient of the sum is g' at each z, as g is elementwise.
        if g.requires_grad:
            (gradient,) = torch.autograd.grad(g.sum(), z, allow_unused=True)
            slope = slope if gradient is None else gradient
    return g.detach(), slope.detach()


def moved(module: nn.Module) -> nn.Module:
    """Move each parameter of the module by 1/8 to 3/8, in place, and return the module.

    The effect of a parameter that starts at 0 shows only then.
    """
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            steps = 1 / 8 + hashed_integers(number, torch.arange(parameter.numel()), 1000) / 4000
            parameter.add_(steps.view_as(parameter).to(parameter.dtype))
    return module
