"""What the branches of attention make of images: a channel vector and a spatial plane for each image and site."""

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bamgate.networks.insertion import in_evaluation, same_draws
from bamgate.observe.capture import Passage, capture


@dataclass(frozen=True, kw_only=True, eq=False)
class Planes:
    """What one site makes of N images, in float32 on the CPU; see `Passage` for what they are.

    channel: the channel vectors, N, C; None if the module has none.
    spatial: the spatial planes, N, H, W of the map that stands there; None if the module has none.
    """

    channel: Tensor | None
    spatial: Tensor | None


@torch.no_grad()
def planes_of(
    model: nn.Module, images: Tensor, autocast: AbstractContextManager[Any] | None = None
) -> dict[str, Planes]:
    """Planes by site, in the network's order, from one forward pass in evaluation mode.

    Args:
        images: N, C, H, W, as the network takes them and on its device.
        autocast: the precision that the network was trained in.

    Raises:
        UsageError: a forward pass does not pass each site once.
    """
    with in_evaluation(model), same_draws(model), capture(model, ("channel", "spatial"), keep=_planes) as seen:
        with autocast or contextlib.nullcontext():
            model(images)
    return dict(seen.items())


def _planes(passage: Passage) -> Planes:
    return Planes(channel=_plain(passage.channel), spatial=_plain(passage.spatial))


def _plain(tensor: Tensor | None) -> Tensor | None:
    """A copy, so that no map behind it is kept."""
    return None if tensor is None else tensor.to(device="cpu", dtype=torch.float32, copy=True)
