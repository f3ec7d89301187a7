"""Where the gate acts: logits z -> scale s = 1 + g(z), or g(z) without the residual."""

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
    """Base of all attention modules: their parameters are attention's, all others the trunk's.

    site: the name of the place that it was given in a network; see `bamgate.networks.sites`.
    """

    site: str = ""


class Scale(nn.Module):
    """s = 1 + g(z) (residual) or s = g(z), computed in fp32 under any autocast.

    Args:
        gate: makes the module z -> g(z), which belongs to this site alone.
        residual: BAM's F' = F + F * M(F) is F * (1 + g); SE's and CBAM's F' = F * M(F) is F * g.

    Raises:
        UsageError: what `gate` makes is not elementwise, or keeps state; see `require_elementwise`.
    """

    def __init__(self, gate: GateFactory, *, residual: bool) -> None:
        super().__init__()
        if not callable(gate):
            raise UsageError(f"gate must make a module, got {gate!r}; for a gate by name: load_gate({gate!r}).build")
        require_elementwise(gate, getattr(gate, "__qualname__", None) or repr(gate))
        # What a gate draws must neither shift nor repeat what the layers after it draw: gates are compared on equal
        # weights. Its own stream comes from where the generator stands, and so from the seed and the site.
        with drawing_from(state_key("gate")):
            self.gate = gate()
        self.residual = residual

    def forward(self, z: Tensor) -> Tensor:
        """Logits of any shape -> fp32 scales of the same shape."""
        if _is_traced(z):  # a graph knows neither dtype nor autocast
            return self._scaled(self.gate(z.float()))
        # Saturating gates lose their resolution near 1 and 2 in half precision.
        with without_autocast(z.device.type):
            g: Tensor = self.gate(z if z.dtype == torch.float64 else z.float())
        return self._scaled(g)

    def _scaled(self, g: Tensor) -> Tensor:
        return 1 + g if self.residual else g


def _is_traced(z: object) -> bool:
    """Whether torch.fx records what is done."""
    return isinstance(z, Proxy)


def multiply(x: Tensor, scale: Tensor) -> Tensor:
    """x * scale in the dtype of x, rounded once: in bf16 a scale alone would be one of 129 values from 1 to 2."""
    return (x * scale).to(x.dtype)


def require(what: str, value: str, allowed: Iterable[str]) -> None:
    """UsageError with the nearest guess where `value` is none of `allowed`."""
    if value not in allowed:
        raise unknown(what, value, allowed)


def hidden_width(channels: int, reduction: int) -> int:
    """C / r, at least 1 where a map has fewer channels than the reduction ratio."""
    return max(1, channels // reduction)


def zero_(module: nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Set weight and bias to 0, so that the module puts out 0 whatever goes in."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
