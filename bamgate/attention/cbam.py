"""CBAM, the Convolutional Block Attention Module (Woo, Park, Lee, Kweon; ECCV 2018; arXiv 1807.06521).

    F'  = F  * g(MLP(AvgPool(F)) + MLP(MaxPool(F)))          (Eq. 1, 2; the MLP is shared)
    F'' = F' * g(f7x7([AvgPool_C(F'); MaxPool_C(F')]))       (Eq. 1, 3)

As in the formulas, no batch norm follows f7x7; the authors' code adds one.
"""

import torch
from torch import Tensor, nn

from bamgate.attention.scale import GATE_INITS, AttentionModule, GateFactory, Scale, multiply, require, zero_
from bamgate.attention.squeeze import ChannelMLP


class ChannelAttention(nn.Module):
    """Eq. 2: B, C, H, W -> the same shape, scaled by channel."""

    def __init__(self, channels: int, *, gate: GateFactory, reduction: int, residual: bool) -> None:
        super().__init__()
        self.mlp = ChannelMLP(channels, reduction=reduction)
        self.scale = Scale(gate, residual=residual)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        z_BC = self.mlp(x_BCHW.mean(dim=(2, 3))) + self.mlp(x_BCHW.amax(dim=(2, 3)))
        return multiply(x_BCHW, self.scale(z_BC[:, :, None, None]))


class SpatialAttention(nn.Module):
    """Eq. 3: B, C, H, W -> the same shape, scaled by position."""

    def __init__(self, *, gate: GateFactory, residual: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.scale = Scale(gate, residual=residual)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        pooled_B2HW = torch.cat([x_BCHW.mean(dim=1, keepdim=True), x_BCHW.amax(dim=1, keepdim=True)], dim=1)
        return multiply(x_BCHW, self.scale(self.conv(pooled_B2HW)))


class CBAM(AttentionModule):
    """Channel attention, then spatial attention, each with a gate of its own: B, C, H, W -> the same shape.

    Args:
        channels: C.
        gate: makes the gate's module z -> g(z); called twice.
        reduction: r of the shared MLP; the paper chose 16.
        residual: F * (1 + g) at both gates instead of the paper's F * g.
        gate_init: "zero" starts every logit at 0.
    """

    def __init__(
        self,
        channels: int,
        *,
        gate: GateFactory,
        reduction: int = 16,
        residual: bool = False,
        gate_init: str = "default",
    ) -> None:
        super().__init__()
        require("gate_init", gate_init, GATE_INITS)
        self.channel = ChannelAttention(channels, gate=gate, reduction=reduction, residual=residual)
        self.spatial = SpatialAttention(gate=gate, residual=residual)
        if gate_init == "zero":
            zero_(self.channel.mlp.expand)
            zero_(self.spatial.conv)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.channel(x_BCHW)
        return self.spatial(x_BCHW)  # type: ignore[no-any-return]
