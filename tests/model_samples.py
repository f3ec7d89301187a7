"""Networks with each attention."""

from typing import Any

import torch
from torch import Tensor, nn

from bamgate.config import AttentionConfig
from bamgate.gates import GATES
from bamgate.networks.build import build_model

PLAIN = AttentionConfig(name="none", gate="none")


BAM_PAPER, BAM_COUNTED, BAM_RELEASED = (AttentionConfig(layout=layout) for layout in ("paper", "counted", "released"))


SE, CBAM_CONFIG = AttentionConfig(name="se"), AttentionConfig(name="cbam")
EXTRA_BLOCK = AttentionConfig(name="extra-block", gate="none")


ATTENTIONS = {
    "none": PLAIN,
    "bam": BAM_PAPER,
    "bam-block": AttentionConfig(placement="block"),
    "se": SE,
    "cbam": CBAM_CONFIG,
    "extra-block": EXTRA_BLOCK,
}


# torchvision's networks for ImageNet, with a small stem for small images.
RESNETS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50-v1.5": "resnet50",
    "resnet101-v1.5": "resnet101",
    "resnext50-32x4d-v1.5": "resnext50_32x4d",
}
V1 = {"resnet50": "resnet50", "resnet101": "resnet101", "resnext50-32x4d": "resnext50_32x4d"}
WITHOUT_NORMS = {"squeezenet1.1": "squeezenet1_1", "vgg16": "vgg16"}
OF_TORCHVISION = RESNETS | V1 | WITHOUT_NORMS


NAMES = [*OF_TORCHVISION, "wrn-18-1.5", "wrn-18-2.0", "mobilenet", "mobilenet-0.7", "mobilenet-0.5"]


NAMES += ["resnet8", "resnet20", "resnet32", "resnet56", "resnet110"]


NAMES += ["preresnet110", "wrn-16-8", "wrn-28-8", "wrn-28-10", "resnext29-8x64d", "resnext29-16x64d", "densenet100-bc"]


def build(name: str, attention: AttentionConfig, *, gate: str = "tanh", seed: int = 0, **shape: Any) -> nn.Module:
    shape = {"num_classes": 10, "in_channels": 3, "image_size": (32, 32), **shape}
    return build_model(name, attention, GATES.get(gate), seed=seed, **shape)


def image(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
