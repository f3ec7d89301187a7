"""DenseNet-100-BC, k = 12 (Huang, Liu, van der Maaten, Weinberger; CVPR 2017).

BAM is placed before and after each transition (BAM paper, caption of Table 3): at 216, 108, 300 and 150 channels.
"""

import torch
from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.networks.backbone import BACKBONES, Sites, Size, init_he
from bamgate.networks.blocks import conv1x1, conv3x3
from bamgate.networks.staged import Stage, StagedNet, norm_relu

GROWTH = 12
LAYERS = 16


class DenseLayer(nn.Module):
    """x -> [x; k new channels], by a 1x1 convolution to 4 k channels and a 3x3 convolution to k."""

    def __init__(self, c_in: int, sites: Sites) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *norm_relu(c_in), conv1x1(c_in, 4 * GROWTH), *norm_relu(4 * GROWTH), conv3x3(4 * GROWTH, GROWTH)
        )
        init_he(self)
        self.attention = sites.in_block(GROWTH)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.attention(self.residual(x))], dim=1)


def _transition(c_in: int) -> nn.Sequential:
    """Halves the channels, the height and the width."""
    transition = nn.Sequential(*norm_relu(c_in), conv1x1(c_in, c_in // 2), nn.AvgPool2d(2))
    init_he(transition)
    return transition


def densenet100(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
    """Three dense blocks of 16 layers, and two transitions."""
    if sites.extra is not None:
        raise UsageError("densenet100-bc has no extra block: each of its own adds channels")
    channels, stages = 2 * GROWTH, []
    stem = conv3x3(in_channels, channels)
    for i in (1, 2, 3):
        layers = [DenseLayer(channels + j * GROWTH, sites) for j in range(LAYERS)]
        channels += LAYERS * GROWTH
        stages.append(Stage(f"dense{i}", nn.Sequential(*layers), channels))
        if i < 3:
            stages.append(Stage(f"transition{i}", _transition(channels), channels // 2))
            channels //= 2
    return StagedNet(stem, stages, num_classes=num_classes, sites=sites, tail=norm_relu(channels))


BACKBONES.register("densenet100-bc", densenet100)
