"""Batches from images that live on the device as bytes: crop, flip and normalisation as tensor operations.

A sample's crop and flip come from (seed, epoch, index) alone, so a run does not depend on how it was cut into calls.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bamgate.data.dataset import Split, check_augment
from bamgate.errors import UsageError
from bamgate.seeding import generator, hashed_integers, stream_key


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Per-channel mean and standard deviation of the training bytes, on the scale 0 to 255; on the images' device."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, split: Split) -> "Normalisation":
        """Measured in integers, so that every machine gets the same."""
        channels, device = split.images.shape[-1], split.images.device
        values = torch.stack([torch.bincount(split.images[..., c].flatten(), minlength=256) for c in range(channels)])
        values, grey = values.cpu(), torch.arange(256)
        count = int(values[0].sum())
        mean = (values * grey).sum(dim=1).double() / count
        square = (values * grey**2).sum(dim=1).double() / count
        return cls(mean=mean.to(device), std=(square - mean**2).clamp_min(1.0).sqrt().to(device))

    def __call__(self, images_BHWC: Tensor, *, channels_last: bool) -> Tensor:
        """uint8 B, H, W, C -> float B, C, H, W with mean 0 and SD 1."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        # Into its layout as bytes, a quarter of the floats; in place, as fresh memory costs more than the arithmetic.
        x = images_BHWC.permute(0, 3, 1, 2).contiguous(memory_format=layout).float()
        mean, std = self.mean.float(), self.std.float()
        if channels_last:
            # Whole rows at once: three neighbours at a time are slow on a CPU.
            _, channels, height, width = x.shape
            rows = x.permute(0, 2, 3, 1).view(-1, height, width * channels)
            rows.sub_(mean.repeat(width)).div_(std.repeat(width))
        else:
            x.sub_(mean[:, None, None]).div_(std[:, None, None])
        return x


def steps_an_epoch(images: int, batch_size: int) -> int:
    """Whole batches in an epoch; UsageError where there is none."""
    if images < batch_size:
        raise UsageError(f"batch_size {batch_size} is more than the {images} training images; choose a smaller one")
    return images // batch_size


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The permutation of the training images in `epoch`."""
    return torch.randperm(images, generator=generator(seed, "order", epoch))


def augmented(
    images_BHWC: Tensor, *, key: int, index_B: Tensor, padding: int, size: tuple[int, int], flip: bool
) -> Tensor:
    """Crop `size` out of images that are padded already, and flip half of them, in one gather.

    Args:
        images_BHWC: all padded images, uint8 N, H + 2 padding, W + 2 padding, C.
        key: stream of this seed and epoch.
        index_B: which images; their crops depend on (key, index) only.
    """
    height, width = size
    top, left, mirror = (
        hashed_integers(key, index_B * 3 + part, below) for part, below in enumerate((2 * padding + 1,) * 2 + (2,))
    )
    rows = top[:, None] + torch.arange(height, device=index_B.device)
    columns = torch.arange(width, device=index_B.device).expand(len(index_B), width)
    if flip:
        columns = torch.where(mirror[:, None] == 1, width - 1 - columns, columns)
    columns = left[:, None] + columns
    return images_BHWC[index_B[:, None, None], rows[:, :, None], columns[:, None, :]]


class ImageLoader:
    """Training and test batches of one run.

    Args:
        train, test: splits, already on the device.
        batch_size: images a training step; the incomplete last batch of an epoch is left out.
        augment: "none", "crop" or "crop-flip".
        padding: pixels of black around a training image before the crop.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        train: Split,
        test: Split,
        *,
        batch_size: int,
        augment: str,
        padding: int,
        channels_last: bool,
        seed: int,
    ) -> None:
        check_augment(augment, files=False)
        self.steps = steps_an_epoch(len(train), batch_size)
        self.test, self.batch_size, self.seed = test, batch_size, seed
        self.flip = augment == "crop-flip"
        self.padding = 0 if augment == "none" else padding
        self.size = (train.images.shape[1], train.images.shape[2])
        self.channels_last = channels_last
        self.normalise = Normalisation.of(train)
        self.test_labels, self._labels = test.labels, train.labels
        self._padded = F.pad(train.images, (0, 0, *(self.padding,) * 4))

    def order(self, epoch: int) -> Tensor:
        """The permutation of the training images in `epoch`."""
        return epoch_order(len(self._labels), self.seed, epoch)

    def training_batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) for the steps from `first` on; x is float B, C, H, W."""
        order = self.order(epoch).to(self._labels.device)
        key = stream_key(self.seed, "augmentation", epoch)
        for step in range(first, self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield self.normalise(self._crop(index, key), channels_last=self.channels_last), self._labels[index]

    def _crop(self, index: Tensor, key: int) -> Tensor:
        if not self.padding:
            return self._padded[index]
        return augmented(self._padded, key=key, index_B=index, padding=self.padding, size=self.size, flip=self.flip)

    def evaluation_batches(self, size: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.test), size):
            images, labels = self.test.images[start : start + size], self.test.labels[start : start + size]
            yield self.normalise(images, channels_last=self.channels_last), labels

    def probe_batch(self, count: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """(x, labels, masks) of the first `count` test images."""
        part = self.test.first(count)
        return self.normalise(part.images, channels_last=self.channels_last), part.labels, part.masks

    def begin(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""
