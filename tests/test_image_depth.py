"""Which value of a file is white: what its format says. What no format says is refused, by training as by `verify`."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_samples import make_folder
from numpy.typing import NDArray

from bamgate.data import find_dataset
from bamgate.data.files.decode import read_image
from bamgate.data.files.verify import DamagedError
from bamgate.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "tiny")


def _pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(read_image(path))


def _tiff(path: Path, bits: int, samples: bytes, *, format_: int = 1, photometric: int = 1) -> Path:
    """A grey TIFF of 12 x 10 pixels, written by hand."""
    tags = {256: 12, 257: 10, 258: bits, 259: 1, 262: photometric, 273: 8 + 2 + 12 * 10 + 4, 277: 1, 278: 10}
    tags |= {279: len(samples), 339: format_}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + b"\0\0\0\0" + samples)
    return path


def _png(path: Path, colour: int, samples: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG of 16 bits a sample (H, W, samples), with chunks before its pixels."""
    height, width = samples.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    whole = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + whole)
    return path


RAMP = np.arange(120).reshape(10, 12)  # of 0 to 119, in a file of 12 x 10


def test_white_is_what_the_format_says(tmp_path: Path) -> None:
    """16 bits, 12 bits, 16 bits of which 0 is white, and a PGM that names its own white."""
    deep = (RAMP * 512 + 77).astype(np.uint16)
    expected = (RAMP * 2).tolist()
    assert _pixels(_png(tmp_path / "a.png", 0, deep))[..., 1].tolist() == expected
    assert _pixels(_tiff(tmp_path / "a.tif", 16, deep.astype("<u2").tobytes()))[..., 1].tolist() == expected
    negative = _tiff(tmp_path / "b.tif", 16, (65535 - deep).astype("<u2").tobytes(), photometric=0)
    assert _pixels(negative)[..., 1].tolist() == expected
    twelve = (RAMP.reshape(-1, 2) * 32).tolist()
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in twelve)
    assert _pixels(_tiff(tmp_path / "c.tif", 12, packed))[..., 1].tolist() == expected
    (tmp_path / "a.pgm").write_bytes(b"P5\n12 10\n4095\n" + (RAMP * 4095 // 119).astype(">u2").tobytes())
    assert np.abs(_pixels(tmp_path / "a.pgm")[..., 1] - RAMP * 255 / 119).max() <= 1
    colours = np.stack([deep, deep // 2, deep], axis=2)
    assert _pixels(_png(tmp_path / "rgb.png", 2, colours))[..., 0].tolist() == expected


WHITE = "; save it with 8 bits, or with 16 that reach white (65535)"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: _tiff(path, 32, (RAMP * 2).astype("<i4").tobytes(), format_=2), "signed integers"),
        (lambda path: _tiff(path, 16, (RAMP * 256).astype("<i2").tobytes(), format_=2), "signed integers"),
        (lambda path: _tiff(path, 32, (RAMP * 2).astype("<u4").tobytes()), "32 bits"),
        (lambda path: _tiff(path, 8, RAMP.astype("i1").tobytes(), format_=2), "signed integers"),
        (lambda path: _tiff(path, 32, RAMP.astype("<f4").tobytes(), format_=3), "floating-point numbers"),
    ],
)
def test_what_does_not_say_what_is_white_is_refused(tmp_path: Path, make: Any, reason: str) -> None:
    path = make(tmp_path / "a.tif")
    with pytest.raises(DataError) as caught:
        read_image(path)
    has = f"pixels have {reason}" if "bits" in reason else f"pixels are {reason}"
    assert str(caught.value) == f"{path} cannot be used: its {has}, and which value is white is unknown{WHITE}"


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["grey.png", "rgb.png", "grey.tif", "inverted.tif"])
def test_fewer_bits_in_16_are_refused(tmp_path: Path, bits: int, kind: str) -> None:
    """Black would be what training saw of them: 12 bits of 16 peak at 15 of 255."""
    values = ((1 << bits) - 1 - RAMP).astype(np.uint16)
    path = tmp_path / kind
    if kind.endswith(".tif"):
        _tiff(path, 16, values.astype("<u2").tobytes(), photometric=int(kind != "inverted.tif"))
    else:
        _png(path, 2 * (kind == "rgb.png"), np.stack([values] * 3, axis=2) if kind == "rgb.png" else values)
    with pytest.raises(DataError) as caught:
        read_image(path)
    reason = "the top two of its 16 bits are empty, so its white is unknown"
    assert str(caught.value) == f"{path} cannot be used: {reason}{WHITE}"


def test_damaged_exif_is_no_damage_of_the_picture(tmp_path: Path) -> None:
    samples = np.full((10, 12), 40_000, np.uint16)
    path = _png(tmp_path / "a.png", 0, samples, (b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03"))
    assert _pixels(path)[3, 3].tolist() == [156, 156, 156]


def test_verification_and_training_agree_on_every_file(root: Path) -> None:
    """What one refuses the other refuses, in the same words."""
    folder = root / "train" / "class-0"
    _tiff(folder / "signed.tif", 32, RAMP.astype("<i4").tobytes(), format_=2)
    _png(folder / "twelve.png", 0, np.full((10, 12), 4095, np.uint16))
    _png(folder / "exif.png", 0, np.full((10, 12), 40_000, np.uint16), (b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03"))
    said = {}
    for path in sorted(folder.iterdir()):
        try:
            read_image(path)
        except DataError as error:
            said[path.name] = str(error)
    assert list(said) == ["signed.tif", "twelve.png"]
    with pytest.raises(DamagedError) as caught:
        find_dataset("folder:tiny", root.parent).verify(root.parent)
    counted = ["train: 27 images in 3 classes, 1 16 bit", "val: 12 images in 3 classes"]
    assert caught.value.lines == [*counted, *said.values()]
