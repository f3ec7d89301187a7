"""Wide ResNets (Zagoruyko, Komodakis; BMVC 2016): depth 6n + 4, three stages of 16, 32 and 64 times the width."""

from torch import Tensor, nn

from bamgate.networks.backbone import BACKBONES, Backbone, Sites, Size, init_he
from bamgate.networks.blocks import ResidualBlock, basic_residual, conv1x1, conv3x3
from bamgate.networks.staged import StagedNet, norm_relu, residual_stages, stem_for


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after batch norm and ReLU; a projection shortcut takes the activated input."""

    def __init__(self, c_in: int, c_out: int, stride: int, sites: Sites) -> None:
        super().__init__()
        self.activate = norm_relu(c_in)
        self.residual = nn.Sequential(conv3x3(c_in, c_out, stride), *norm_relu(c_out), conv3x3(c_out, c_out))
        self.shortcut = None if c_in == c_out and stride == 1 else conv1x1(c_in, c_out, stride)
        init_he(self)
        self.attention = sites.in_block(c_out)

    def forward(self, x: Tensor) -> Tensor:
        active = self.activate(x)
        # An identity shortcut carries the raw input, a projection the activated one, as in the authors' code.
        past = x if self.shortcut is None else self.shortcut(active)
        y: Tensor = past + self.attention(self.residual(active))
        return y


def _builder(depth: int, widen: int) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        def block(c_in: int, c_out: int, stride: int) -> nn.Module:
            return WideBlock(c_in, c_out, stride, sites)

        widths = (16 * widen, 32 * widen, 64 * widen)
        stages = residual_stages(block, c_in=16, depths=((depth - 4) // 6,) * 3, widths=widths)
        stem = conv3x3(in_channels, 16)
        return StagedNet(stem, stages, num_classes=num_classes, sites=sites, tail=norm_relu(widths[-1]))

    return build


for _depth, _widen in ((16, 8), (28, 8), (28, 10)):
    BACKBONES.register(f"wrn-{_depth}-{_widen}", _builder(_depth, _widen))


def _imagenet_builder(widen: float) -> Backbone:
    """ResNet-18 with every stage `widen` times as wide, and the usual stem (BAM paper, Table 3b)."""

    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        def block(c_in: int, c_out: int, stride: int) -> nn.Module:
            return ResidualBlock(basic_residual(c_in, c_out, stride), c_in, c_out, stride, sites)

        widths = tuple(int(width * widen) for width in (64, 128, 256, 512))
        stages = residual_stages(block, c_in=64, depths=(2, 2, 2, 2), widths=widths)
        return StagedNet(stem_for(image_size, in_channels, 64), stages, num_classes=num_classes, sites=sites)

    return build


for _factor in (1.5, 2.0):
    BACKBONES.register(f"wrn-18-{_factor}", _imagenet_builder(_factor))
