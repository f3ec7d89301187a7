"""What a data set is: facts, a loader of two splits, and how its files are checked and fetched."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from bamgate.errors import DataError, UsageError
from bamgate.record.metric import FIRST_TASK
from bamgate.registry import Registry

# Images of one size live in memory and are cut out of a padded border; files are cut out of the whole photograph.
AUGMENTS = {False: ("none", "crop", "crop-flip"), True: ("none", "resized-crop-flip")}

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images of one split, as bytes.

    images: uint8 N, H, W, C; labels: classes, int64 N, or the targets of another task, N of whatever type; masks: bool
    N, H, W, true on the object, where that is known.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        return self.images.device

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
class FileSplit:
    """Images of one split, as files that are decoded when they are needed.

    Args:
        root: folder that the paths start from.
        paths: N files, sorted by class and name.
        labels: int64 N.
        listing_sha256: of names and sizes of all files of the data set, both splits.
        device: where batches of it go.
    """

    root: Path
    paths: list[str]
    labels: Tensor
    listing_sha256: str
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def class_names(self) -> list[str]:
        """The class folders' names, by label."""
        named = {label: Path(path).parts[-2] for path, label in zip(self.paths, self.labels.tolist(), strict=True)}
        return [named[label] for label in sorted(named)]

    def first(self, count: int) -> "FileSplit":
        """`count` images evenly spaced over the list: the first ones would all be of one class."""
        count = min(count, len(self))
        chosen = [i * len(self) // count for i in range(count)]
        return replace(self, paths=[self.paths[i] for i in chosen], labels=self.labels[chosen])

    def to(self, device: torch.device) -> "FileSplit":
        return replace(self, device=device)


Splits = tuple[Split, Split] | tuple[FileSplit, FileSplit]
Tell = Callable[[int, int], None]  # how many of how many files have been checked


def silent(done: int, total: int) -> None:
    """Tell nobody."""


class Verify(Protocol):
    """root -> one line a file or split that is whole; DataError where something is missing or damaged."""

    def __call__(self, root: Path, tell: Tell = silent, /) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set by name.

    Args:
        name: as users type it.
        classes, channels, size, train, test: what `load` returns: classes, C, (H, W) and numbers of images. No size:
            photographs of many sizes, cut to the one that a run asks for (see `at`).
        recipe, model: what a run on it starts from where the user names none.
        source: where the images come from.
        load: folder -> (training split, test split); DataError where files are missing or damaged.
        verify: folder -> one line a file or split checked; DataError where one is missing or damaged.
        fetch: folder -> downloads into it; None where nothing is to be fetched.
        files: images are decoded from files while training goes on.
        task: what is learned from it, by the name of a `bamgate.tasks` task; `classes` is then how many numbers the
            network answers with.
    """

    name: str
    classes: int
    channels: int
    size: tuple[int, int] | None
    train: int
    test: int
    recipe: str
    model: str
    source: str
    load: Callable[[Path], Splits]
    verify: Verify
    fetch: Callable[[Path], None] | None = None
    files: bool = False
    task: str = FIRST_TASK

    @property
    def image_shape(self) -> tuple[int, int, int]:
        assert self.size is not None, "at() says the size"
        return (self.channels, *self.size)

    def at(self, image_size: int | None) -> "DataSet":
        """This data set with images of `image_size` pixels a side; UsageError unless that is to be chosen."""
        if image_size is None:
            if self.size is None:
                raise UsageError(f"image_size is missing: {self.name} has images of many sizes (224 is usual)")
            return self
        if not self.files:
            _, height, width = self.image_shape
            raise UsageError(f"image_size would have no effect: {self.name} images are {height}x{width}; leave it out")
        return replace(self, size=(image_size, image_size))


def check_augment(augment: str, *, files: bool) -> None:
    """UsageError where images of this kind have no such augmentation."""
    kinds = {False: "images of one size", True: "image folders"}
    if augment not in AUGMENTS[files]:
        raise UsageError(
            f"augment {augment!r} is for {kinds[not files]}; for {kinds[files]} there are: {', '.join(AUGMENTS[files])}"
        )


DATASETS: Registry[DataSet] = Registry("dataset", "bamgate.datasets")


HOMELESS = Path("~") / ".cache" / "bamgate"  # a data folder that nobody has named, of a user without a home


def default_root() -> Path:
    """$BAMGATE_DATA, or ~/.cache/bamgate; `HOMELESS` for a user without a home, as containers have them.

    Raises:
        UsageError: BAMGATE_DATA begins with the home of a user who has none.
    """
    named = os.environ.get("BAMGATE_DATA")
    try:
        return Path(named or HOMELESS).expanduser()
    except RuntimeError:
        if named:
            raise UsageError(f"BAMGATE_DATA is {named!r}, and there is no such home; name the whole path") from None
        return HOMELESS


def named_root(root: Path) -> Path:
    """`root`; UsageError if nobody has named it and it is needed."""
    if root == HOMELESS:
        raise UsageError(
            "there is no home folder to keep data sets in (HOME is not set); name --data-dir or set BAMGATE_DATA"
        )
    return root


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
