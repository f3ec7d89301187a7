"""BAM, the Bottleneck Attention Module (Park, Woo, Lee, Kweon; BMVC 2018; arXiv 1807.06514).

Shapes: B images, C channels, H x W positions, m = C / r hidden channels.

    F' = F + F * M(F)                                            (Eq. 1)
    M(F) = g(Mc(F) + Ms(F))      both broadcast to B, C, H, W    (Eq. 2; the paper's g is sigmoid)
    Mc(F) = BN(MLP(AvgPool(F)))                                  (Eq. 3)
    Ms(F) = BN(f1x1(f3x3(f3x3(f1x1(F)))))   f3x3 dilated by d    (Eq. 4)

The hidden layers carry batch norm and ReLU, which the formulas leave out and the released code has.
"""

from collections.abc import Callable

import torch
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
from bamgate.errors import UsageError

COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": torch.add,
    "product": torch.mul,
    "max": torch.maximum,
}


BRANCHES = ("both", "channel", "spatial", "full")
LAYOUTS = ("paper", "counted", "released")


class ChannelBranch(nn.Module):
    """Mc: B, C, H, W -> B, C, 1, 1."""

    def __init__(self, channels: int, *, reduction: int, final_norm: bool) -> None:
        super().__init__()
        hidden = hidden_width(channels, reduction)
        self.reduce = nn.Linear(channels, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Linear(hidden, channels)
        self.final_norm = nn.BatchNorm1d(channels) if final_norm else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        pooled_BC = x_BCHW.mean(dim=(2, 3))
        hidden_Bm = torch.relu(self.norm(self.reduce(pooled_BC)))
        z_BC: Tensor = self.expand(hidden_Bm)
        if self.final_norm is not None:
            z_BC = self.final_norm(z_BC)
        return z_BC[:, :, None, None]

    def zero_init(self) -> None:
        zero_(self.final_norm or self.expand)


class SpatialBranch(nn.Module):
    """Ms: B, C, H, W -> B, n, H, W with n = 1; n = C where the final norm or the map itself is C wide."""

    def __init__(self, channels: int, *, reduction: int, dilation: int, width: int, norm_width: int) -> None:
        super().__init__()
        hidden = hidden_width(channels, reduction)
        self.hidden = nn.Sequential(
            *_conv_norm_relu(nn.Conv2d(channels, hidden, 1)),
            *_conv_norm_relu(nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation)),
            *_conv_norm_relu(nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation)),
        )
        self.final = nn.Conv2d(hidden, width, 1)
        self.final_norm = nn.BatchNorm2d(norm_width) if norm_width else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        z_BnHW: Tensor = self.final(self.hidden(x_BCHW))
        if self.final_norm is not None:
            # layout "counted": one map, normalised with C scales and shifts of its own.
            z_BnHW = self.final_norm(z_BnHW.expand(-1, self.final_norm.num_features, -1, -1))
        return z_BnHW

    def zero_init(self) -> None:
        zero_(self.final_norm or self.final)


def _conv_norm_relu(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)


def _check(branches: str, combine: str, dilation: int, layout: str, gate_init: str) -> None:
    """UsageError for an unknown choice, and for one that would have no effect."""
    require("branches", branches, BRANCHES)
    require("combine", combine, COMBINE)
    require("layout", layout, LAYOUTS)
    require("gate_init", gate_init, GATE_INITS)
    if branches != "both" and combine != "sum":
        raise UsageError(f"combine={combine!r} would have no effect: branches={branches!r} leaves nothing to combine")
    if branches == "channel" and dilation != 4:
        raise UsageError(f"dilation={dilation} would have no effect: the channel branch has no convolution")


class BAM(AttentionModule):
    """Bottleneck attention: B, C, H, W -> the same shape; any map size; batch 1 in evaluation.

    Args:
        channels: C.
        gate: makes the gate's module z -> g(z).
        reduction: r of Eq. 3 and 4; the paper chose 16 (Table 1a).
        dilation: d of Eq. 4; the paper chose 4 (Table 1a).
        branches: "both", "channel", "spatial" (Table 1b), or "full": one C-wide map from the spatial path,
            the undivided attention whose cost the two branches avoid.
        combine: "sum" (Eq. 2), "product" or "max" (Table 1b).
        residual: F * (1 + g) of Eq. 1, or F * g.
        layout: "paper": BN(C) and BN(1) at the ends (Eq. 3, 4). "counted": the spatial end is BN(C) on the expanded
            map, which yields the paper's printed parameter counts. "released": no norm at the ends, as the
            authors' code, whose convolutions also start He-normal by fan-out and whose biases start at 0.
        gate_init: "zero" starts every logit at 0. With combine="product" only the spatial branch is zeroed:
            two factors of 0 would have no gradient.
    """

    def __init__(
        self,
        channels: int,
        *,
        gate: GateFactory,
        reduction: int = 16,
        dilation: int = 4,
        branches: str = "both",
        combine: str = "sum",
        residual: bool = True,
        layout: str = "paper",
        gate_init: str = "default",
    ) -> None:
        super().__init__()
        _check(branches, combine, dilation, layout, gate_init)
        final_norm = layout != "released"
        self.channel = (
            ChannelBranch(channels, reduction=reduction, final_norm=final_norm)
            if branches in ("both", "channel")
            else None
        )
        width = channels if branches == "full" else 1
        norm_width = (channels if layout == "counted" else width) if final_norm else 0
        self.spatial = (
            SpatialBranch(channels, reduction=reduction, dilation=dilation, width=width, norm_width=norm_width)
            if branches != "channel"
            else None
        )
        self.combine = COMBINE[combine]
        self.scale = Scale(gate, residual=residual)
        if layout == "released":
            self._init_as_released()
        if gate_init == "zero":
            self._zero_init(combine)

    def _init_as_released(self) -> None:
        """As the authors' ResNet starts its BAMs: convolutions He-normal by fan-out, linear weights as torch has them,
        norms at 1, every bias at 0. The gate starts as it was made."""
        for branch in (self.channel, self.spatial):
            for module in branch.modules() if branch is not None else ():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if isinstance(module, nn.Conv2d | nn.Linear):
                    assert module.bias is not None
                    nn.init.zeros_(module.bias)

    def _zero_init(self, combine: str) -> None:
        if self.spatial is not None:
            self.spatial.zero_init()
        if self.channel is not None and (self.spatial is None or combine != "product"):
            self.channel.zero_init()

    def logits(self, x_BCHW: Tensor) -> Tensor:
        """z, broadcastable to B, C, H, W: (B, C, 1, 1) for the channel branch alone."""
        if self.spatial is None:
            assert self.channel is not None
            return self.channel(x_BCHW)  # type: ignore[no-any-return]
        z_BnHW: Tensor = self.spatial(x_BCHW)
        return z_BnHW if self.channel is None else self.combine(self.channel(x_BCHW), z_BnHW)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return multiply(x_BCHW, self.scale(self.logits(x_BCHW)))
