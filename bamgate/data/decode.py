"""From a file to an RGB picture. What cannot be decoded is named, never skipped.

By Pillow: torchvision's own decoder is an eighth faster in all, but deprecated since torchvision 0.29.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bamgate.data.processes import shortage
from bamgate.errors import DataError, TryAgainError, one_line

SMALLEST = 8  # pixels a side; less is no photograph


def read_image(path: Path) -> Image.Image:
    """The picture in a file, mode RGB, upright as its EXIF orientation says.

    Greyscale is repeated, CMYK converted, transparency dropped: as Pillow's `convert("RGB")` does, and with it
    torchvision's ImageFolder. 16 bits of grey are cut to 8, where Pillow would clip.

    Raises:
        DataError: the file is missing, damaged, no image, or has a side of less than `SMALLEST` pixels.
    """
    try:
        image = _decoded(path)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's formats have each their own
        if reason := shortage(error):
            raise TryAgainError(f"{path} cannot be read now: {reason}") from None
        raise DataError(f"{path} {_reason(path, error)}") from None
    if min(image.size) < SMALLEST:
        raise DataError(f"{path} is {image.width}x{image.height} pixels; an image has at least {SMALLEST} a side")
    return image


def _decoded(path: Path) -> Image.Image:
    image: Image.Image
    with Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
            return Image.fromarray(grey).convert("RGB")
        if image.mode == "F":
            raise OSError("its pixels are floating-point numbers, of which nobody knows what is white")
        if image.mode in ("P", "PA"):
            return image.convert("RGBA").convert("RGB")
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, UnidentifiedImageError):
        reason = "it is no image of a known format" if path.stat().st_size else "it is empty"
    else:
        reason = str(error) if type(error) is OSError else one_line(error)
    return f"cannot be decoded: {reason}; put a whole file in its place or remove it"
