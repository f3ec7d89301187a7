"""cluttered-digits: one real digit on a larger canvas, among fragments of other digits and texture.

The mask of the true digit is kept, so that, unlike with photographs, it is known where attention should look. The
arithmetic is in integers and random numbers come from a hash: the bytes are the same on every machine.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bamgate.data.dataset import DATASETS, DataSet, Split, checked, describe_generated, silent
from bamgate.data.memory.digits import TRAIN as TRAIN_DIGITS
from bamgate.data.memory.digits import digit_images
from bamgate.seeding import hashed_integers

CANVAS = 20
DIGIT = 8
FRAGMENTS = 5
DIM = 12  # ink of a fragment, in sixteenths of a digit's
TEXTURE = 32  # grey levels of noise, of 256
INK = 4  # a pixel with at least this much of 16 belongs to the digit's mask
PICTURES_PER_DIGIT = (3, 2)  # training, test
SHA256 = (
    "859726328b274e0b7e648b301a0a4f6f0ab0afe70e511c7ec64b9485c3e29192",
    "d8d4f5d5c1def2014fdcaad1068b8763561477ebcdfecd1e78959f43b30d4171",
)

_Bytes = NDArray[np.uint8]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """The random integers of one split: N pictures, F fragments each."""

    place: _Ints  # N, 2: top left corner of the digit
    other: _Ints  # N, F: which digit a fragment is cut from, counted from the true digit, so never that one
    size: _Ints  # N, F, 2: height and width of a fragment
    cut: _Ints  # N, F, 2: where it is cut from its digit, modulo the number of places that its size allows
    spot: _Ints  # N, F, 2: where it is pasted on the canvas, likewise
    texture: _Ints  # N, CANVAS, CANVAS


def _draw(key: int, pictures: int, digits: int) -> _Draws:
    def integers(stream: int, below: int, *shape: int) -> _Ints:
        counters = torch.arange(int(np.prod((pictures, *shape)))).reshape(pictures, *shape)
        # + binds more tightly than <<: each stream has 2^32 counters of its own.
        values: _Ints = hashed_integers(key * 16 + stream << 32, counters, below).numpy()
        return values

    return _Draws(
        place=integers(0, CANVAS - DIGIT + 1, 2),
        other=1 + integers(1, digits - 1, FRAGMENTS),
        size=4 + integers(2, 3, FRAGMENTS, 2),
        cut=integers(3, 1 << 16, FRAGMENTS, 2),
        spot=integers(4, 1 << 16, FRAGMENTS, 2),
        texture=integers(5, TEXTURE, CANVAS, CANVAS),
    )


def _paste(canvas: _Ints, patch: _Ints, top: int, left: int) -> None:
    height, width = patch.shape
    window = canvas[top : top + height, left : left + width]
    np.maximum(window, patch, out=window)


def _picture(draws: _Draws, i: int, digit: int, ink: _Ints) -> tuple[_Bytes, NDArray[np.bool_]]:
    """One canvas, and the mask of its digit."""
    # In int64, since pixels exceed 255 before the last line. The digit comes last; `_paste` keeps the brighter pixel.
    canvas = np.zeros((CANVAS, CANVAS), np.int64)
    for f in range(FRAGMENTS):
        other = ink[(digit + draws.other[i, f]) % len(ink)]
        height, width = draws.size[i, f]
        y, x = draws.cut[i, f] % (DIGIT + 1 - draws.size[i, f])
        top, left = draws.spot[i, f] % (CANVAS + 1 - draws.size[i, f])
        _paste(canvas, other[y : y + height, x : x + width] * DIM // 16, top, left)
    top, left = draws.place[i]
    _paste(canvas, ink[digit], top, left)
    mask = np.zeros((CANVAS, CANVAS), np.bool_)
    mask[top : top + DIGIT, left : left + DIGIT] = ink[digit] >= INK
    # 16 levels of ink times 14, plus up to 31 of texture, is at most 255.
    return np.minimum(canvas * 14 + draws.texture[i], 255).astype(np.uint8), mask


def make_split(key: int, ink: _Ints, labels: _Ints, per_digit: int) -> Split:
    """`per_digit` pictures of each digit in `ink` (n, 8, 8). Fragments come from `ink` too, so splits do not mix."""
    count = len(ink) * per_digit
    draws = _draw(key, count, len(ink))
    pictures, masks = zip(*(_picture(draws, i, i % len(ink), ink) for i in range(count)), strict=True)
    return Split(
        images=torch.from_numpy(np.stack(pictures))[..., None],
        labels=torch.from_numpy(np.tile(labels, per_digit)),
        masks=torch.from_numpy(np.stack(masks)),
    )


def load(root: Path) -> tuple[Split, Split]:
    ink, labels = digit_images()
    train = make_split(1, ink[:TRAIN_DIGITS], labels[:TRAIN_DIGITS], PICTURES_PER_DIGIT[0])
    test = make_split(2, ink[TRAIN_DIGITS:], labels[TRAIN_DIGITS:], PICTURES_PER_DIGIT[1])
    return checked((train, test), SHA256)


DATASETS.register(
    "cluttered-digits",
    DataSet(
        name="cluttered-digits",
        classes=10,
        channels=1,
        size=(CANVAS, CANVAS),
        train=1297 * PICTURES_PER_DIGIT[0],
        test=500 * PICTURES_PER_DIGIT[1],
        recipe="quick",
        model="resnet8",
        source="made here from the digits; masks of the true digit are kept",
        load=load,
        verify=lambda root, tell=silent, /: describe_generated(load(root)),
    ),
)
