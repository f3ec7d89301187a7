"""What all backbones share. A backbone knows no attention module, only a factory, like torchvision's norm_layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import nn

from bamgate.errors import UsageError
from bamgate.networks.insertion import insert_module
from bamgate.registry import Registry

AttentionFactory = Callable[[int], nn.Module]
OwnBlock = Callable[[], nn.Module]  # makes one more block of the network's own kind, which keeps the shape of the map
_Given = TypeVar("_Given")
Size = tuple[int, int]  # H, W of the images
SMALL = 64  # up to this many pixels per side an image gets a 3x3 stem without pooling: a 7x7 one would leave no map


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Where attention is placed. A factory is called with the number of channels at each site; None leaves sites empty.

    Args:
        bottleneck: after each stage but the last, just before the map is halved (BAM, Section 3).
        block: in each residual block, on the branch before the addition (SE, CBAM and the BAM paper's BAM-C).
        extra: at the sites of `bottleneck`, but called with a maker of the network's own blocks (Table 1c).
    """

    bottleneck: AttentionFactory | None = None
    block: AttentionFactory | None = None
    extra: Callable[[OwnBlock], nn.Module] | None = None

    def at_bottleneck(self, channels: int, own: OwnBlock | None = None) -> nn.Module:
        """The module after a stage; UsageError if an extra block is wanted and the network has none that fits."""
        if self.extra is not None:
            if own is None:
                raise UsageError("no block of this network keeps the shape of its map, so there is no extra block")
            return self.extra(own)
        return nn.Identity() if self.bottleneck is None else self.bottleneck(channels)

    def in_block(self, channels: int) -> nn.Module:
        return nn.Identity() if self.block is None else self.block(channels)


class Backbone(Protocol):
    """Builds a network: images B, in_channels, H, W -> logits B, num_classes.

    `image_size` chooses the stem if a family has one for small images and one for large. The network still takes any
    size.
    """

    def __call__(self, *, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module: ...


BACKBONES: Registry[Backbone] = Registry("model")


def insert_all(net: nn.Module, factory: Callable[[_Given], nn.Module] | None, sites: Mapping[str, _Given]) -> None:
    """Insert a module after each named one; nothing if there is no factory.

    Args:
        sites: name of a module -> argument of the factory: its output channels, or an `OwnBlock`.
    """
    for site, given in sites.items():
        if factory is not None:
            insert_module(net, site, factory(given))


def init_he(module: nn.Module) -> None:
    """He et al. 2015: convolutions are normal by fan-out; batch norms and linear layers keep torch's defaults."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
