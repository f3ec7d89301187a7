"""Image folders by name: `folder:NAME` is DATA_DIR/NAME/{train,val}/CLASS/*.jpg, `imagenet` one with known counts."""

from functools import partial
from pathlib import Path

import torch

from bamgate.data.dataset import DATASETS, DataSet, FileSplit, Tell, named_root, silent
from bamgate.data.files.listing import Listing, list_images
from bamgate.data.files.verify import verify_images
from bamgate.errors import DataError, UsageError, unknown

PREFIX = "folder:"
IMAGE_SIZE = 224  # default pixels per side
CLASSES, TRAIN, TEST = 1000, 1_281_167, 50_000


def find_dataset(name: str, root: Path) -> DataSet:
    """The data set `name`; image folders are looked up in the folder `root`.

    Raises:
        UsageError: there is no such name.
        DataError: the folder of `folder:NAME` is missing, or its content is wrong.
    """
    if not name.startswith(PREFIX):
        if name not in DATASETS:
            if "/" not in name and (root / name).is_dir():
                raise UsageError(f"unknown dataset {name!r}; for the folder {root / name} say {PREFIX}{name}")
            raise unknown("dataset", name, [*DATASETS.names(), f"{PREFIX}NAME"])
        return DATASETS.get(name)
    folder = name.removeprefix(PREFIX)
    # One plain name: the name is stored with the run and must mean the same folder on another machine.
    if folder in ("", ".", "..") or "/" in folder or "\\" in folder:
        raise UsageError(f"dataset {name!r} must name one folder in the data folder (--data-dir), as {PREFIX}NAME")
    listing = list_images(named_root(root) / folder)
    return _data_set(name, folder, len(listing.classes), _count(listing.train), _count(listing.test))


def _data_set(name: str, folder: str, classes: int, train: int, test: int) -> DataSet:
    return DataSet(
        name=name,
        classes=classes,
        channels=3,
        size=None,
        train=train,
        test=test,
        recipe="imagenet",
        model="resnet18",
        source=f"your own images in {folder}/{{train,val}}/CLASS/",
        load=partial(load, folder),
        verify=partial(verify, folder),
        files=True,
    )


def load(folder: str, root: Path) -> tuple[FileSplit, FileSplit]:
    """Both splits, as lists of files; nothing is decoded yet."""
    return _splits(list_images(root / folder))


def verify(folder: str, root: Path, tell: Tell = silent, /) -> list[str]:
    """Decode every file; see `verify_images`."""
    return verify_images(list_images(root / folder), tell)


def _splits(listing: Listing) -> tuple[FileSplit, FileSplit]:
    sha256 = listing.sha256()
    train, test = (
        FileSplit(
            root=listing.root,
            paths=[path for files in split for path in files],
            labels=torch.tensor([label for label, files in enumerate(split) for _ in files]),
            listing_sha256=sha256,
        )
        for split in (listing.train, listing.test)
    )
    return train, test


def _count(split: list[list[str]]) -> int:
    return sum(map(len, split))


def _imagenet(root: Path) -> Listing:
    """The listing of ImageNet-1K; DataError if it is incomplete."""
    folder = named_root(root) / "imagenet"
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; {_HOW_TO_GET.format(folder)}")
    _refuse_flat_validation(folder / "val")
    listing = list_images(folder)
    for what, found, known in (
        ("classes", len(listing.classes), CLASSES),
        ("training images", _count(listing.train), TRAIN),
        ("validation images", _count(listing.test), TEST),
    ):
        if found != known:
            raise DataError(
                f"{folder} has {found:,} {what}, ImageNet-1K has {known:,}; "
                f"complete it, or use it as your own data set: --dataset {PREFIX}imagenet"
            )
    return listing


_HOW_TO_GET = (
    "ImageNet-1K needs an account at https://image-net.org and cannot be downloaded here; unpack its training and "
    "validation images (ILSVRC2012) to {0}/train/nXXXXXXXX/ and {0}/val/nXXXXXXXX/ (or elsewhere, with --data-dir)"
)


def _refuse_flat_validation(folder: Path) -> None:
    # Before the general check, whose message would not say how to sort 50,000 images.
    if folder.is_dir() and any(folder.glob("ILSVRC2012_val_*")):
        raise DataError(
            f"{folder} holds the validation images side by side, as in the archive; sort them into class folders by "
            "the ground truth of the development kit (many copies come with a script for that, valprep.sh)"
        )


def _fetch_imagenet(root: Path) -> None:
    if not (named_root(root) / "imagenet").is_dir():
        raise DataError(_HOW_TO_GET.format(root / "imagenet"))


DATASETS.register(
    "imagenet",
    DataSet(
        name="imagenet",
        classes=CLASSES,
        channels=3,
        size=None,
        train=TRAIN,
        test=TEST,
        recipe="imagenet",
        model="resnet18",
        source="ImageNet-1K (ILSVRC 2012) in imagenet/{train,val}/nXXXXXXXX/; needs an account at image-net.org",
        load=lambda root: _splits(_imagenet(root)),
        verify=lambda root, tell=silent, /: verify_images(_imagenet(root), tell),
        fetch=_fetch_imagenet,
        files=True,
    ),
)
