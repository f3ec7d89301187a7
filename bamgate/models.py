"""From names to a network: gate -> attention factory -> backbone; and what a network costs."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.backbones import BACKBONES, AttentionFactory, Sites, Size
from bamgate.config import AttentionConfig
from bamgate.gates import Gate
from bamgate.seeding import drawing_from, stream_key


def attention_factory(config: AttentionConfig, gate: Gate) -> AttentionFactory | None:
    """channels -> attention module as configured; None for attention "none"."""
    assert config.combine is not None
    assert config.residual is not None
    shared: dict[str, Any] = {
        "gate": gate.build,
        "reduction": config.reduction,
        "residual": config.residual,
        "gate_init": config.gate_init,
    }
    if config.name == "bam":
        shared |= {"branches": config.branches, "layout": config.layout}
        shared |= {"combine": config.combine} if config.branches == "both" else {}
        shared |= {"dilation": config.dilation} if config.branches != "channel" else {}
        return partial(BAM, **shared)
    plain: dict[str, type[nn.Module]] = {"se": SqueezeExcitation, "cbam": CBAM}
    return partial(plain[config.name], **shared) if config.name in plain else None


def build_model(
    name: str,
    attention: AttentionConfig,
    gate: Gate,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    seed: int,
) -> nn.Module:
    """The network `name` with attention at its sites, its weights drawn from `seed`; global randomness is untouched.

    The backbone and each site draw from streams of their own: the same seed gives the same backbone weights with
    any attention or none, and the same attention weights with any gate.
    """
    factory = attention_factory(attention, gate)
    if factory is not None:
        factory = _seeded(factory, seed)
    sites = Sites(block=factory) if attention.placement == "block" else Sites(bottleneck=factory)
    with drawing_from(stream_key(seed, "init", 0)):
        return BACKBONES.get(name)(num_classes=num_classes, in_channels=in_channels, image_size=image_size, sites=sites)


def _seeded(factory: AttentionFactory, seed: int) -> AttentionFactory:
    built = 0

    def build(channels: int) -> nn.Module:
        nonlocal built
        built += 1
        with drawing_from(stream_key(seed, "init", built)):
            return factory(channels)

    return build


class Cost(NamedTuple):
    """Parameters, and multiply-accumulates of convolutions and linear layers for one image."""

    params: int
    macs: int


def cost(model: nn.Module, image_shape: tuple[int, int, int]) -> Cost:
    """Count a network for one image of shape C, H, W; the network is left as it was."""
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *image_shape, device=device))
    model.train(was_training)
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
