"""From names to a network: gate -> attention factory -> backbone; and the cost of a network."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bamgate.attention import BAM, CBAM, ExtraBlock, SqueezeExcitation
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError, one_line
from bamgate.gates import Gate, named_gate
from bamgate.networks import AttentionFactory, Sites, Size, find_backbone
from bamgate.networks.insertion import (
    channels_at,
    check_site,
    find_stages,
    in_evaluation,
    insert_module,
    inserted,
    remove_module,
)
from bamgate.seeding import drawing_from, init_key

_Given = TypeVar("_Given")


def attention_factory(config: AttentionConfig, gate: Gate) -> AttentionFactory | None:
    """channels -> attention module, as configured; None for kinds without a gate."""
    # AttentionConfig has filled these in.
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
        # Left out if they would have no effect: the configuration has filled them in, and BAM would refuse them.
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
    """The network `name` with attention at its sites. Weights are drawn from `seed`; global generators are not touched.

    The backbone and each site draw from streams of their own: the same seed gives the same backbone weights with
    any attention or none, and the same attention weights with any gate.

    Raises:
        UsageError: there is no such network, or it has no place for this attention.
    """
    sites = _sites(attention, gate, seed)
    with drawing_from(init_key(seed, 0)):
        return find_backbone(name)(num_classes=num_classes, in_channels=in_channels, image_size=image_size, sites=sites)


def _sites(attention: AttentionConfig, gate: Gate, seed: int) -> Sites:
    if attention.name == "extra-block":
        return Sites(extra=_seeded(ExtraBlock, seed))
    factory = attention_factory(attention, gate)
    if factory is not None:
        factory = _seeded(factory, seed)
    return Sites(block=factory) if attention.placement == "block" else Sites(bottleneck=factory)


def _seeded(factory: Callable[[_Given], nn.Module], seed: int) -> Callable[[_Given], nn.Module]:
    # Sites are built in the network's order, so a site's number, and with it its stream, is always the same. 0 is the
    # backbone's.
    built = 0

    def build(given: _Given) -> nn.Module:
        nonlocal built
        built += 1
        with drawing_from(init_key(seed, built)):
            return factory(given)

    return build


def insert_attention(
    model: nn.Module,
    sites: str | Iterable[str],
    attention: AttentionConfig | AttentionFactory,
    example: Tensor | None = None,
    *,
    gate: Gate | None = None,
) -> dict[str, nn.Module]:
    """Insert attention into any network, in place; return the attention modules by site.

    The output F of a site becomes attention(F). The network's own state_dict keys stay as they are; those of the new
    modules begin with `<site>.attention.`. `remove_attention` undoes it.

    Args:
        model: any network with 2-d feature maps.
        sites: names of modules, each called once in a forward pass, whose output is B, C, H, W; or "stages": the last
            module before each halving of the map, at resolutions with at least two convolutions (one alone is a stem).
        attention: the attention at each site, or a function from channels to a module. `placement` has no meaning here.
        example: an input of the network; by default one image of 224 x 224. Afterwards any size works.
        gate: the gate that `attention` names. If it is None, it is looked up by that name, unless that would run code.

    Raises:
        UsageError: there is no such site, or no stages are found; the network stays as it was.
    """
    factory = _factory(attention, gate)
    if sites == "stages":
        sites = find_stages(model, example)
    names = [sites] if isinstance(sites, str) else list(sites)
    if not any(names):
        raise UsageError('no sites are named (allowed: names of modules, or "stages")')
    # Check and build everything first, so that an error leaves the network as it was.
    for site in names:
        check_site(model, site)
    channels = channels_at(model, names, example)
    like = next(model.parameters())
    parts = {site: factory(c).to(like.device, like.dtype).train(model.training) for site, c in channels.items()}
    for site, part in parts.items():
        insert_module(model, site, part)
    return parts


def _factory(attention: AttentionConfig | AttentionFactory, gate: Gate | None) -> AttentionFactory:
    if not isinstance(attention, AttentionConfig):
        if gate is not None:
            raise UsageError("gate would have no effect: the given attention makes its own gate; leave it out")
        if not callable(attention):
            raise UsageError(
                f"attention must be an AttentionConfig or a function from channels to a module, got {attention!r}"
            )
        return attention
    if attention.name == "bam" and attention.placement != "bottleneck":
        raise UsageError(f"placement={attention.placement!r} would have no effect: the sites are given; leave it out")
    if attention.name == "extra-block":
        raise UsageError("attention 'extra-block' needs a network of bamgate's own (allowed here: bam, se, cbam)")
    factory = attention_factory(attention, gate or named_gate(attention.gate))
    if factory is None:
        raise UsageError("attention 'none' inserts nothing (allowed: bam, se, cbam)")
    return factory


def remove_attention(model: nn.Module) -> list[str]:
    """Undo `insert_attention`; return the sites that had attention."""
    sites = list(inserted(model))
    for site in sites:
        remove_module(model, site)
    return sites


class Cost(NamedTuple):
    """Number of parameters, and multiply-accumulates of convolutions and linear layers for one image."""

    params: int
    macs: int


@contextlib.contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Switch off gradients: FlopCounterMode fails if the input of a module is a parameter that requires one."""
    wanting = [p for p in model.parameters() if p.requires_grad]
    for parameter in wanting:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)


def cost(model: nn.Module, image_shape: tuple[int, int, int]) -> Cost:
    """Count parameters and operations for one image of shape C, H, W; the network stays as it was.

    Raises:
        UsageError: the network cannot take such an image.
    """
    like = next(model.parameters())
    image = torch.zeros(1, *image_shape, device=like.device, dtype=like.dtype)
    try:
        with in_evaluation(model), _frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
    except Exception as error:  # a network may raise anything
        size = "x".join(map(str, (*image_shape[1:], image_shape[0])))
        raise UsageError(
            f"the network cannot take {size} images ({one_line(error)}); larger images may work"
        ) from error
    # A multiply-accumulate counts as two operations there and as one here, as in the papers.
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
