"""Networks of torchvision and timm by name, as `torchvision:resnet50` or `timm:regnety_004`; their sites are found."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from bamgate.errors import UsageError, nearest, unknown
from bamgate.networks.backbone import BACKBONES, SMALL, Backbone, Sites, Size, insert_all
from bamgate.networks.classifier import exact_classifier
from bamgate.networks.insertion import channels_at, find_stages
from bamgate.networks.insertion.dry_run import SIZE

# In training these return a tuple with auxiliary logits, unless they are built without the auxiliary classifiers.
_WITHOUT_AUXILIARY = {"googlenet", "inception_v3"}


def find_backbone(name: str) -> Backbone:
    """A registered network, or one of another library; UsageError with the nearest name if there is none."""
    library, colon, wanted = name.partition(":")
    if not colon:
        if name in BACKBONES:
            return BACKBONES.get(name)
        raise unknown("model", name, [*BACKBONES.names(), *(f"{library}:NAME" for library in LIBRARIES)])
    if library not in LIBRARIES:
        raise unknown("library of networks", library, LIBRARIES)
    return LIBRARIES[library](wanted)


def _torchvision(name: str) -> Backbone:
    from torchvision import models

    _require("torchvision", name, models.list_models(module=models))

    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        if in_channels != 3:
            raise UsageError(f"torchvision:{name} takes images with 3 channels, the data set has {in_channels}")
        extra: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in _WITHOUT_AUXILIARY else {}
        net = models.get_model(name, weights=None, num_classes=num_classes, **extra)
        return _with_attention(net, f"torchvision:{name}", sites, _example(in_channels, image_size))

    return build


def _timm(name: str) -> Backbone:
    try:
        import timm
    except ImportError:
        raise UsageError(f"model 'timm:{name}' needs timm: pip install timm") from None
    _require("timm", name, timm.list_models())

    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        net = timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=in_channels)
        return _with_attention(net, f"timm:{name}", sites, _example(in_channels, image_size))

    return build


LIBRARIES: dict[str, Callable[[str], Backbone]] = {"torchvision": _torchvision, "timm": _timm}


def _require(library: str, name: str, names: Collection[str]) -> None:
    # timm writes "resnet50.a1_in1k" for an architecture with one set of its trained weights.
    plain, dot, weights = name.partition(".")
    if dot and plain in names and name not in names:
        raise UsageError(
            f"{library} has no model {name!r}; did you mean {plain!r}? ({weights!r} names trained weights; "
            "here networks start untrained)"
        )
    if name not in names:
        raise UsageError(
            f"{library} has no model {name!r}{nearest(name, names)} (its list_models() lists all {len(names)})"
        )


def _example(in_channels: int, image_size: Size) -> Tensor:
    """An image for finding the sites. It is not small: in a network for large images a small one would leave no map."""
    size = image_size if max(image_size) > SMALL else (SIZE, SIZE)
    return torch.zeros(1, in_channels, *size)


def _with_attention(net: nn.Module, name: str, sites: Sites, example: Tensor) -> nn.Module:
    exact_classifier(net)
    if sites.block is not None:
        raise UsageError(f"{name}: bamgate does not know its blocks (allowed placement: bottleneck)")
    if sites.extra is not None:
        raise UsageError(f"{name}: bamgate does not know its blocks, so none can be added (allowed: bam, se, cbam)")
    if sites.bottleneck is not None:
        insert_all(net, sites.bottleneck, channels_at(net, find_stages(net, example), example))
    return net
