"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships (UCI; Alpaydin, Kaynak 1998), split once."""

import importlib.util
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bamgate.data.dataset import DATASETS, DataSet, Split, checked, describe_generated, silent
from bamgate.errors import DataError, one_line
from bamgate.seeding import hashed_integers

TRAIN, TEST = 1297, 500
SHA256 = (
    "40ec588f50591797551f3eaac2759a2b0aabe1dd356bf525aa7fb04c6b41ba72",
    "2d11642adf706736fb37309509a0bdd870015bfe787e39d4c480b42ea368ce11",
)


def digit_images() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(1797, 8, 8) ink from 0 to 16 and (1797,) labels, in a fixed random order: training split, then test split.

    Shuffled, because the file is grouped by writer: its end would be a test set of other writers.
    """
    rows = _shipped()
    keys = hashed_integers(1797, torch.arange(TRAIN + TEST), 1 << 20)
    order = torch.argsort(keys, stable=True).numpy()
    return rows[:, :-1].reshape(-1, 8, 8)[order], rows[:, -1][order]


def _shipped() -> NDArray[np.int64]:
    """(1797, 65) pixels and label, as scikit-learn ships them."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("the digits come with scikit-learn, which is not installed: pip install scikit-learn")
    # Read the file without importing scikit-learn, which takes as long as an epoch.
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        try:
            return np.loadtxt(path, delimiter=",").astype(np.int64)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"{path} cannot be read ({one_line(error)}); install scikit-learn again") from None
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    return np.column_stack([data, target]).astype(np.int64)


def load(root: Path) -> tuple[Split, Split]:
    ink, labels = digit_images()
    images = torch.from_numpy(np.minimum(ink * 16, 255).astype(np.uint8))[..., None]
    classes = torch.from_numpy(labels)
    train = Split(images=images[:TRAIN], labels=classes[:TRAIN])
    test = Split(images=images[TRAIN:], labels=classes[TRAIN:])
    return checked((train, test), SHA256)


DATASETS.register(
    "digits",
    DataSet(
        name="digits",
        classes=10,
        channels=1,
        size=(8, 8),
        train=TRAIN,
        test=TEST,
        recipe="quick",
        model="resnet8",
        source="UCI handwritten digits, as scikit-learn ships them",
        load=load,
        verify=lambda root, tell=silent, /: describe_generated(load(root)),
    ),
)
