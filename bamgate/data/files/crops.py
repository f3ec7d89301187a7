"""Which part of a photograph a network sees, and at what size. C channels, H x W pixels; the result has S x S.

For training: a box of random area and aspect ratio, resized to S x S (Szegedy et al. 2015); half of them are mirrored.
For testing: the shorter side is resized to 256/224 S, and the middle is cut out. Both are bilinear with antialiasing,
    as
in torchvision.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bamgate.seeding import hashed_integers

AREA = (0.08, 1.0)  # share of the image's area
SHAPE = (3 / 4, 4 / 3)  # width to height
TRIES = 10
_STEPS = 1 << 20  # a random number is one of this many
CHANCES = 4 * TRIES + 1  # random numbers per image: area, shape, top and left of each try, and whether it is mirrored


class Box(NamedTuple):
    """Where a crop is taken, in pixels."""

    top: int
    left: int
    height: int
    width: int


def chances(key: int, index: list[int]) -> list[list[float]]:
    """`CHANCES` random numbers from [0, 1) for each image; they depend on (key, index) only."""
    counters = torch.tensor(index)[:, None] * CHANCES + torch.arange(CHANCES)
    numbers: list[list[float]] = (hashed_integers(key, counters, _STEPS).double() / _STEPS).tolist()
    return numbers


def random_box(height: int, width: int, chance: list[float]) -> Box:
    """The first of `TRIES` random boxes that fits into the image; if none fits, the largest one in the middle."""
    # The aspect ratio is uniform on a log scale, so that wide and tall boxes are equally likely.
    low, high = (math.log(shape) for shape in SHAPE)
    for first in range(0, 4 * TRIES, 4):
        area, shape, down, right = chance[first : first + 4]
        pixels = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
        ratio = math.exp(low + (high - low) * shape)
        w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        # Places are drawn as numbers from [0, 1), so each try uses up four whatever the size of the image.
        if 0 < w <= width and 0 < h <= height:
            return Box(int(down * (height - h + 1)), int(right * (width - w + 1)), h, w)
    return middle_box(height, width)


def middle_box(height: int, width: int) -> Box:
    """The largest box of an allowed aspect ratio, in the middle."""
    h, w = min(height, round(width / SHAPE[0])), min(width, round(height * SHAPE[1]))
    return Box((height - h) // 2, (width - w) // 2, h, w)


def training_crop(image: Image.Image, size: int, chance: list[float]) -> Tensor:
    """uint8 C, S, S of a random part of the image, mirrored or not."""
    from torchvision.transforms.v2 import functional as F

    top, left, height, width = random_box(image.height, image.width, chance)
    # Crop before converting to a tensor, so that pixels outside the box are not copied.
    part = image.crop((left, top, left + width, top + height))
    x_CSS: Tensor = F.resize(_tensor(part), [size, size], antialias=True)
    return x_CSS.flip(2) if chance[-1] < 0.5 else x_CSS


def evaluation_crop(image: Image.Image, size: int) -> Tensor:
    """uint8 C, S, S of the middle of the image."""
    from torchvision.transforms.v2 import functional as F

    resized = F.resize(_tensor(image), [round(size * 256 / 224)], antialias=True)
    x_CSS: Tensor = F.center_crop(resized, [size, size])
    return x_CSS


def _tensor(image: Image.Image) -> Tensor:
    """uint8 C, H, W, as a view of H, W, C."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
