"""From a file to an RGB picture. A file that cannot be decoded is an error with its name, never skipped.

Pillow decodes: torchvision's own decoder makes loading an eighth faster, but is deprecated since torchvision 0.29.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from bamgate.data.files.processes import shortage
from bamgate.errors import DataError, TryAgainError, one_line

SMALLEST = 8  # pixels per side; a smaller file is a thumbnail or a mistake
KINDS = {"RGB": "", "L": "greyscale", "1": "black and white", "P": "palette", "PA": "palette", "RGBA": "alpha"}
# If the upper 8 of 16 bits stay below this, the top two bits are empty: the file may hold 10, 12 or 14 bits in 16.
EMPTY = 1 << 6
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_SAMPLES = {2: "signed integers", 3: "floating-point numbers"}


class Picture(NamedTuple):
    """What a file holds: the picture in mode RGB, and what is unusual about it, for `bamgate data verify`."""

    image: Image.Image
    kinds: list[str]


class _UnknownRangeError(Exception):
    """The file does not say which value is white."""


def read_image(path: Path) -> Image.Image:
    """The picture in a file; see `read_picture`."""
    return read_picture(path).image


def read_picture(path: Path) -> Picture:
    """The picture in a file, in mode RGB and upright by its EXIF orientation, and what is unusual about the file.

    Grey is repeated, CMYK converted, transparency dropped, as by Pillow's `convert("RGB")` and so by torchvision's
    ImageFolder. Grey with more than 8 bits is scaled down to 8, where Pillow would clip: white is what the file's
    format says, 65535 for 16 bits. Damaged EXIF is ignored, since the picture can be decoded without it.

    Raises:
        DataError: the file is missing, damaged, not an image, or has a side of less than `SMALLEST` pixels; or its
            format does not say which value is white; or the upper bits of its 16 are empty.
        TryAgainError: the machine is short of memory or open files.
    """
    try:
        picture = _decoded(path)
    except _UnknownRangeError as error:
        raise DataError(f"{path} {error}; save it with 8 bits, or with 16 that reach white (65535)") from None
    except Exception as error:  # each format of Pillow's raises errors of its own
        if reason := shortage(error):
            raise TryAgainError(f"{path} cannot be read now: {reason}") from None
        raise DataError(f"{path} {_reason(path, error)}") from None
    width, height = picture.image.size
    if min(width, height) < SMALLEST:
        raise DataError(f"{path} has {width}x{height} pixels; an image needs at least {SMALLEST} per side")
    return picture


def _decoded(path: Path) -> Picture:
    image: Image.Image
    with Image.open(path) as image:
        # Before load(), after which Pillow no longer says how the file stores its samples.
        bits, inverted, format_ = _bits(image), _is_inverted(image), image.format or ""
        image.load()
        turned = _turn(image)
        kind = "16 bit" if bits == 16 else f"{bits} bit" if bits > 8 else KINDS.get(image.mode, image.mode)
        rgb = _cut(image, bits, inverted) if image.mode.startswith("I") else _converted(image)
    if bits == 16 and _is_half_empty(rgb, inverted):
        raise _UnknownRangeError("cannot be used: the top two of its 16 bits are empty, so its white is unknown")
    misnamed = path.suffix.lower() in (".jpg", ".jpeg") and format_ not in ("JPEG", "MPO")
    kinds = [kind, "turned by EXIF" * turned, f"{format_} named as JPEG" * misnamed]
    return Picture(rgb, [text for text in kinds if text])


def _tiff(image: Image.Image, tag: int) -> list[int]:
    """The values of a TIFF tag; an empty list for other formats."""
    found = image.tag_v2.get(tag, ()) if isinstance(image, TiffImageFile) else ()
    return list(found) if isinstance(found, tuple) else [found]


def _bits(image: Image.Image) -> int:
    """Bits per sample, as the format says; 8 for fewer than 8, which Pillow itself spreads over 8."""
    samples = {_SAMPLES.get(sample, "") for sample in _tiff(image, _SAMPLE_FORMAT)} - {""}
    if samples or image.mode == "F":
        kind = min(samples, default=_SAMPLES[3])
        raise _UnknownRangeError(f"cannot be used: its pixels are {kind}, and which value is white is unknown")
    bits = max(_tiff(image, _BITS), default=0)
    if bits > 16:
        raise _UnknownRangeError(f"cannot be used: its pixels have {bits} bits, and which value is white is unknown")
    if image.mode.startswith("I"):
        return bits or 16
    # Colour with 16 bits: Pillow decodes the upper 8 alone, and only the raw mode of the tile still says so.
    tiles: Any = getattr(image, "tile", ())
    return 16 if image.format in ("PNG", "TIFF") and any(";16" in str(tile[3]) for tile in tiles) else 8


def _is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white (PhotometricInterpretation 0 of TIFF), which Pillow undoes only for up to 8 bits."""
    return image.mode.startswith("I") and _tiff(image, _PHOTOMETRIC) == [0]


def _is_half_empty(rgb: Image.Image, inverted: bool) -> bool:
    pixels = np.asarray(rgb)
    return bool((255 - pixels.min() if inverted else pixels.max()) < EMPTY)


def _turn(image: Image.Image) -> bool:
    """Turn the picture upright in place; whether it had to be turned. EXIF that cannot be read is ignored."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:  # not the file's fault: the caller reports it as a shortage
        raise
    except Exception:  # each parser of Pillow's raises errors of its own
        return False
    return turned


def _cut(image: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """The upper 8 bits of grey with more than 8."""
    grey = np.asarray(image).astype(np.int64)
    if inverted:
        grey = (1 << bits) - 1 - grey
    return Image.fromarray((grey >> (bits - 8)).clip(0, 255).astype(np.uint8)).convert("RGB")


def _converted(image: Image.Image) -> Image.Image:
    # By way of RGBA: a palette may have transparent entries, for which a direct conversion warns.
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, UnidentifiedImageError):
        reason = "it is not an image of a known format" if path.stat().st_size else "it is empty"
    else:
        reason = str(error) if type(error) is OSError else one_line(error)
    return f"cannot be decoded: {reason}; replace the file with an intact one or remove it"
