"""ResNeXt-29 for CIFAR (Xie, Girshick, Dollar, Tu, He; CVPR 2017, Section 5.2): three stages of three blocks.

The stride is in the first 1x1, which gives the BAM paper's 4.99 GFLOPs; in the 3x3 it would not.
"""

from torch import nn

from bamgate.networks.backbone import BACKBONES, Backbone, Sites, Size
from bamgate.networks.blocks import ResidualBlock, bottleneck_residual
from bamgate.networks.staged import StagedNet, conv_norm_relu_stem, residual_stages

BASE_WIDTH = 64


def _builder(cardinality: int) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        def block(c_in: int, c_out: int, stride: int) -> nn.Module:
            # 64 channels per group in the first stage, which has 256 output channels; twice as many in each later one.
            width = cardinality * BASE_WIDTH * c_out // 256
            return ResidualBlock(
                bottleneck_residual(c_in, width, c_out, stride, groups=cardinality), c_in, c_out, stride, sites
            )

        stages = residual_stages(block, c_in=64, depths=(3, 3, 3), widths=(256, 512, 1024))
        return StagedNet(conv_norm_relu_stem(in_channels, 64), stages, num_classes=num_classes, sites=sites)

    return build


for _cardinality in (8, 16):
    BACKBONES.register(f"resnext29-{_cardinality}x64d", _builder(_cardinality))
