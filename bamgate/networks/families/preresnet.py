"""PreResNet-110 as the BAM paper counts it: pre-activation bottlenecks, 3 x 18 (He et al. 2016, ECCV).

The paper's 1.726 M parameters are those of 18 bottleneck blocks per stage, which are 164 layers, and its 0.245 GFLOPs
those of a stride in the first 1x1. A shortcut that changes the shape projects the raw input, without batch norm.
"""

from torch import Tensor, nn

from bamgate.networks.backbone import BACKBONES, Sites, Size, init_he
from bamgate.networks.blocks import conv1x1, conv3x3
from bamgate.networks.staged import StagedNet, norm_relu, residual_stages

EXPANSION = 4


class PreActBottleneck(nn.Module):
    """shortcut(x) + attention(residual(x)); the residual is 1x1, 3x3, 1x1, each after batch norm and ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int, sites: Sites) -> None:
        super().__init__()
        width = c_out // EXPANSION
        self.residual = nn.Sequential(
            *norm_relu(c_in),
            conv1x1(c_in, width, stride),
            *norm_relu(width),
            conv3x3(width, width),
            *norm_relu(width),
            conv1x1(width, c_out),
        )
        same = c_in == c_out and stride == 1
        self.shortcut = nn.Identity() if same else conv1x1(c_in, c_out, stride)
        init_he(self)
        self.attention = sites.in_block(c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shortcut(x) + self.attention(self.residual(x))
        return y


def preresnet110(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
    """Three stages of 64, 128 and 256 channels."""

    def block(c_in: int, c_out: int, stride: int) -> nn.Module:
        return PreActBottleneck(c_in, c_out, stride, sites)

    stages = residual_stages(block, c_in=16, depths=(18, 18, 18), widths=(64, 128, 256))
    stem = conv3x3(in_channels, 16)
    return StagedNet(stem, stages, num_classes=num_classes, sites=sites, tail=norm_relu(256))


BACKBONES.register("preresnet110", preresnet110)
