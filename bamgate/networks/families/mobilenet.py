"""MobileNet v1 (Howard et al. 2017, arXiv 1704.04861, Table 1) with a width multiplier.

BAM is placed before each depthwise convolution of stride 2 from 128 channels on: three sites, at 128, 256 and 512
channels times the width. The BAM paper prints +0.020 GFLOPs, and +0.009 at width 0.7, which three sites give; a fourth,
at 64 channels, would make them +0.027 and +0.011.
"""

from functools import partial

from torch import nn

from bamgate.networks.backbone import BACKBONES, Backbone, Sites, Size, init_he
from bamgate.networks.staged import Stage, StagedNet

# Output channels of each depthwise-separable block, grouped by resolution; every group but the first starts with stride
# 2.
STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
FIRST_SITE = 2


def _norm_relu(channels: int) -> tuple[nn.Module, ...]:
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


class SeparableBlock(nn.Sequential):
    """3x3 depthwise, 1x1 pointwise, each with batch norm and ReLU (Figure 3); attention at the end."""

    def __init__(self, c_in: int, c_out: int, stride: int, sites: Sites) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_in, 3, stride=stride, padding=1, groups=c_in, bias=False),
            *_norm_relu(c_in),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            *_norm_relu(c_out),
        )
        init_he(self)
        self.attention = sites.in_block(c_out)


def _builder(width: float) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        channels = int(32 * width)
        stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False), *_norm_relu(channels)
        )
        stages = []
        for i, group in enumerate(STAGES, start=1):
            blocks = []
            for j, c_out in enumerate(int(c * width) for c in group):
                blocks.append(SeparableBlock(channels, c_out, 2 if i > 1 and j == 0 else 1, sites))
                channels = c_out
            own = partial(SeparableBlock, channels, channels, 1, sites)
            stages.append(Stage(f"layer{i}", nn.Sequential(*blocks), channels, has_site=i >= FIRST_SITE, own=own))
        return StagedNet(stem, stages, num_classes=num_classes, sites=sites)

    return build


BACKBONES.register("mobilenet", _builder(1.0))
BACKBONES.register("mobilenet-0.7", _builder(0.7))
BACKBONES.register("mobilenet-0.5", _builder(0.5))
