"""What all backbones share. A backbone knows no attention, only a factory, as torchvision's take a norm_layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import nn

from bamgate.errors import UsageError
from bamgate.networks.insertion import insert_module
from bamgate.registry import Registry

AttentionFactory = Callable[[int], nn.Module]
OwnBlock = Callable[[], nn.Module]  # makes one more block of a network's own kind, which leaves a map's shape as it is
_Given = TypeVar("_Given")
Size = tuple[int, int]  # H, W of the images
SMALL = 64  # pixels a side up to which an image gets a 3x3 stem without pooling: a 7x7 one would leave no map


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Where attention stands: a factory is called with the channel count of each site, None leaves the sites empty.

    Args:
        bottleneck: after each stage but the last, just before the map is halved (BAM, Section 3).
        block: in each residual block, on the branch before the addition (SE, CBAM and the paper's BAM-C).
        extra: where `bottleneck` stands, but called with what makes one more of the network's own blocks (Table 1c).
    """

    bottleneck: AttentionFactory | None = None
    block: AttentionFactory | None = None
    extra: Callable[[OwnBlock], nn.Module] | None = None

    def at_bottleneck(self, channels: int, own: OwnBlock | None = None) -> nn.Module:
        """What stands after a stage; UsageError where that is a block of its own and it has none."""
        if self.extra is not None:
            if own is None:
                raise UsageError("no block of this network leaves its map's shape as it is: there is no extra one")
            return self.extra(own)
        return nn.Identity() if self.bottleneck is None else self.bottleneck(channels)

    def in_block(self, channels: int) -> nn.Module:
        return nn.Identity() if self.block is None else self.block(channels)


class Backbone(Protocol):
    """Builds a network for images of `in_channels` channels: B, in_channels, H, W -> B, num_classes.

    `image_size` decides the stem where a family has one for small images and one for large; the network still
    takes any size.
    """

    def __call__(self, *, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module: ...


BACKBONES: Registry[Backbone] = Registry("model")


def insert_all(net: nn.Module, factory: Callable[[_Given], nn.Module] | None, sites: Mapping[str, _Given]) -> None:
    """Attention after each named module; nothing where the sites are empty.

    Args:
        sites: name -> what the factory is called with, the channels that the module puts out or its `OwnBlock`.
    """
    for site, given in sites.items():
        if factory is not None:
            insert_module(net, site, factory(given))


def init_he(module: nn.Module) -> None:
    """He et al. 2015: convolutions normal by fan-out; batch norms and linear layers keep torch's start."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
