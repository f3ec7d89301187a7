"""The network sizes that the BAM paper (Park, Woo, Lee, Kweon; BMVC 2018) prints, and how a count compares with them.

Figures are kept as printed, as texts, so that their last digit is known. The paper's "GFLOPs" are multiply-accumulates
of convolutions and linear layers, in units of 10^9.
"""

from enum import Enum
from typing import NamedTuple


class Images(NamedTuple):
    """A data set of the paper: pixels per side and number of classes."""

    name: str
    size: int
    classes: int


CIFAR100, IMAGENET, IMAGENET_192 = (
    Images("CIFAR-100", 32, 100),
    Images("ImageNet", 224, 1000),
    Images("ImageNet", 192, 1000),
)


class Printed(NamedTuple):
    """Parameters in millions and GFLOPs of one network, and the tables that print them; Table 1c has no GFLOPs."""

    parameters: str
    gflops: str | None
    tables: str


KINDS = ("plain", "SE", "BAM", "BAM-C", "extra block")

# (network, images) -> kind -> printed
SIZES: dict[tuple[str, Images], dict[str, Printed]] = {
    ("resnet50", CIFAR100): {
        "plain": Printed("23.71", "1.22", "2, 3a, 5"),
        "SE": Printed("26.24", "1.23", "5"),
        "BAM": Printed("24.07", "1.25", "1, 2, 3a, 5"),
        "BAM-C": Printed("28.98", "1.37", "2"),
        "extra block": Printed("25.14", None, "1c"),
    },
    ("resnet101", CIFAR100): {
        "plain": Printed("42.70", "2.44", "3a"),
        "BAM": Printed("43.06", "2.46", "3a"),
    },
    ("preresnet110", CIFAR100): {
        "plain": Printed("1.726", "0.245", "2, 3a, 5"),
        "SE": Printed("1.93", "0.245", "5"),
        "BAM": Printed("1.733", "0.246", "2, 3a, 5"),
        "BAM-C": Printed("2.17", "0.275", "2"),
    },
    ("wrn-28-8", CIFAR100): {
        "plain": Printed("23.40", "3.36", "1c, 2, 3a, 5"),
        "SE": Printed("23.58", "3.36", "5"),
        "BAM": Printed("23.42", "3.37", "2, 3a, 5"),
        "BAM-C": Printed("23.78", "3.39", "2"),
        "extra block": Printed("24.88", None, "1c"),
    },
    ("wrn-28-10", CIFAR100): {
        "plain": Printed("36.54", "5.24", "3a"),
        "BAM": Printed("36.57", "5.25", "3a"),
    },
    ("resnext29-8x64d", CIFAR100): {
        "plain": Printed("34.52", "4.99", "2, 3a"),
        "BAM": Printed("34.61", "5.00", "1c, 2, 3a"),
        "BAM-C": Printed("35.60", "5.07", "2"),
        "extra block": Printed("37.3", None, "1c"),
    },
    ("resnext29-16x64d", CIFAR100): {
        "plain": Printed("68.25", "9.88", "3a, 5"),
        "SE": Printed("68.81", "9.88", "5"),
        "BAM": Printed("68.34", "9.90", "3a, 5"),
    },
    ("densenet100-bc", CIFAR100): {
        "plain": Printed("0.8", "0.29", "3a"),
        "BAM": Printed("0.84", "0.30", "3a"),
    },
    ("resnet18", IMAGENET): {
        "plain": Printed("11.69", "1.81", "3b"),
        "BAM": Printed("11.71", "1.82", "3b"),
    },
    ("resnet50", IMAGENET): {
        "plain": Printed("25.56", "3.86", "3b"),
        "BAM": Printed("25.92", "3.94", "3b"),
    },
    ("resnet101", IMAGENET): {
        "plain": Printed("44.55", "7.57", "3b"),
        "BAM": Printed("44.91", "7.65", "3b"),
    },
    ("wrn-18-1.5", IMAGENET): {
        "plain": Printed("25.88", "3.87", "3b"),
        "BAM": Printed("25.93", "3.88", "3b"),
    },
    ("wrn-18-2.0", IMAGENET): {
        "plain": Printed("45.62", "6.70", "3b"),
        "BAM": Printed("45.71", "6.72", "3b"),
    },
    ("resnext50-32x4d", IMAGENET): {
        "plain": Printed("25.03", "3.77", "3b"),
        "BAM": Printed("25.39", "3.85", "3b"),
    },
    ("mobilenet", IMAGENET): {
        "plain": Printed("4.23", "0.569", "3b"),
        "BAM": Printed("4.32", "0.589", "3b"),
    },
    ("mobilenet-0.7", IMAGENET): {
        "plain": Printed("2.30", "0.283", "3b"),
        "BAM": Printed("2.34", "0.292", "3b"),
    },
    ("mobilenet", IMAGENET_192): {
        "plain": Printed("4.23", "0.439", "3b"),
        "BAM": Printed("4.32", "0.456", "3b"),
    },
    ("squeezenet1.1", IMAGENET): {
        "plain": Printed("1.24", "0.290", "3b"),
        "BAM": Printed("1.26", "0.304", "3b"),
    },
}

# Networks that the paper does not count, and the images that they are made for. All others are counted on both.
HOMES: dict[str, tuple[Images, ...]] = {
    **{f"resnet{depth}": (CIFAR100,) for depth in (8, 20, 32, 56, 110)},
    "wrn-16-8": (CIFAR100,),
    **dict.fromkeys(("resnext50-32x4d-v1.5", "mobilenet-0.5", "vgg16"), (IMAGENET,)),
}

# Why a count differs, and where the paper contradicts itself.
NOTES: dict[str, str] = {
    "densenet100-bc": (
        "with BAM the paper prints 0.84 M, here it has 0.846: the same figure, truncated instead of rounded. "
        "There is no extra block, since each block of this network adds channels."
    ),
    "mobilenet": (
        "with BAM the paper prints 4.32 M, here it has 4.326: the same figure, truncated. The GFLOPs (+0.020) show "
        "three BAMs, not four. At 192 pixels 0.439 GFLOPs cannot be right: 0.569 times (192/224)^2 is 0.418."
    ),
    "squeezenet1.1": (
        "the paper prints 0.290 GFLOPs; the published network has 0.349 at 224 pixels, with the same parameters."
    ),
    "resnext29-16x64d": "with SE the paper prints 68.81 M; one SE per block, r = 16, with biases, gives 68.77.",
    "resnext29-8x64d": (
        "with BAM-C the paper prints 35.60 M, here it has 35.61. For the plain network Table 1c prints 34.4 M, "
        "Tables 2 and 3 print 34.52; with 10 classes it has 34.43."
    ),
    "resnet50": (
        "for the plain network Table 1 prints 23.68 M, Tables 2, 3 and 5 print 23.71, as here. With an extra block "
        "the paper prints 25.14 M, here it has 25.17. Without biases and the shifts of batch norms they are 23.68 and "
        "25.14."
    ),
    "wrn-28-8": "with BAM Table 1c prints 23.56 M, Tables 2, 3 and 5 print 23.42.",
    "preresnet110": "the printed counts are those of 3 x 18 bottleneck blocks, which make 164 layers.",
}


class Agreement(Enum):
    """How a count compares with a printed figure."""

    SAME = "="
    NEAR = "~"
    DIFFERS = "x"


def compare(value: float, printed: str) -> Agreement:
    """Compare a count with a printed figure. SAME: it rounds to it; NEAR: within one unit of its last digit."""
    digits = len(printed.partition(".")[2])
    if f"{value:.{digits}f}" == printed:
        return Agreement.SAME
    return Agreement.NEAR if abs(value - float(printed)) <= 10**-digits else Agreement.DIFFERS


def images_of(network: str) -> list[Images]:
    """The images on which a network is counted."""
    if ":" in network:
        return [IMAGENET]
    printed = [images for name, images in SIZES if name == network]
    return printed or list(HOMES.get(network, (CIFAR100, IMAGENET)))
