"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), read, downloaded and checked through torchvision."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bamgate.data.dataset import DATASETS, DataSet, Split
from bamgate.errors import DataError


def _torchvision_class(classes: int) -> Any:
    from torchvision import datasets

    return datasets.CIFAR100 if classes == 100 else datasets.CIFAR10


def _known_files(kind: Any) -> list[tuple[str, str]]:
    """(file name, md5) of every file that torchvision reads."""
    meta = (kind.meta["filename"], kind.meta["md5"])
    return [*map(tuple, kind.train_list), *map(tuple, kind.test_list), meta]


def verify(classes: int, root: Path) -> list[str]:
    """Check every file's md5 against torchvision's table; one line each, DataError at the first that is wrong."""
    kind = _torchvision_class(classes)
    folder, lines = root / kind.base_folder, []
    for name, md5 in _known_files(kind):
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"{path} is missing; `bamgate data get cifar{classes}` downloads it, "
                f"or put the official files into {folder} (--data-dir or BAMGATE_DATA names another folder than {root})"
            )
        found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if found != md5:
            raise DataError(
                f"{path} is damaged: md5 {found} instead of {md5}; delete it and run `bamgate data get cifar{classes}`"
            )
        lines.append(f"{path.name}: {path.stat().st_size} bytes, md5 {md5} ok")
    return lines


def load(classes: int, root: Path) -> tuple[Split, Split]:
    """The official splits, 50,000 and 10,000 images of 32 x 32 x 3; every file is checked first."""
    verify(classes, root)
    kind = _torchvision_class(classes)
    train, test = (_split(kind(root, train=part, download=False)) for part in (True, False))
    return train, test


def _split(source: Any) -> Split:
    return Split(images=torch.from_numpy(source.data), labels=torch.tensor(source.targets))


def fetch(classes: int, root: Path) -> None:
    """Download through torchvision; DataError that names the folder where that cannot be done."""
    kind = _torchvision_class(classes)
    try:
        kind(root, train=True, download=True)
    except Exception as error:  # urllib, tarfile and torchvision each have their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"cifar{classes} cannot be downloaded ({reason}); "
            f"put the official files {', '.join(name for name, _ in _known_files(kind))} into {root / kind.base_folder}"
        ) from error


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
