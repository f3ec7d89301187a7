"""ResNet-18/34/50/101 (He et al. 2016, Table 1) and ResNeXt-50 32x4d (Xie et al. 2017, Table 1).

torchvision's own networks, so its weights load. Plain names are v1 (stride in the first 1x1), the networks of the
BAM paper's tables; `-v1.5` has the stride in the 3x3, as in torchvision and the authors' released code. Images of at
most 64 pixels per side get a 3x3 stem without max pooling, as the paper's CIFAR-100 counts require.
"""

from functools import partial
from typing import Any

from torch import nn

from bamgate.networks.backbone import BACKBONES, SMALL, Backbone, Sites, Size, init_he, insert_all
from bamgate.networks.blocks import conv3x3
from bamgate.networks.classifier import exact_classifier


def _builder(torchvision_name: str, *, stride_in_1x1: bool = False) -> Backbone:
    def build(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
        from torchvision import models

        net: Any = exact_classifier(models.get_model(torchvision_name, weights=None, num_classes=num_classes))
        _fit_stem(net, in_channels, image_size)
        if stride_in_1x1:
            _move_strides(net)
        # The last norm of a block: attention placed after it is on the branch, before the addition.
        last = "bn3" if hasattr(net.layer1[0], "conv3") else "bn2"
        widths = {f"layer{i}": _width(net, i, last) for i in (1, 2, 3, 4)}
        insert_all(net, sites.bottleneck, {name: c for name, c in widths.items() if name != "layer4"})
        insert_all(net, sites.extra, {name: partial(_own_block, net, name) for name in ("layer1", "layer2", "layer3")})
        blocks = {f"{name}.{j}.{last}": c for name, c in widths.items() for j in range(len(getattr(net, name)))}
        insert_all(net, sites.block, blocks)
        return net  # type: ignore[no-any-return]

    return build


def _fit_stem(net: Any, in_channels: int, image_size: Size) -> None:
    if max(image_size) <= SMALL:
        net.conv1, net.maxpool = conv3x3(in_channels, 64), nn.Identity()
        init_he(net.conv1)
    elif in_channels != net.conv1.in_channels:
        net.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        init_he(net.conv1)


def _move_strides(net: Any) -> None:
    """From v1.5 to v1: move the stride of each stage from the 3x3 to the first 1x1."""
    for layer in (net.layer2, net.layer3, net.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = layer[0].conv2.stride, layer[0].conv1.stride


def _own_block(net: Any, stage: str) -> nn.Module:
    """One more block like the last of the stage, which has no stride, so that v1 and v1.5 are the same."""
    last = getattr(net, stage)[-1]
    c = last.conv1.in_channels
    block: nn.Module = type(last)(c, c // last.expansion, groups=net.groups, base_width=net.base_width)
    init_he(block)
    return block


def _width(net: Any, stage: int, last_norm: str) -> int:
    channels: int = getattr(getattr(net, f"layer{stage}")[0], last_norm).num_features
    return channels


BACKBONES.register("resnet18", _builder("resnet18"))
BACKBONES.register("resnet34", _builder("resnet34"))
BACKBONES.register("resnet50", _builder("resnet50", stride_in_1x1=True))
BACKBONES.register("resnet101", _builder("resnet101", stride_in_1x1=True))
BACKBONES.register("resnet50-v1.5", _builder("resnet50"))
BACKBONES.register("resnet101-v1.5", _builder("resnet101"))
BACKBONES.register("resnext50-32x4d", _builder("resnext50_32x4d", stride_in_1x1=True))
BACKBONES.register("resnext50-32x4d-v1.5", _builder("resnext50_32x4d"))
