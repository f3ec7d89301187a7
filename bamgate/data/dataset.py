"""What a data set is: facts, a loader of two splits, and how its files are checked and downloaded."""

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

# By whether images are files. Small images of one size are padded and cropped to their own size; from photographs of
# any size a random part is taken and resized.
AUGMENTS = {False: ("none", "crop", "crop-flip"), True: ("none", "resized-crop-flip")}

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images of one split, as bytes.

    Args:
        images: uint8 N, H, W, C.
        labels: classes, int64 N; for another task its targets, N of any type.
        masks: bool N, H, W, true on the object; None if that is not known.
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
        root: folder to which the paths are relative.
        paths: N files, sorted by class and name.
        labels: int64 N.
        listing_sha256: of names and sizes of all files of the data set, in both splits.
        device: where its batches go.
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
        """The names of the class folders, by label."""
        named = {label: Path(path).parts[-2] for path, label in zip(self.paths, self.labels.tolist(), strict=True)}
        return [named[label] for label in sorted(named)]

    def first(self, count: int) -> "FileSplit":
        """`count` images evenly spaced over the list, which is sorted: the first ones would all be of one class."""
        count = min(count, len(self))
        chosen = [i * len(self) // count for i in range(count)]
        return replace(self, paths=[self.paths[i] for i in chosen], labels=self.labels[chosen])

    def to(self, device: torch.device) -> "FileSplit":
        return replace(self, device=device)


Splits = tuple[Split, Split] | tuple[FileSplit, FileSplit]
Tell = Callable[[int, int], None]  # is called with the number of files checked, and of all files


def silent(done: int, total: int) -> None:
    """Report no progress."""


class Verify(Protocol):
    """root -> one line for each intact file or split; DataError if something is missing or damaged."""

    def __call__(self, root: Path, tell: Tell = silent, /) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set by name.

    Args:
        name: as users type it.
        classes, channels, train, test: number of classes, C, and numbers of images in the splits of `load`.
        size: (H, W); None for photographs of many sizes, which are cut to the size that a run asks for (see `at`).
        recipe, model: the defaults of a run on this data set.
        source: where the images come from.
        load: folder -> (training split, test split); DataError if files are missing or damaged.
        verify: folder -> one line for each file or split; DataError if one is missing or damaged.
        fetch: downloads into a folder; None if there is nothing to download.
        files: images are decoded from files during training.
        task: what a network learns from it, a name in `bamgate.tasks`. For a task other than classification, `classes`
            is the number of outputs of the network.
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
        assert self.size is not None, "call at() first: it sets the size"
        return (self.channels, *self.size)

    def at(self, image_size: int | None) -> "DataSet":
        """This data set with images of `image_size` pixels per side.

        Raises:
            UsageError: the size is missing, or given although the data set has a fixed one.
        """
        if image_size is None:
            if self.size is None:
                raise UsageError(f"image_size is missing: {self.name} has images of many sizes (224 is usual)")
            return self
        if not self.files:
            _, height, width = self.image_shape
            raise UsageError(f"image_size would have no effect: {self.name} images are {height}x{width}; leave it out")
        return replace(self, size=(image_size, image_size))


def check_augment(augment: str, *, files: bool) -> None:
    """UsageError if images of this kind have no such augmentation."""
    kinds = {False: "images of one size", True: "image folders"}
    if augment not in AUGMENTS[files]:
        raise UsageError(
            f"augment {augment!r} is for {kinds[not files]} (allowed for {kinds[files]}: {', '.join(AUGMENTS[files])})"
        )


DATASETS: Registry[DataSet] = Registry("dataset", "bamgate.datasets")


HOMELESS = Path("~") / ".cache" / "bamgate"  # stands for a data folder that was not named and cannot be found


def default_root() -> Path:
    """$BAMGATE_DATA, or ~/.cache/bamgate; `HOMELESS` if the user has no home, as in some containers.

    No error in that case: most data sets here need no folder. `named_root` raises it for those that do.

    Raises:
        UsageError: BAMGATE_DATA starts with ~, and that user has no home.
    """
    named = os.environ.get("BAMGATE_DATA")
    try:
        return Path(named or HOMELESS).expanduser()
    except RuntimeError:
        if named:
            raise UsageError(f"BAMGATE_DATA is {named!r}, but there is no such home; give the full path") from None
        return HOMELESS


def named_root(root: Path) -> Path:
    """Return `root`, which is needed now; UsageError if it was not named and there is no home for a default."""
    if root == HOMELESS:
        raise UsageError("there is no home folder for data sets (HOME is not set); pass --data-dir or set BAMGATE_DATA")
    return root


def describe_generated(splits: tuple[Split, Split]) -> list[str]:
    """The lines of `verify` for splits that have passed `checked`."""
    names = zip(("train", "test"), splits, strict=True)
    return [f"{name}: {len(split)} images, sha256 {split.sha256()[:16]}... ok" for name, split in names]


def checked(splits: tuple[Split, Split], expected: tuple[str, str]) -> tuple[Split, Split]:
    """Return generated or packaged splits; DataError if the sha256 of one is not the `expected` one."""
    for name, split, known in zip(("train", "test"), splits, expected, strict=True):
        found = split.sha256()
        if found != known:
            raise DataError(
                f"{name} split: sha256 {found[:16]}... instead of {known[:16]}...; an installed library has changed it"
            )
    return splits
