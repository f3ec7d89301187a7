"""Capacity instead of attention: one more of the network's own blocks at each bottleneck (BAM paper, Table 1c).

The paper does not say what the block is; its parameter counts do. ResNet-50's own blocks at 256, 512 and 1024 channels
have 1.47 M (printed: +1.46), WRN-28-8's at 128 and 256 have 1.48 M (printed: +1.48), ResNeXt-29 8x64d's at 256 and 512
have 2.79 M (printed: 37.3 M in total; here 37.31). No one kind of block fits the counts of all three networks.
"""

from collections.abc import Callable

from torch import Tensor, nn

from bamgate.attention.scale import AttentionModule


class ExtraBlock(AttentionModule):
    """B, C, H, W -> the same shape. There is no gate; a shortcut, if any, is part of the block.

    Args:
        own: makes a block of the network's kind that keeps the shape of the map.
    """

    def __init__(self, own: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.block = own()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.block(x_BCHW)
        return y_BCHW
