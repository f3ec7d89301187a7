"""BAM's layouts into one another: the same function in evaluation mode, up to rounding.

The layouts differ in the norms at the ends of the branches. In evaluation a norm is z -> a z + b per channel, with
a = weight / sqrt(running_var + eps) and b = bias - a running_mean. "released" has none: a norm is folded into the layer
before it, or put in as the identity. "counted" has C entries in the spatial branch where "paper" has one. In training
the norms follow the batch, so converted networks train differently.
"""

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from bamgate.attention import BAM
from bamgate.attention.bam import LAYOUTS, ChannelBranch, SpatialBranch
from bamgate.attention.scale import require
from bamgate.errors import UsageError
from bamgate.weights.network import Network

Norm = nn.BatchNorm1d | nn.BatchNorm2d
Layer = nn.Linear | nn.Conv2d
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def convert_layout(network: Network, model: nn.Module, layout: str) -> tuple[Network, nn.Module]:
    """A copy of the network in another layout, with the same outputs in evaluation mode.

    Args:
        network: describes `model`.
        model: holds the weights; it stays as it is.
        layout: "paper", "counted" or "released".

    Raises:
        UsageError: no such layout, the attention has none, or the C entries of a "counted" norm differ, which no
            other layout can say.
    """
    attention = network.attention
    require("layout", layout, LAYOUTS)
    if attention.name != "bam":
        raise UsageError(f"layout {layout!r} would have no effect: attention {attention.name!r} has no layouts")
    # Where one branch stands alone there is nothing to combine, and the default depends on the layout.
    combine = attention.combine if attention.branches == "both" else None
    converted = replace(network, attention=replace(attention, layout=layout, combine=combine))
    model = copy.deepcopy(model)
    if layout != attention.layout:
        for site, module in model.named_modules():
            if isinstance(module, BAM):
                _TO_PAPER[attention.layout](module, site)
                _FROM_PAPER[layout](module, site)
    return converted, model


def _leave(bam: BAM, site: str) -> None:
    """paper -> paper."""


def _widen(bam: BAM, site: str) -> None:
    """paper -> counted: the spatial norm's one entry, C times."""
    assert bam.spatial is not None
    first = bam.spatial.hidden[0]
    assert isinstance(first, nn.Conv2d)
    _resize(bam.spatial, first.in_channels)


def _narrow(bam: BAM, site: str) -> None:
    """counted -> paper: the C entries of the spatial norm as one, which they must be."""
    assert bam.spatial is not None
    for name in STATISTICS:
        entries = getattr(bam.spatial.final_norm, name).detach()
        apart = float((entries - entries[0]).abs().max())
        if apart != 0:
            raise UsageError(
                f"{site}.spatial.final_norm.{name}: its {len(entries)} entries are up to {apart:.3g} apart; "
                "only layout 'counted' can hold that"
            )
    _resize(bam.spatial, 1)


def _resize(branch: SpatialBranch, entries: int) -> None:
    """The final norm with `entries` times its first entry."""
    before = branch.final_norm
    assert before is not None
    after = nn.BatchNorm2d(entries).to(before.weight).train(before.training)
    with torch.no_grad():
        for name in STATISTICS:
            getattr(after, name).copy_(getattr(before, name)[:1].expand(entries))
        after.get_buffer("num_batches_tracked").copy_(before.get_buffer("num_batches_tracked"))
    branch.final_norm = after


def _fold_norms(bam: BAM, site: str) -> None:
    """paper -> released: each norm into the layer before it."""
    for branch, layer, _ in _ends(bam):
        assert branch.final_norm is not None
        _fold(layer, branch.final_norm)
        branch.final_norm = None


@torch.no_grad()
def _fold(layer: Layer, norm: Norm) -> None:
    weight, bias, mean, var = (getattr(norm, name).double() for name in STATISTICS)
    a = weight / torch.sqrt(var + norm.eps)
    assert layer.bias is not None
    layer.bias.copy_(a * (layer.bias.double() - mean) + bias)
    layer.weight.copy_(a.reshape(-1, *[1] * (layer.weight.ndim - 1)) * layer.weight.double())


def _put_identities(bam: BAM, site: str) -> None:
    """released -> paper: norms that change nothing."""
    for branch, layer, kind in _ends(bam):
        norm = kind(len(layer.weight)).to(layer.weight).train(layer.training)
        norm.get_buffer("running_var").fill_(1 - norm.eps)
        branch.final_norm = norm


def _ends(bam: BAM) -> list[tuple[ChannelBranch | SpatialBranch, Layer, type[Norm]]]:
    """Each branch, its last layer, and the kind of norm that may follow it."""
    ends: list[tuple[ChannelBranch | SpatialBranch, Layer, type[Norm]]] = []
    if bam.channel is not None:
        ends.append((bam.channel, bam.channel.expand, nn.BatchNorm1d))
    if bam.spatial is not None:
        ends.append((bam.spatial, bam.spatial.final, nn.BatchNorm2d))
    return ends


_TO_PAPER: dict[str, Callable[[BAM, str], None]] = {"paper": _leave, "counted": _narrow, "released": _put_identities}
_FROM_PAPER: dict[str, Callable[[BAM, str], None]] = {"paper": _leave, "counted": _widen, "released": _fold_norms}
