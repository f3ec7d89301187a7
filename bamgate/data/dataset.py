"""What a data set is: facts, a loader of two splits, and how its files are checked and fetched."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bamgate.errors import DataError
from bamgate.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images of one split, as bytes.

    images: uint8 N, H, W, C; labels: int64 N; masks: bool N, H, W, true on the object, where that is known.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "Split":
        masks = None if self.masks is None else self.masks[:count]
        return Split(images=self.images[:count], labels=self.labels[:count], masks=masks)

    def to(self, device: torch.device) -> "Split":
        masks = None if self.masks is None else self.masks.to(device)
        return Split(images=self.images.to(device), labels=self.labels.to(device), masks=masks)

    def sha256(self) -> str:
        """Hash of images, labels and masks."""
        digest = hashlib.sha256()
        for part in (self.images, self.labels, self.masks):
            if part is not None:
                digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set by name.

    Args:
        name: as users type it.
        classes, channels, size, train, test: what `load` returns: classes, C, (H, W) and numbers of images.
        recipe, model: what a run on it starts from where the user names none.
        source: where the images come from.
        load: folder -> (training split, test split); DataError where files are missing or damaged.
        verify: folder -> one line a file checked; DataError where one is missing or damaged.
        fetch: folder -> downloads into it; None where nothing is to be fetched.
    """

    name: str
    classes: int
    channels: int
    size: tuple[int, int]
    train: int
    test: int
    recipe: str
    model: str
    source: str
    load: Callable[[Path], tuple[Split, Split]]
    verify: Callable[[Path], list[str]]
    fetch: Callable[[Path], None] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.channels, *self.size)


DATASETS: Registry[DataSet] = Registry("dataset")


def default_root() -> Path:
    """$BAMGATE_DATA, or ~/.cache/bamgate."""
    return Path(os.environ.get("BAMGATE_DATA") or Path.home() / ".cache" / "bamgate").expanduser()


def describe_generated(splits: tuple[Split, Split]) -> list[str]:
    """What `verify` says of splits that `checked` has let through."""
    names = zip(("train", "test"), splits, strict=True)
    return [f"{name}: {len(split)} images, sha256 {split.sha256()[:16]}... ok" for name, split in names]


def checked(splits: tuple[Split, Split], expected: tuple[str, str]) -> tuple[Split, Split]:
    """Made or packaged splits as they are; DataError where a hash is not the known one."""
    for name, split, known in zip(("train", "test"), splits, expected, strict=True):
        found = split.sha256()
        if found != known:
            raise DataError(f"{name} split: sha256 {found[:16]}... instead of {known[:16]}...; a library changed it")
    return splits
