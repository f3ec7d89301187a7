"""Capacity instead of attention: one more of the network's own blocks at each bottleneck (BAM paper, Table 1c).

What the block is, the printed parameter counts tell: ResNet-50's own at 256, 512 and 1024 channels have 1.47 M (printed
+1.46), WRN-28-8's at 128 and 256 have 1.48 M (printed +1.48), ResNeXt-29 8x64d's at 256 and 512 have 2.79 M (printed
37.3 M in all, 37.31 here). None of these three kinds would fit the other networks' counts.
"""

from collections.abc import Callable

from torch import Tensor, nn

from bamgate.attention.scale import AttentionModule


class ExtraBlock(AttentionModule):
    """B, C, H, W -> the same shape. It has no gate, and its shortcut, if any, is the block's own.

    Args:
        own: makes a block of the network's kind that leaves the shape of the map as it is.
    """

    def __init__(self, own: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.block = own()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.block(x_BCHW)
        return y_BCHW
