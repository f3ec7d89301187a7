"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), from its official files, whose md5 and address torchvision knows."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bamgate.data.dataset import DATASETS, DataSet, Split, Tell, named_root, silent
from bamgate.data.memory.official import check_files, download, read_bytes

NAME = "fashion-mnist"
HEADER = {"images": 16, "labels": 8}  # bytes before the first pixel and the first label


def _torchvision_class() -> Any:
    from torchvision import datasets

    return datasets.FashionMNIST


def _folder(root: Path) -> Path:
    """The folder in which torchvision keeps the files."""
    return named_root(root) / "FashionMNIST" / "raw"


def verify(root: Path, tell: Tell = silent, /) -> list[str]:
    """Check the md5 of every file against torchvision's table; one line each. DataError at the first that differs."""
    return check_files(NAME, _folder(root), root, _torchvision_class().resources)


def load(root: Path) -> tuple[Split, Split]:
    """The official splits, 60,000 and 10,000 images of 28 x 28 x 1. Every file is checked first."""
    verify(root)
    return _split(_folder(root), "train"), _split(_folder(root), "t10k")


def _split(folder: Path, part: str) -> Split:
    labels = _bytes(folder / f"{part}-labels-idx1-ubyte.gz", HEADER["labels"])
    images = _bytes(folder / f"{part}-images-idx3-ubyte.gz", HEADER["images"])
    return Split(images=images.reshape(len(labels), 28, 28, 1), labels=labels.long())


def _bytes(path: Path, header: int) -> Tensor:
    # A copy, since a tensor on the read-only bytes would warn.
    return torch.from_numpy(np.frombuffer(gzip.decompress(read_bytes(path)), np.uint8, offset=header).copy())


def fetch(root: Path) -> None:
    """Download files that are missing or damaged; if that fails, DataError that names the folder for the files."""
    from torchvision.datasets.utils import download_url

    kind, folder = _torchvision_class(), _folder(root)

    # Not by torchvision's class: if an unpacked copy lies beside a missing file, it downloads nothing.
    def fetch_all() -> None:
        for name, md5 in kind.resources:
            download_url(kind.mirrors[0] + name, folder, name, md5)

    download(NAME, folder, kind.resources, fetch_all)


DATASETS.register(
    NAME,
    DataSet(
        name=NAME,
        classes=10,
        channels=1,
        size=(28, 28),
        train=60_000,
        test=10_000,
        recipe="cifar",
        model="resnet20",
        source="Xiao, Rasul, Vollgraf 2017; downloaded by torchvision from its authors' site",
        load=load,
        verify=verify,
        fetch=fetch,
    ),
)
