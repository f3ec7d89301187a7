"""Decode every file of an image folder once, and report what is damaged and what had to be converted."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bamgate.data.dataset import Tell
from bamgate.data.files.decode import read_picture
from bamgate.data.files.listing import Listing
from bamgate.errors import DataError, TryAgainError

TELL_EVERY = 100  # files


class DamagedError(DataError):
    """Some files cannot be decoded.

    Args:
        lines: one for each split, and one for each such file.
    """

    def __init__(self, message: str, lines: list[str]) -> None:
        super().__init__(message)
        self.lines = lines


def verify_images(listing: Listing, tell: Tell) -> list[str]:
    """One line per split: how many images it has, and how many of each unusual kind.

    Raises:
        DamagedError: some files cannot be decoded; raised after all have been tried.
    """
    lines, damaged, done = [], list[str](), 0
    total = sum(len(files) for split in (listing.train, listing.test) for files in split)
    for split in (listing.train, listing.test):
        kinds: Counter[str] = Counter()
        paths = [listing.root / path for files in split for path in files]
        for found in _in_threads(paths):
            done += 1
            if done % TELL_EVERY == 0 or done == total:
                tell(done, total)
            if isinstance(found, DataError):
                damaged.append(str(found))
            else:
                kinds.update(found)
        lines.append(_line(paths[0].parents[1].name, len(paths), len(split), kinds))
    if damaged:
        raise DamagedError(f"{len(damaged)} of {total} files of {listing.root} cannot be used", lines + damaged)
    return lines


def _line(name: str, images: int, classes: int, kinds: Counter[str]) -> str:
    converted = "".join(f", {count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{name}: {images} images in {classes} classes{converted}"


def _in_threads(paths: list[Path]) -> Iterator[list[str] | DataError]:
    """What `_look` finds in each file, in order."""
    # Pillow releases the GIL while it decodes, so threads are enough. In pieces of 256 files, since the pool finishes
    # all that it has been given before Ctrl-C takes effect.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), 256):
            try:
                found = pool.map(_look, paths[start : start + 256])
            except RuntimeError as error:
                raise TryAgainError(f"the files cannot be decoded now: {error}; raise the limit (ulimit -u)") from None
            yield from found


def _look(path: Path) -> list[str] | DataError:
    """What is unusual about a file, or what is wrong with it: decoded by the same code as in training."""
    try:
        return read_picture(path).kinds
    except DataError as error:
        return error
