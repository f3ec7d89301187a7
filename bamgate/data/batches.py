"""What training sees of a data set, whether its images are in memory or in files."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from bamgate.config import TrainingConfig
from bamgate.data.dataset import DataSet, FileSplit, Splits
from bamgate.data.files.loader import FileLoader
from bamgate.data.memory.loader import ImageLoader, Normalisation


class Batches(Protocol):
    """Training and test batches of one run, on its device. x is float B, C, H, W, normalised.

    Args:
        seed: of order and augmentation.
        steps: training batches per epoch.
        test_labels: int64 N, in the order of `evaluation_batches`.
        normalise: from bytes to x.
    """

    seed: int
    steps: int
    normalise: Normalisation
    test_labels: Tensor

    def order(self, epoch: int) -> Tensor:
        """The permutation of the training images in `epoch`."""
        ...

    def training_batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) for each step of an epoch, from step `first` on: a resumed run starts within an epoch."""
        ...

    def evaluation_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) of all test images."""
        ...

    def probe_batch(self, count: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """(x, labels, masks) of at most `count` test images; masks are bool B, H, W, or None if there are none."""
        ...

    def begin(self) -> None:
        """Start whatever the batches need; TryAgainError if the machine runs short of something."""
        ...

    def close(self) -> None:
        """Release what was held for the batches."""
        ...


def make_loader(data: DataSet, splits: Splits, training: TrainingConfig, *, seed: int, workers: int) -> Batches:
    """Batches of either kind of split, on the device of the splits.

    Args:
        workers: number of decoders, for image files only.
    """
    train, test = splits
    if isinstance(train, FileSplit):
        assert isinstance(test, FileSplit)
        return FileLoader(
            train,
            test,
            size=data.image_shape[1],
            batch_size=training.batch_size,
            augment=training.augment,
            channels_last=training.channels_last,
            seed=seed,
            workers=workers,
        )
    assert not isinstance(test, FileSplit)
    return ImageLoader(
        train,
        test,
        batch_size=training.batch_size,
        augment=training.augment,
        padding=training.crop_padding,
        channels_last=training.channels_last,
        seed=seed,
    )
