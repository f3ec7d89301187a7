"""The CIFAR ResNets of He et al. 2016, Section 4.2: 6n + 2 layers in three stages of 16, 32 and 64 channels.

Shortcuts that change shape are projections (option B); the paper's own CIFAR runs pad with zeros (option A).
"""

from torch import nn

from bamgate.backbones.backbone import BACKBONES, Backbone, Sites
from bamgate.backbones.blocks import BasicBlock, StagedNet


def _builder(depth: int) -> Backbone:
    blocks = (depth - 2) // 6

    def build(*, num_classes: int, in_channels: int, sites: Sites) -> nn.Module:
        return StagedNet(
            BasicBlock,
            depths=(blocks,) * 3,
            widths=(16, 32, 64),
            num_classes=num_classes,
            in_channels=in_channels,
            sites=sites,
        )

    return build


for _depth in (8, 20, 32, 56, 110):
    BACKBONES.register(f"resnet{_depth}", _builder(_depth))
