"""ResNet-18/34/50/101 (He et al. 2016, Table 1) for small images: a 3x3 stem and no max pooling.

`resnet50` and `resnet101` are v1 (stride in the first 1x1), the networks of the BAM paper's tables;
`-v1.5` moves the stride into the 3x3, as the released code and torchvision do.
"""

from torch import nn

from bamgate.backbones.backbone import BACKBONES, Backbone, Sites, Size
from bamgate.backbones.blocks import ResidualBlock, basic_residual, bottleneck_residual
from bamgate.backbones.staged import StagedNet, conv_norm_relu_stem, residual_stages

WIDTHS = (64, 128, 256, 512)
EXPANSION = 4


def _basic(depths: tuple[int, ...]) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        def block(c_in: int, c_out: int, stride: int) -> nn.Module:
            return ResidualBlock(basic_residual(c_in, c_out, stride), c_in, c_out, stride, sites)

        stages = residual_stages(block, c_in=64, depths=depths, widths=WIDTHS)
        return StagedNet(conv_norm_relu_stem(in_channels, 64), stages, num_classes=num_classes, sites=sites)

    return build


def _bottleneck(depths: tuple[int, ...], *, stride_in_3x3: bool) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        def block(c_in: int, c_out: int, stride: int) -> nn.Module:
            residual = bottleneck_residual(c_in, c_out // EXPANSION, c_out, stride, stride_in_3x3=stride_in_3x3)
            return ResidualBlock(residual, c_in, c_out, stride, sites)

        widths = tuple(width * EXPANSION for width in WIDTHS)
        stages = residual_stages(block, c_in=64, depths=depths, widths=widths)
        return StagedNet(conv_norm_relu_stem(in_channels, 64), stages, num_classes=num_classes, sites=sites)

    return build


BACKBONES.register("resnet18", _basic((2, 2, 2, 2)))
BACKBONES.register("resnet34", _basic((3, 4, 6, 3)))
BACKBONES.register("resnet50", _bottleneck((3, 4, 6, 3), stride_in_3x3=False))
BACKBONES.register("resnet101", _bottleneck((3, 4, 23, 3), stride_in_3x3=False))
BACKBONES.register("resnet50-v1.5", _bottleneck((3, 4, 6, 3), stride_in_3x3=True))
BACKBONES.register("resnet101-v1.5", _bottleneck((3, 4, 23, 3), stride_in_3x3=True))
