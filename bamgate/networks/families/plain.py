"""Networks without batch norm: SqueezeNet 1.1 (Iandola et al. 2016) and VGG-16 (Simonyan, Zisserman 2015).

torchvision's own networks, so its weights load. Without batch norm nothing absorbs a constant factor of the scale, so
the centre of the gate should matter here. BAM is placed before each pooling except one at the very end.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.errors import UsageError
from bamgate.networks.backbone import BACKBONES, Sites, Size, insert_all
from bamgate.networks.classifier import exact_classifier


def squeezenet(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
    """Three sites, at 64, 128 and 256 channels, as the BAM paper's parameter count requires."""
    from torchvision import models

    net: Any = exact_classifier(models.squeezenet1_1(weights=None, num_classes=num_classes))
    _take_channels(net, in_channels)
    places = {"features.1": 64, "features.4": 128, "features.7": 256}
    insert_all(net, sites.bottleneck, places)
    insert_all(net, sites.extra, {site: partial(_fire, net.features[3], c) for site, c in places.items()})
    fires = {name: m.expand3x3.out_channels * 2 for name, m in net.named_modules() if hasattr(m, "expand3x3")}
    insert_all(net, sites.block, fires)
    return net  # type: ignore[no-any-return]


def vgg16(*, num_classes: int, in_channels: int, image_size: Size, sites: Sites) -> nn.Module:
    """Four sites, at 64, 128, 256 and 512 channels; the last pooling is followed by the classifier alone."""
    from torchvision import models

    if sites.block is not None:
        raise UsageError("vgg16 has no blocks, so placement 'block' is not possible (allowed: bottleneck)")
    net: Any = exact_classifier(models.vgg16(weights=None, num_classes=num_classes))
    net.avgpool = SevenBySeven()
    _take_channels(net, in_channels)
    places = {"features.3": 64, "features.8": 128, "features.15": 256, "features.22": 512}
    insert_all(net, sites.bottleneck, places)
    insert_all(net, sites.extra, {site: partial(_conv_relu, c) for site, c in places.items()})
    return net  # type: ignore[no-any-return]


class SevenBySeven(nn.Module):
    """B, C, H, W -> B, C, 7, 7: torchvision's adaptive average pooling, made deterministic where that is possible.

    On a GPU the gradient of torch's pooling sums in no fixed order. So pooling is skipped if each mean is of one value:
    a map of 7x7 (images of 224 to 255 pixels per side) stays, and on a GPU a map of 1x1 (32 to 63 pixels) is repeated.
    At other sizes the pooling is torch's, and the gradients on a GPU may differ in the last bits from run to run. The
    CPU keeps torch's pooling for 1x1 too, as its order of sums is fixed and runs on record used it.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        shape = tuple(x_BCHW.shape[2:])
        if shape == (7, 7):
            return x_BCHW
        if shape == (1, 1) and x_BCHW.is_cuda:
            return x_BCHW.expand(-1, -1, 7, 7)
        return F.adaptive_avg_pool2d(x_BCHW, (7, 7))


def _fire(example: Any, channels: int) -> nn.Module:
    """A Fire module like those of the network at 128 and 256 channels: squeeze to C / 8, expand to C / 2 twice."""
    # Initialised as torchvision initialises the network's own.
    fire: Any = type(example)(channels, channels // 8, channels // 2, channels // 2)
    for conv in (fire.squeeze, fire.expand1x1, fire.expand3x3):
        nn.init.kaiming_uniform_(conv.weight)
        nn.init.zeros_(conv.bias)
    return fire  # type: ignore[no-any-return]


def _conv_relu(channels: int) -> nn.Module:
    conv: Any = nn.Conv2d(channels, channels, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.ReLU(inplace=True))


def _take_channels(net: Any, in_channels: int) -> None:
    first = net.features[0]
    if in_channels != first.in_channels:
        net.features[0] = nn.Conv2d(
            in_channels, first.out_channels, first.kernel_size, stride=first.stride, padding=first.padding
        )
        nn.init.kaiming_normal_(net.features[0].weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(net.features[0].bias)


BACKBONES.register("squeezenet1.1", squeezenet)
BACKBONES.register("vgg16", vgg16)
