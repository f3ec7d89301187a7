"""The CIFAR ResNets of He et al. 2016, Section 4.2: 6n + 2 layers in three stages of 16, 32 and 64 channels.

Shortcuts that change the shape are projections (option B); the paper's own CIFAR runs pad with zeros (option A).
"""

from torch import nn

from bamgate.networks.backbone import BACKBONES, Backbone, Sites, Size
from bamgate.networks.blocks import ResidualBlock, basic_residual
from bamgate.networks.staged import StagedNet, conv_norm_relu_stem, residual_stages


def _builder(depth: int) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        def block(c_in: int, c_out: int, stride: int) -> nn.Module:
            return ResidualBlock(basic_residual(c_in, c_out, stride), c_in, c_out, stride, sites)

        stages = residual_stages(block, c_in=16, depths=((depth - 2) // 6,) * 3, widths=(16, 32, 64))
        return StagedNet(conv_norm_relu_stem(in_channels, 16), stages, num_classes=num_classes, sites=sites)

    return build


for _depth in (8, 20, 32, 56, 110):
    BACKBONES.register(f"resnet{_depth}", _builder(_depth))
