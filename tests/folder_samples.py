"""Small image folders, made with Pillow, and single images of every kind."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Corners of an upright picture: red, green, blue and white, clockwise from the top left.
CORNERS = {(0, 0): (255, 0, 0), (0, -1): (0, 255, 0), (-1, -1): (0, 0, 255), (-1, 0): (255, 255, 255)}


def smooth(seed: int, height: int, width: int) -> Image.Image:
    """A picture as smooth as a photograph: a few random colours, blurred into each other."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)


def cornered(height: int = 48, width: int = 64) -> Image.Image:
    """Four quarters, one of each colour of CORNERS."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for (row, column), colour in CORNERS.items():
        rows = slice(0, height // 2) if row == 0 else slice(height // 2, None)
        columns = slice(0, width // 2) if column == 0 else slice(width // 2, None)
        pixels[rows, columns] = colour
    return Image.fromarray(pixels)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def make_folder(
    root: Path, *, classes: int = 3, train: int = 8, test: int = 4, size: tuple[int, int] = (40, 52)
) -> Path:
    """ROOT/{train,val}/class-N/*.jpg, all pictures different, heights and widths too."""
    for split, count, start in (("train", train, 0), ("val", test, 10_000)):
        for label in range(classes):
            for number in range(count):
                seed = start + 100 * label + number
                picture = smooth(seed, size[0] + seed % 7, size[1] - seed % 5)
                save(root / split / f"class-{label}" / f"{number:03}.jpg", picture, quality=90)
    return root


def cut_short(path: Path) -> Path:
    """The file without its last eighth."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 8])
    return path
