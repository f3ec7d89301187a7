"""Where the gate acts: logits z -> scale s = 1 + g(z), or s = g(z) without the residual."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from bamgate.devices import without_autocast
from bamgate.errors import UsageError, unknown
from bamgate.gates.elementwise import require_elementwise
from bamgate.seeding import drawing_from, state_key

GateFactory = Callable[[], nn.Module]
GATE_INITS = ("default", "zero")


class AttentionModule(nn.Module):
    """Base of all attention modules. Parameters inside belong to the attention, all others to the trunk.

    site: the name of its place in a network; see `bamgate.networks.sites`.
    """

    site: str = ""


class Scale(nn.Module):
    """s = 1 + g(z) (residual) or s = g(z), computed in fp32 under any autocast.

    Args:
        gate: makes the module z -> g(z); this site gets one of its own.
        residual: BAM's F' = F + F * M(F) is F * (1 + g); SE's and CBAM's F' = F * M(F) is F * g.

    Raises:
        UsageError: the module is not elementwise or keeps state; see `require_elementwise`.
    """

    def __init__(self, gate: GateFactory, *, residual: bool) -> None:
        super().__init__()
        if not callable(gate):
            raise UsageError(f"gate must make a module, got {gate!r}; for a gate by name: load_gate({gate!r}).build")
        require_elementwise(gate, getattr(gate, "__qualname__", None) or repr(gate))
        # A gate that draws initial values must not change what later layers draw: gates are compared on equal weights.
        # So it draws from a stream of its own, derived from the generator's state and thus from the seed and the site.
        with drawing_from(state_key("gate")):
            self.gate = gate()
        self.residual = residual

    def forward(self, z: Tensor) -> Tensor:
        """Logits of any shape -> fp32 scales of the same shape."""
        if _is_traced(z):  # a proxy of torch.fx has no dtype, and a graph cannot hold a context manager
            return self._scaled(self.gate(z.float()))
        # In half precision a saturating gate cannot resolve scales near its bounds. fp64 is kept for exact tests.
        with without_autocast(z.device.type):
            g: Tensor = self.gate(z if z.dtype == torch.float64 else z.float())
        return self._scaled(g)

    def _scaled(self, g: Tensor) -> Tensor:
        return 1 + g if self.residual else g


def _is_traced(z: object) -> bool:
    """Whether torch.fx is tracing the network."""
    return isinstance(z, Proxy)


def multiply(x: Tensor, scale: Tensor) -> Tensor:
    """x * scale in the dtype of x.

    The product is rounded once. Rounding the scale to bf16 first would leave only 129 values from 1 to 2.
    """
    return (x * scale).to(x.dtype)


def require(what: str, value: str, allowed: Iterable[str]) -> None:
    """UsageError with the nearest guess if `value` is not one of `allowed`."""
    if value not in allowed:
        raise unknown(what, value, allowed)


def hidden_width(channels: int, reduction: int) -> int:
    """C / r, but at least 1: a map may have fewer channels than the reduction ratio."""
    return max(1, channels // reduction)


def zero_(module: nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Set weight and bias to 0, so that the output is 0 for any input."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
