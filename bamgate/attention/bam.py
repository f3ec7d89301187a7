"""BAM, the Bottleneck Attention Module (Park, Woo, Lee, Kweon; BMVC 2018; arXiv 1807.06514).

Shapes: B images, C channels, H x W positions, m = C / r hidden channels.

    F' = F + F * M(F)                                            (Eq. 1)
    M(F) = g(Mc(F) + Ms(F))      both broadcast to B, C, H, W    (Eq. 2; the paper's g is sigmoid)
    Mc(F) = BN(MLP(AvgPool(F)))                                  (Eq. 3)
    Ms(F) = BN(f1x1(f3x3(f3x3(f1x1(F)))))   f3x3 dilated by d    (Eq. 4)

The hidden layers have batch norm and ReLU, which the formulas leave out and the released code has.
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
    """Mc of Eq. 3: B, C, H, W -> B, C, 1, 1."""

    def __init__(self, channels: int, *, reduction: int, final_norm: bool) -> None:
        super().__init__()
        hidden = hidden_width(channels, reduction)
        self.reduce = nn.Linear(channels, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Linear(hidden, channels)
        self.final_norm = nn.BatchNorm1d(channels) if final_norm else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        # The mean over the whole map. The released code pools windows of H x H, which misses part of a map that is not
        # square.
        pooled_BC = x_BCHW.mean(dim=(2, 3))
        hidden_Bm = torch.relu(self.norm(self.reduce(pooled_BC)))
        z_BC: Tensor = self.expand(hidden_Bm)
        if self.final_norm is not None:
            z_BC = self.final_norm(z_BC)
        return z_BC[:, :, None, None]

    def zero_init(self) -> None:
        # Only the last layer: its input is not 0, so its gradient is not either, and training can leave 0.
        zero_(self.final_norm or self.expand)


class SpatialBranch(nn.Module):
    """Ms of Eq. 4: B, C, H, W -> B, n, H, W; n = 1, or n = C if the final norm or the map itself has C channels."""

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
            # In the layout "counted" this expands one map to C channels, each with a scale and shift of its own. For
            # the others it is the identity. expand() copies nothing.
            z_BnHW = self.final_norm(z_BnHW.expand(-1, self.final_norm.num_features, -1, -1))
        return z_BnHW

    def zero_init(self) -> None:
        zero_(self.final_norm or self.final)


def _conv_norm_relu(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    # In place: the output of a batch norm is not needed for its own gradient, so a map of memory is saved.
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)


def _check(branches: str, combine: str, dilation: int, layout: str, gate_init: str) -> None:
    """UsageError for a choice that is unknown or would have no effect."""
    require("branches", branches, BRANCHES)
    require("combine", combine, COMBINE)
    require("layout", layout, LAYOUTS)
    require("gate_init", gate_init, GATE_INITS)
    if branches != "both" and combine != "sum":
        raise UsageError(f"combine={combine!r} would have no effect: branches={branches!r} leaves nothing to combine")
    if branches == "channel" and dilation != 4:
        raise UsageError(f"dilation={dilation} would have no effect: the channel branch has no convolution")


class BAM(AttentionModule):
    """Bottleneck attention: B, C, H, W -> the same shape, for any H and W. A batch of 1 works in evaluation mode only.

    Args:
        channels: C.
        gate: makes the gate's module z -> g(z).
        reduction: r of Eq. 3 and 4; the paper chose 16 (Table 1a).
        dilation: d of Eq. 4; the paper chose 4 (Table 1a).
        branches: "both", "channel", "spatial" (Table 1b), or "full": the spatial branch makes one map of C channels,
            the full attention whose cost the two branches avoid.
        combine: "sum" (Eq. 2), "product" or "max" (Table 1b).
        residual: F * (1 + g) as in Eq. 1, or F * g.
        layout: "paper": BN(C) and BN(1) at the ends (Eq. 3, 4). "counted": BN(C) at the end of the spatial branch, on
            the map expanded to C channels, which gives the paper's printed parameter counts. "released": no norm at the
            ends, as in the authors' code; convolutions start He-normal by fan-out, and biases at 0.
        gate_init: "zero" starts every logit at 0. With combine="product" only the spatial branch is zeroed:
            the gradient of each factor is the other one, so two zeros would never change.

    Raises:
        UsageError: a choice is unknown or would have no effect, or the gate is not elementwise.
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
        # Width of the map that the last convolution makes, and of the norm after it; 0 for no norm.
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
        """Initialise as the authors' ResNet initialises its BAMs.

        Convolutions are He-normal by fan-out, linear weights torch's default, norms 1 and all biases 0. The gate keeps
        the values it was built with.
        """
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
        """z before the gate, broadcastable to B, C, H, W: (B, C, 1, 1) for the channel branch alone."""
        if self.spatial is None:
            assert self.channel is not None
            return self.channel(x_BCHW)  # type: ignore[no-any-return]
        z_BnHW: Tensor = self.spatial(x_BCHW)
        return z_BnHW if self.channel is None else self.combine(self.channel(x_BCHW), z_BnHW)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return multiply(x_BCHW, self.scale(self.logits(x_BCHW)))
