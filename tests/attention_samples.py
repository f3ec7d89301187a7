"""Attention modules with weights away from their start."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import BAM, CBAM, AttentionModule, SqueezeExcitation

BRANCHES = ("both", "channel", "spatial", "full")


COMBINES = ("sum", "product", "max")


LAYOUTS = ("paper", "counted", "released")


# (branches, combine): several ways of combining only where there are two branches.
WAYS = [("both", combine) for combine in COMBINES] + [(branches, "sum") for branches in BRANCHES[1:]]


MODULES: dict[str, Callable[..., AttentionModule]] = {"bam": BAM, "se": SqueezeExcitation, "cbam": CBAM}


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with every weight, shift and running statistic away from its start of 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*module.double().parameters(), *module.buffers()]:
            if tensor.is_floating_point() and tensor.ndim > 0:
                tensor += 0.3 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).abs()
    return module


def image(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm(z: Tensor, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
    """Ioffe and Szegedy 2015, Algorithm 1: over batch and positions in training, stored figures in evaluation."""
    view = (1, -1, *[1] * (z.ndim - 2))
    if layer.training:
        axes = [axis for axis in range(z.ndim) if axis != 1]
        mean, var = z.mean(axes), z.var(axes, correction=0)
    else:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, var = layer.running_mean, layer.running_var
    scaled = (z - mean.view(view)) / (var.view(view) + 1e-5).sqrt()
    return scaled * layer.weight.view(view) + layer.bias.view(view)


def bam_logits(module: Any, x: Tensor, branches: str, combine: str, layout: str, dilation: int) -> Tensor:
    """z of Eq. 2 to 4 from the module's own weights."""
    parts = []
    if branches in ("both", "channel"):
        branch = module.channel
        pooled = x.sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])
        hidden = F.relu(norm(pooled @ branch.reduce.weight.T + branch.reduce.bias, branch.norm))
        z = hidden @ branch.expand.weight.T + branch.expand.bias
        z = z if layout == "released" else norm(z, branch.final_norm)
        parts.append(z.view(*z.shape, 1, 1))
    if branches != "channel":
        branch = module.spatial
        conv0, norm0, _, conv1, norm1, _, conv2, norm2, _ = branch.hidden
        z = F.relu(norm(F.conv2d(x, conv0.weight, conv0.bias), norm0))
        z = F.relu(norm(F.conv2d(z, conv1.weight, conv1.bias, padding=dilation, dilation=dilation), norm1))
        z = F.relu(norm(F.conv2d(z, conv2.weight, conv2.bias, padding=dilation, dilation=dilation), norm2))
        z = F.conv2d(z, branch.final.weight, branch.final.bias)
        if layout == "counted":
            z = z.repeat(1, x.shape[1] // z.shape[1], 1, 1)
        parts.append(z if layout == "released" else norm(z, branch.final_norm))
    if len(parts) == 1:
        return parts[0]
    channel, spatial = (part.expand(x.shape) for part in parts)
    return {
        "sum": channel + spatial,
        "product": channel * spatial,
        "max": torch.where(channel > spatial, channel, spatial),
    }[combine]


def mlp(module: Any, pooled: Tensor) -> Tensor:
    hidden = F.relu(pooled @ module.reduce.weight.T + module.reduce.bias)
    z: Tensor = hidden @ module.expand.weight.T + module.expand.bias
    return z.view(*z.shape, 1, 1)


def se_by_hand(module: Any, x: Tensor, g: Callable[[Tensor], Tensor], plus: int) -> Tensor:
    return x * (plus + g(mlp(module.mlp, x.flatten(2).mean(2))))


def cbam_by_hand(module: Any, x: Tensor, g: Callable[[Tensor], Tensor], plus: int) -> Tensor:
    shared = module.channel.mlp
    z = mlp(shared, x.flatten(2).mean(2)) + mlp(shared, x.flatten(2).max(2).values)
    x = x * (plus + g(z))
    pooled = torch.stack([x.sum(1) / x.shape[1], x.max(1).values], dim=1)
    return x * (plus + g(F.conv2d(pooled, module.spatial.conv.weight, padding=3)))
