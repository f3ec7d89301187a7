"""Residual blocks with a site for attention on the branch, before the addition."""

from torch import Tensor, nn

from bamgate.networks.backbone import Sites, init_he


def conv3x3(c_in: int, c_out: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, groups=groups, bias=False)


def conv1x1(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)


class ResidualBlock(nn.Module):
    """relu(attention(residual(x)) + shortcut(x)), ResNet v1 (He et al. 2016, CVPR).

    If the shape changes, the shortcut is a projection with batch norm (option B of the paper).
    """

    def __init__(self, residual: nn.Sequential, c_in: int, c_out: int, stride: int, sites: Sites) -> None:
        super().__init__()
        self.residual = residual
        same = c_in == c_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(conv1x1(c_in, c_out, stride), nn.BatchNorm2d(c_out))
        # Before the attention is added, which initialises itself.
        init_he(self)
        self.attention = sites.in_block(c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(self.residual(x)) + self.shortcut(x)
        return y.relu()


def basic_residual(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """The residual branch of a basic block: two 3x3 convolutions."""
    return nn.Sequential(
        conv3x3(c_in, c_out, stride),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
        conv3x3(c_out, c_out),
        nn.BatchNorm2d(c_out),
    )


def bottleneck_residual(
    c_in: int, width: int, c_out: int, stride: int, *, groups: int = 1, stride_in_3x3: bool = False
) -> nn.Sequential:
    """The residual branch of a bottleneck block: 1x1, 3x3, 1x1 convolutions.

    The stride is in the first 1x1, as the BAM paper's FLOP counts require, or in the 3x3.
    """
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    return nn.Sequential(
        conv1x1(c_in, width, first),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        conv3x3(width, width, second, groups),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        conv1x1(width, c_out),
        nn.BatchNorm2d(c_out),
    )
