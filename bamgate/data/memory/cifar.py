"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), downloaded and read by torchvision."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bamgate.data.dataset import DATASETS, DataSet, Split, Tell, named_root, silent
from bamgate.data.memory.official import check_files, download


def _torchvision_class(classes: int) -> Any:
    from torchvision import datasets

    return datasets.CIFAR100 if classes == 100 else datasets.CIFAR10


def _known_files(kind: Any) -> list[tuple[str, str]]:
    """(file name, md5) of every file that torchvision reads."""
    meta = (kind.meta["filename"], kind.meta["md5"])
    return [*map(tuple, kind.train_list), *map(tuple, kind.test_list), meta]


def verify(classes: int, root: Path, tell: Tell = silent, /) -> list[str]:
    """Check the md5 of every file against torchvision's table; one line each. DataError at the first that differs."""
    kind = _torchvision_class(classes)
    return check_files(f"cifar{classes}", named_root(root) / kind.base_folder, root, _known_files(kind))


def load(classes: int, root: Path) -> tuple[Split, Split]:
    """The official splits, 50,000 and 10,000 images of 32 x 32 x 3. Every file is checked first."""
    verify(classes, root)
    kind = _torchvision_class(classes)
    train, test = (_split(kind(root, train=part, download=False)) for part in (True, False))
    return train, test


def _split(source: Any) -> Split:
    return Split(images=torch.from_numpy(source.data), labels=torch.tensor(source.targets))


def fetch(classes: int, root: Path) -> None:
    """Download by torchvision; if that fails, DataError that names the folder for the files."""
    kind = _torchvision_class(classes)
    folder = named_root(root) / kind.base_folder
    download(f"cifar{classes}", folder, _known_files(kind), lambda: kind(root, train=True, download=True))


def _register(classes: int) -> None:
    loader: Callable[[Path], tuple[Split, Split]] = partial(load, classes)
    DATASETS.register(
        f"cifar{classes}",
        DataSet(
            name=f"cifar{classes}",
            classes=classes,
            channels=3,
            size=(32, 32),
            train=50_000,
            test=10_000,
            recipe="cifar",
            model="resnet20",
            source="Krizhevsky 2009; downloaded by torchvision from its author's site",
            load=loader,
            verify=partial(verify, classes),
            fetch=partial(fetch, classes),
        ),
    )


_register(10)
_register(100)
