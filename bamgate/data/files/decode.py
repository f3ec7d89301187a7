"""From a file to an RGB picture. What cannot be decoded is named, never skipped.

By Pillow: torchvision's own decoder is an eighth faster in all, but deprecated since torchvision 0.29.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from bamgate.data.files.processes import shortage
from bamgate.errors import DataError, TryAgainError, one_line

SMALLEST = 8  # pixels a side; less is no photograph
KINDS = {"RGB": "", "L": "greyscale", "1": "black and white", "P": "palette", "PA": "palette", "RGBA": "alpha"}
EMPTY = 1 << 6  # of the upper 8 bits of 16: an image that stays below may hold 10, 12 or 14 bits in 16
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_SAMPLES = {2: "signed integers", 3: "floating-point numbers"}


class Picture(NamedTuple):
    """What is in a file: the picture, mode RGB, and the unusual kinds that the file is of."""

    image: Image.Image
    kinds: list[str]


class _UnknownRangeError(Exception):
    """Nobody knows which value of the file is white."""


def read_image(path: Path) -> Image.Image:
    """The picture in a file, see `read_picture`."""
    return read_picture(path).image


def read_picture(path: Path) -> Picture:
    """The picture in a file, mode RGB, upright as its EXIF orientation says; and what kind of file it is.

    Greyscale is repeated, CMYK converted, transparency dropped: as Pillow's `convert("RGB")` does, and with it
    torchvision's ImageFolder. More bits of grey than 8 are cut to 8, where Pillow would clip: white is what the file's
    format says, for 16 bits 65535. Damaged EXIF is passed over, as a picture does not depend on it.

    Raises:
        DataError: the file is missing, damaged, no image, or has a side of less than `SMALLEST` pixels, or its format
            does not say what is white, or its 16 bits are not used.
        TryAgainError: memory or open files are short.
    """
    try:
        picture = _decoded(path)
    except _UnknownRangeError as error:
        raise DataError(f"{path} {error}; save it with 8 bits, or with 16 that reach white (65535)") from None
    except Exception as error:  # Pillow's formats have each their own
        if reason := shortage(error):
            raise TryAgainError(f"{path} cannot be read now: {reason}") from None
        raise DataError(f"{path} {_reason(path, error)}") from None
    width, height = picture.image.size
    if min(width, height) < SMALLEST:
        raise DataError(f"{path} is {width}x{height} pixels; an image has at least {SMALLEST} a side")
    return picture


def _decoded(path: Path) -> Picture:
    image: Image.Image
    with Image.open(path) as image:
        bits, inverted, format_ = _bits(image), _is_inverted(image), image.format or ""
        image.load()
        turned = _turn(image)
        kind = "16 bit" if bits == 16 else f"{bits} bit" if bits > 8 else KINDS.get(image.mode, image.mode)
        rgb = _cut(image, bits, inverted) if image.mode.startswith("I") else _converted(image)
    if bits == 16 and _is_half_empty(rgb, inverted):
        raise _UnknownRangeError("cannot be used: of its 16 bits the highest two are empty, so nobody knows its white")
    misnamed = path.suffix.lower() in (".jpg", ".jpeg") and format_ not in ("JPEG", "MPO")
    kinds = [kind, "turned by EXIF" * turned, f"{format_} named as JPEG" * misnamed]
    return Picture(rgb, [text for text in kinds if text])


def _tiff(image: Image.Image, tag: int) -> list[int]:
    """The values of a tag; none in other formats."""
    found = image.tag_v2.get(tag, ()) if isinstance(image, TiffImageFile) else ()
    return list(found) if isinstance(found, tuple) else [found]


def _bits(image: Image.Image) -> int:
    """How many bits a sample has, by the format; 8 for fewer, which Pillow spreads over 8 itself."""
    samples = {_SAMPLES.get(sample, "") for sample in _tiff(image, _SAMPLE_FORMAT)} - {""}
    if samples or image.mode == "F":
        kind = min(samples, default=_SAMPLES[3])
        raise _UnknownRangeError(f"cannot be used: its pixels are {kind}, of which nobody knows which is white")
    bits = max(_tiff(image, _BITS), default=0)
    if bits > 16:
        raise _UnknownRangeError(f"cannot be used: its pixels have {bits} bits, of which nobody knows which is white")
    if image.mode.startswith("I"):
        return bits or 16
    # Pillow keeps the upper half of colours with 16 bits.
    tiles: Any = getattr(image, "tile", ())
    return 16 if image.format in ("PNG", "TIFF") and any(";16" in str(tile[3]) for tile in tiles) else 8


def _is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white, which Pillow undoes for up to 8 bits only."""
    return image.mode.startswith("I") and _tiff(image, _PHOTOMETRIC) == [0]


def _is_half_empty(rgb: Image.Image, inverted: bool) -> bool:
    pixels = np.asarray(rgb)
    return bool((255 - pixels.min() if inverted else pixels.max()) < EMPTY)


def _turn(image: Image.Image) -> bool:
    """Bring it upright; whether it was not. EXIF that cannot be read turns nothing."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # Pillow's parsers have each their own
        return False
    return turned


def _cut(image: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """Grey of more than 8 bits: the upper 8."""
    grey = np.asarray(image).astype(np.int64)
    if inverted:
        grey = (1 << bits) - 1 - grey
    return Image.fromarray((grey >> (bits - 8)).clip(0, 255).astype(np.uint8)).convert("RGB")


def _converted(image: Image.Image) -> Image.Image:
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, UnidentifiedImageError):
        reason = "it is no image of a known format" if path.stat().st_size else "it is empty"
    else:
        reason = str(error) if type(error) is OSError else one_line(error)
    return f"cannot be decoded: {reason}; put a whole file in its place or remove it"
