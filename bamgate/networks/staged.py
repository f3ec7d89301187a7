"""The frame of bamgate's own networks: a stem, stages with attention between them, pooling and a linear classifier."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from bamgate.networks.backbone import SMALL, OwnBlock, Sites, Size, init_he
from bamgate.networks.blocks import conv3x3
from bamgate.networks.classifier import Classifier
from bamgate.networks.sites import name_sites


class Stage(NamedTuple):
    """A stage of a network.

    Args:
        name: the name of the stage and of its site.
        channels: output channels.
        has_site: attention may follow.
        own: makes one more block of the same kind; None if none keeps the shape of the map.
    """

    name: str
    module: nn.Module
    channels: int
    has_site: bool = True
    own: OwnBlock | None = None


class StagedNet(nn.Module):
    """B, in_channels, H, W -> B, num_classes.

    The attention after a stage is `sites.<name of the stage>`. The last stage has none, as no down-sampling follows it.

    Args:
        stem: image -> first feature map.
        stages: in order.
        tail: between the last stage and the pooling, such as the last norm of a pre-activation network.
    """

    def __init__(
        self, stem: nn.Module, stages: list[Stage], *, num_classes: int, sites: Sites, tail: nn.Module | None = None
    ) -> None:
        super().__init__()
        init_he(stem)
        self.stem = stem
        self.stages = nn.ModuleDict({stage.name: stage.module for stage in stages})
        with_site = [stage for stage in stages[:-1] if stage.has_site]
        # In a dict of their own: stages keep their names and shapes whether attention follows or not.
        self.sites = nn.ModuleDict({stage.name: sites.at_bottleneck(stage.channels, stage.own) for stage in with_site})
        for name, part in [*self.stages.items(), *self.sites.items()]:
            name_sites(part, name)
        self.tail = nn.Identity() if tail is None else tail
        self.classifier = Classifier(stages[-1].channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.sites:
                x = self.sites[name](x)
        logits: Tensor = self.classifier(self.tail(x).mean(dim=(2, 3)))
        return logits


def conv_norm_relu_stem(in_channels: int, channels: int) -> nn.Sequential:
    """The stem of networks for small images that normalise after the convolution."""
    return nn.Sequential(conv3x3(in_channels, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def stem_for(image_size: Size, in_channels: int, channels: int) -> nn.Sequential:
    """The 7x7 stem with max pooling (He et al. 2016, Table 1), or a small one for images up to 64 pixels per side."""
    if max(image_size) <= SMALL:
        return conv_norm_relu_stem(in_channels, channels)
    conv = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1))


def norm_relu(channels: int) -> nn.Sequential:
    """Batch norm and ReLU, as before each convolution and at the end of a pre-activation network."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def residual_stages(
    block: Callable[[int, int, int], nn.Module], *, c_in: int, depths: tuple[int, ...], widths: tuple[int, ...]
) -> list[Stage]:
    """Stages layer1, layer2, ... of residual blocks; each but the first halves the map.

    Args:
        block: (input channels, output channels, stride) -> module.
        c_in: output channels of the stem.
        depths, widths: number of blocks and output channels of each stage.
    """
    stages = []
    for i, (depth, c_out) in enumerate(zip(depths, widths, strict=True), start=1):
        blocks = []
        for j in range(depth):
            blocks.append(block(c_in, c_out, 2 if i > 1 and j == 0 else 1))
            c_in = c_out
        stages.append(Stage(f"layer{i}", nn.Sequential(*blocks), c_out, own=partial(block, c_out, c_out, 1)))
    return stages
