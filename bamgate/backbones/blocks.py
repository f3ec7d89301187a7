"""Residual blocks of ResNet v1 (He et al. 2016, Fig. 5), with a site for attention before the addition."""

from torch import Tensor, nn

from bamgate.backbones.backbone import Sites, init_he


def conv3x3(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)


def conv1x1(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)


class ResidualBlock(nn.Module):
    """relu(attention(residual(x)) + shortcut(x)); a projection where shape changes (option B of the paper)."""

    def __init__(self, residual: nn.Sequential, c_in: int, c_out: int, stride: int, sites: Sites) -> None:
        super().__init__()
        self.residual = residual
        same = c_in == c_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(conv1x1(c_in, c_out, stride), nn.BatchNorm2d(c_out))
        init_he(self)
        self.attention = sites.in_block(c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(self.residual(x)) + self.shortcut(x)
        return y.relu()


class BasicBlock(ResidualBlock):
    """3x3, 3x3."""

    expansion = 1

    def __init__(self, c_in: int, width: int, *, stride: int, sites: Sites) -> None:
        residual = nn.Sequential(
            conv3x3(c_in, width, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv3x3(width, width),
            nn.BatchNorm2d(width),
        )
        super().__init__(residual, c_in, width, stride, sites)


class Bottleneck(ResidualBlock):
    """1x1, 3x3, 1x1. v1 puts the stride in the first 1x1, as the BAM paper's FLOP counts have it; v1.5 in the 3x3."""

    expansion = 4
    stride_in_3x3 = False

    def __init__(self, c_in: int, width: int, *, stride: int, sites: Sites) -> None:
        first, second = (1, stride) if self.stride_in_3x3 else (stride, 1)
        c_out = width * self.expansion
        residual = nn.Sequential(
            conv1x1(c_in, width, first),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv3x3(width, width, second),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv1x1(width, c_out),
            nn.BatchNorm2d(c_out),
        )
        super().__init__(residual, c_in, c_out, stride, sites)


class BottleneckV15(Bottleneck):
    """1x1, 3x3 with the stride, 1x1: torchvision's ResNet."""

    stride_in_3x3 = True


class StagedNet(nn.Module):
    """A stem, stages of blocks with attention between them, global average pooling and a linear classifier.

    B, in_channels, H, W -> B, num_classes. Every stage but the first halves the map. The attention after
    stage i is `sites.layer<i>`; there is none after the last stage, which no down-sampling follows.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        *,
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        num_classes: int,
        in_channels: int,
        sites: Sites,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv3x3(in_channels, widths[0]), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        init_he(self.stem)
        self.stages, self.sites = nn.ModuleDict(), nn.ModuleDict()
        channels = widths[0]
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
            blocks = []
            for j in range(depth):
                blocks.append(block(channels, width, stride=2 if i > 1 and j == 0 else 1, sites=sites))
                channels = width * block.expansion
            self.stages[f"layer{i}"] = nn.Sequential(*blocks)
            if i < len(depths):
                self.sites[f"layer{i}"] = sites.at_bottleneck(channels)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.sites:
                x = self.sites[name](x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits
