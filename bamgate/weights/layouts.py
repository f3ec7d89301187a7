"""Convert between BAM's layouts: the same function in evaluation mode, up to rounding.

The layouts differ in the norms at the ends of the branches. In evaluation a norm is z -> a z + b per channel, with a =
weight / sqrt(running_var + eps) and b = bias - a running_mean. "released" has no such norms: they are folded into the
layers before them or, the other way, added as identities. "counted" has C entries in the spatial branch, "paper" has
one. In training the norms use the statistics of the batch, so converted networks train differently.
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
        UsageError: there is no such layout, the attention has none, or the C entries of a "counted" norm differ, which
            no other layout can express.
    """
    attention = network.attention
    require("layout", layout, LAYOUTS)
    if attention.name != "bam":
        raise UsageError(f"layout {layout!r} would have no effect: attention {attention.name!r} has no layouts")
    # With one branch there is nothing to combine. None lets the configuration fill in its default, which depends on the
    # layout.
    combine = attention.combine if attention.branches == "both" else None
    converted = replace(network, attention=replace(attention, layout=layout, combine=combine))
    model = copy.deepcopy(model)
    if layout != attention.layout:
        for site, module in model.named_modules():
            if isinstance(module, BAM):
                _TO_PAPER[attention.layout](module, site)
                _FROM_PAPER[layout](module, site)
    return converted, model


def _keep(bam: BAM, site: str) -> None:
    """paper -> paper: nothing to do."""


def _widen(bam: BAM, site: str) -> None:
    """paper -> counted: repeat the one entry of the spatial norm C times."""
    assert bam.spatial is not None
    first = bam.spatial.hidden[0]
    assert isinstance(first, nn.Conv2d)
    _resize(bam.spatial, first.in_channels)


def _narrow(bam: BAM, site: str) -> None:
    """counted -> paper: reduce the C entries of the spatial norm to one; UsageError if they are not all equal."""
    assert bam.spatial is not None
    for name in STATISTICS:
        entries = getattr(bam.spatial.final_norm, name).detach()
        apart = float((entries - entries[0]).abs().max())
        if apart != 0:  # also for NaN
            raise UsageError(
                f"{site}.spatial.final_norm.{name}: its {len(entries)} entries differ by up to {apart:.3g}; "
                "only layout 'counted' can store that"
            )
    _resize(bam.spatial, 1)


def _resize(branch: SpatialBranch, entries: int) -> None:
    """Give the branch a final norm with `entries` copies of its first entry."""
    before = branch.final_norm
    assert before is not None
    after = nn.BatchNorm2d(entries).to(before.weight).train(before.training)
    with torch.no_grad():
        for name in STATISTICS:
            getattr(after, name).copy_(getattr(before, name)[:1].expand(entries))
        after.get_buffer("num_batches_tracked").copy_(before.get_buffer("num_batches_tracked"))
    branch.final_norm = after


def _fold_norms(bam: BAM, site: str) -> None:
    """paper -> released: fold each norm into the layer before it."""
    for branch, layer, _ in _ends(bam):
        assert branch.final_norm is not None
        _fold(layer, branch.final_norm)
        branch.final_norm = None


@torch.no_grad()
def _fold(layer: Layer, norm: Norm) -> None:
    # a (W x + c - mean) + b = (a W) x + (a (c - mean) + b), in fp64, so that it is rounded once.
    weight, bias, mean, var = (getattr(norm, name).double() for name in STATISTICS)
    a = weight / torch.sqrt(var + norm.eps)
    assert layer.bias is not None
    layer.bias.copy_(a * (layer.bias.double() - mean) + bias)
    layer.weight.copy_(a.reshape(-1, *[1] * (layer.weight.ndim - 1)) * layer.weight.double())


def _put_identities(bam: BAM, site: str) -> None:
    """released -> paper: add norms that are the identity in evaluation mode."""
    for branch, layer, kind in _ends(bam):
        norm = kind(len(layer.weight)).to(layer.weight).train(layer.training)
        # sqrt(var + eps) is then 1. With torch's default variance of 1 the norm would divide by sqrt(1 + eps).
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


# Every conversion goes by way of "paper", so three layouts need two conversions each, not six.
_TO_PAPER: dict[str, Callable[[BAM, str], None]] = {"paper": _keep, "counted": _narrow, "released": _put_identities}
_FROM_PAPER: dict[str, Callable[[BAM, str], None]] = {"paper": _keep, "counted": _widen, "released": _fold_norms}
