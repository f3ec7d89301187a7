"""ResNet-18/34/50/101 (He et al. 2016, Table 1) for small images: a 3x3 stem and no max pooling.

`resnet50` and `resnet101` are v1 (stride in the first 1x1), the networks of the BAM paper's tables;
`-v1.5` moves the stride into the 3x3, as the released code and torchvision do.
"""

from torch import nn

from bamgate.backbones.backbone import BACKBONES, Backbone, Sites
from bamgate.backbones.blocks import BasicBlock, Bottleneck, BottleneckV15, StagedNet


def _builder(block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...]) -> Backbone:
    def build(*, num_classes: int, in_channels: int, sites: Sites) -> nn.Module:
        return StagedNet(
            block,
            depths=depths,
            widths=(64, 128, 256, 512),
            num_classes=num_classes,
            in_channels=in_channels,
            sites=sites,
        )

    return build


BACKBONES.register("resnet18", _builder(BasicBlock, (2, 2, 2, 2)))
BACKBONES.register("resnet34", _builder(BasicBlock, (3, 4, 6, 3)))
BACKBONES.register("resnet50", _builder(Bottleneck, (3, 4, 6, 3)))
BACKBONES.register("resnet101", _builder(Bottleneck, (3, 4, 23, 3)))
BACKBONES.register("resnet50-v1.5", _builder(BottleneckV15, (3, 4, 6, 3)))
BACKBONES.register("resnet101-v1.5", _builder(BottleneckV15, (3, 4, 23, 3)))
