"""Squeeze-and-Excitation (Hu, Shen, Sun; CVPR 2018; arXiv 1709.01507) with a pluggable gate.

z = W2 relu(W1 AvgPool(F))     (Eq. 3; with biases, which the BAM paper's counts of SE networks, Table 5, include)
F' = F * g(z)                  (Eq. 4; the paper's g is sigmoid)
"""

from torch import Tensor, nn

from bamgate.attention.scale import (
    GATE_INITS,
    AttentionModule,
    GateFactory,
    Scale,
    hidden_width,
    multiply,
    require,
    zero_,
)


class ChannelMLP(nn.Module):
    """C -> C / r -> C with a ReLU between: B, C -> B, C."""

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        # Linear layers on B, C: the same function and number of parameters as 1x1 convolutions on B, C, 1, 1.
        hidden = hidden_width(channels, reduction)
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, pooled_BC: Tensor) -> Tensor:
        z_BC: Tensor = self.expand(self.reduce(pooled_BC).relu())
        return z_BC


class SqueezeExcitation(AttentionModule):
    """B, C, H, W -> the same shape.

    Args:
        channels: C.
        gate: makes the gate's module z -> g(z).
        reduction: r; the paper chose 16.
        residual: F * (1 + g) instead of the paper's F * g.
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
        self.mlp = ChannelMLP(channels, reduction=reduction)
        self.scale = Scale(gate, residual=residual)
        if gate_init == "zero":
            zero_(self.mlp.expand)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        z_BC = self.mlp(x_BCHW.mean(dim=(2, 3)))
        return multiply(x_BCHW, self.scale(z_BC[:, :, None, None]))
