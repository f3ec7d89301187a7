"""Sizes as the BAM paper prints them, typed from its tables 1c, 2, 3 and 5: millions of parameters, and GFLOPs."""

from functools import cache

import torch
from model_samples import BAM_COUNTED, EXTRA_BLOCK, PLAIN, SE, build
from torch import nn

from bamgate.config import AttentionConfig
from bamgate.networks.build import Cost, cost

# network, pixels a side, attention, parameters, GFLOPs; Table 1c has none of the last
PRINTED: list[tuple[str, int, str, str, str | None]] = [
    ("resnet50", 32, "plain", "23.71", "1.22"),
    ("resnet50", 32, "BAM", "24.07", "1.25"),
    ("resnet50", 32, "BAM-C", "28.98", "1.37"),
    ("resnet50", 32, "SE", "26.24", "1.23"),
    ("resnet50", 32, "extra block", "25.14", None),
    ("resnet101", 32, "plain", "42.70", "2.44"),
    ("resnet101", 32, "BAM", "43.06", "2.46"),
    ("preresnet110", 32, "plain", "1.726", "0.245"),
    ("preresnet110", 32, "BAM", "1.733", "0.246"),
    ("preresnet110", 32, "BAM-C", "2.17", "0.275"),
    ("preresnet110", 32, "SE", "1.93", "0.245"),
    ("wrn-28-8", 32, "plain", "23.40", "3.36"),
    ("wrn-28-8", 32, "BAM", "23.42", "3.37"),
    ("wrn-28-8", 32, "BAM-C", "23.78", "3.39"),
    ("wrn-28-8", 32, "SE", "23.58", "3.36"),
    ("wrn-28-8", 32, "extra block", "24.88", None),
    ("wrn-28-10", 32, "plain", "36.54", "5.24"),
    ("wrn-28-10", 32, "BAM", "36.57", "5.25"),
    ("resnext29-8x64d", 32, "plain", "34.52", "4.99"),
    ("resnext29-8x64d", 32, "BAM", "34.61", "5.00"),
    ("resnext29-8x64d", 32, "BAM-C", "35.60", "5.07"),
    ("resnext29-8x64d", 32, "extra block", "37.3", None),
    ("resnext29-16x64d", 32, "plain", "68.25", "9.88"),
    ("resnext29-16x64d", 32, "BAM", "68.34", "9.90"),
    ("resnext29-16x64d", 32, "SE", "68.81", "9.88"),
    ("densenet100-bc", 32, "plain", "0.8", "0.29"),
    ("densenet100-bc", 32, "BAM", "0.84", "0.30"),
    ("resnet18", 224, "plain", "11.69", "1.81"),
    ("resnet18", 224, "BAM", "11.71", "1.82"),
    ("resnet50", 224, "plain", "25.56", "3.86"),
    ("resnet50", 224, "BAM", "25.92", "3.94"),
    ("resnet101", 224, "plain", "44.55", "7.57"),
    ("resnet101", 224, "BAM", "44.91", "7.65"),
    ("wrn-18-1.5", 224, "plain", "25.88", "3.87"),
    ("wrn-18-1.5", 224, "BAM", "25.93", "3.88"),
    ("wrn-18-2.0", 224, "plain", "45.62", "6.70"),
    ("wrn-18-2.0", 224, "BAM", "45.71", "6.72"),
    ("resnext50-32x4d", 224, "plain", "25.03", "3.77"),
    ("resnext50-32x4d", 224, "BAM", "25.39", "3.85"),
    ("mobilenet", 224, "plain", "4.23", "0.569"),
    ("mobilenet", 224, "BAM", "4.32", "0.589"),
    ("mobilenet-0.7", 224, "plain", "2.30", "0.283"),
    ("mobilenet-0.7", 224, "BAM", "2.34", "0.292"),
    ("mobilenet", 192, "plain", "4.23", "0.439"),
    ("mobilenet", 192, "BAM", "4.32", "0.456"),
    ("squeezenet1.1", 224, "plain", "1.24", "0.290"),
    ("squeezenet1.1", 224, "BAM", "1.26", "0.304"),
]

# Where a count is not the printed one: what stands there is known to be cut off, or cannot be right.
OTHER_PARAMETERS = {
    ("densenet100-bc", 32, "BAM"): "0.85",
    ("mobilenet", 224, "BAM"): "4.33",
    ("mobilenet", 192, "BAM"): "4.33",
    ("resnext29-8x64d", 32, "BAM-C"): "35.61",
    ("resnext29-16x64d", 32, "SE"): "68.77",
    ("resnet50", 32, "extra block"): "25.17",
}
OTHER_GFLOPS = {
    ("mobilenet", 192, "plain"): "0.418",
    ("mobilenet", 192, "BAM"): "0.433",
    ("squeezenet1.1", 224, "plain"): "0.349",
    ("squeezenet1.1", 224, "BAM"): "0.369",
}

BAM_C = AttentionConfig(layout="counted", placement="block")
ATTENTION = {"plain": PLAIN, "SE": SE, "BAM": BAM_COUNTED, "BAM-C": BAM_C, "extra block": EXTRA_BLOCK}


def of_the_paper(name: str, attention: AttentionConfig, pixels: int = 32) -> nn.Module:
    """A network for CIFAR-100 or ImageNet whose weights are never drawn: for counting only."""
    with torch.device("meta"):
        return build(name, attention, num_classes=100 if pixels == 32 else 1000, image_size=(pixels, pixels))


@cache
def counted(name: str, pixels: int, kind: str) -> Cost:
    """What a network of the paper costs here."""
    return cost(of_the_paper(name, ATTENTION[kind], pixels), (3, pixels, pixels))
