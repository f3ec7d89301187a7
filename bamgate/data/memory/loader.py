"""Batches from images that are on the device as bytes: crop, flip and normalisation as tensor operations.

The crop and flip of a sample depend on (seed, epoch, index) alone, so a run does not depend on interruptions.
"""

import functools
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
    """Mean and standard deviation per channel, on the scale 0 to 255 and on the device of the images."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, split: Split) -> "Normalisation":
        """Measure them on the training images; in integers, so that every machine gets the same values."""
        # Counting the 256 values and summing over the counts is exact. A sum of floats depends on its order.
        channels, device = split.images.shape[-1], split.images.device
        values = torch.stack([torch.bincount(split.images[..., c].flatten(), minlength=256) for c in range(channels)])
        values, grey = values.cpu(), torch.arange(256)
        count = int(values[0].sum())
        mean = (values * grey).sum(dim=1).double() / count
        square = (values * grey**2).sum(dim=1).double() / count
        # At least 1, so that a channel of one colour is not divided by 0.
        return cls(mean=mean.to(device), std=(square - mean**2).clamp_min(1.0).sqrt().to(device))

    def __call__(self, images_BHWC: Tensor, *, channels_last: bool) -> Tensor:
        """uint8 B, H, W, C -> float B, C, H, W with mean 0 and SD 1."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        # Change the layout while the images are bytes, a quarter of the size. Then compute in place, since new memory
        # costs more than the arithmetic.
        x = images_BHWC.permute(0, 3, 1, 2).contiguous(memory_format=layout).float()
        if channels_last:
            # Whole rows at once: broadcasting over the three channels, which lie side by side, is slow on a CPU.
            _, channels, height, width = x.shape
            mean, std = self._repeated(width)
            x.permute(0, 2, 3, 1).view(-1, height, width * channels).sub_(mean).div_(std)
        else:
            mean, std = self._repeated(1)
            x.sub_(mean[:, None, None]).div_(std[:, None, None])
        return x

    def _repeated(self, width: int) -> tuple[Tensor, Tensor]:
        """Mean and SD in fp32, repeated `width` times. Cached, since every batch needs them."""
        if width not in self._rows:
            self._rows[width] = (self.mean.float().repeat(width), self.std.float().repeat(width))
        return self._rows[width]

    @functools.cached_property
    def _rows(self) -> dict[int, tuple[Tensor, Tensor]]:
        return {}


def steps_an_epoch(images: int, batch_size: int) -> int:
    """The number of complete batches in an epoch; UsageError if there is none."""
    if images < batch_size:
        raise UsageError(f"batch_size {batch_size} is more than the {images} training images; choose a smaller one")
    return images // batch_size


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The permutation of the training images in `epoch`."""
    return torch.randperm(images, generator=generator(seed, "order", epoch))


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Where B images are cropped and whether they are mirrored: int64 B each."""

    top: Tensor
    left: Tensor
    mirror: Tensor

    @classmethod
    def draw(cls, key: int, index_B: Tensor, padding: int, *, flip: bool) -> "Crops":
        """Random crops of the images `index_B`; they depend on (key, index) only."""
        # Three random numbers per image. The mirror is drawn even if it is not used: other numbers stay the same.
        top, left, mirror = (
            hashed_integers(key, index_B * 3 + part, below) for part, below in enumerate((2 * padding + 1,) * 2 + (2,))
        )
        return cls(top=top, left=left, mirror=mirror if flip else torch.zeros_like(mirror))

    def part(self, where: slice) -> "Crops":
        return Crops(top=self.top[where], left=self.left[where], mirror=self.mirror[where])


class Cutter:
    """Crops `size` (height, width) out of padded images and mirrors them, in one gather."""

    def __init__(self, size: tuple[int, int], device: torch.device) -> None:
        height, width = size
        self.rows = torch.arange(height, device=device)
        columns = torch.arange(width, device=device)
        self.columns = torch.stack([columns, columns.flip(0)])  # indexed by Crops.mirror: 0 as it is, 1 mirrored

    def __call__(self, images_BHWC: Tensor, index_B: Tensor, crops: Crops) -> Tensor:
        """uint8 B, height, width, C, cut from all padded images, uint8 N, H, W, C."""
        rows = crops.top[:, None] + self.rows
        columns = crops.left[:, None] + self.columns[crops.mirror]
        return images_BHWC[index_B[:, None, None], rows[:, :, None], columns[:, None, :]]


def augmented(
    images_BHWC: Tensor, *, key: int, index_B: Tensor, padding: int, size: tuple[int, int], flip: bool
) -> Tensor:
    """Crop `size` out of padded images and, if `flip`, mirror half of them, in one gather.

    Args:
        images_BHWC: all padded images, uint8 N, H + 2 padding, W + 2 padding, C.
        key: stream of this seed and epoch.
        index_B: which images to take; their crops depend on (key, index) only.
    """
    crops = Crops.draw(key, index_B, padding, flip=flip)
    return Cutter(size, index_B.device)(images_BHWC, index_B, crops)


class ImageLoader:
    """Training and test batches of one run.

    Args:
        train, test: splits, already on the device.
        batch_size: images per training step; the incomplete last batch of an epoch is dropped.
        augment: "none", "crop" or "crop-flip".
        padding: black pixels around a training image before it is cropped.
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
        self._cut = Cutter((train.images.shape[1], train.images.shape[2]), train.device)
        self.channels_last = channels_last
        self.normalise = Normalisation.of(train)
        self.test_labels, self._labels = test.labels, train.labels
        self._padded = F.pad(train.images, (0, 0, *(self.padding,) * 4))

    def order(self, epoch: int) -> Tensor:
        """The permutation of the training images in `epoch`."""
        return epoch_order(len(self._labels), self.seed, epoch)

    def training_batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) for each step from `first` on; x is float B, C, H, W."""
        # Drawn on the CPU and moved: a generator on a GPU gives other numbers.
        order = self.order(epoch).to(self._labels.device)
        key = stream_key(self.seed, "augmentation", epoch)
        # The crops of the whole epoch at once: on a GPU each small operation costs as much as a large one.
        crops = Crops.draw(key, order, self.padding, flip=self.flip) if self.padding else None
        for step in range(first, self.steps):
            where = slice(step * self.batch_size, (step + 1) * self.batch_size)
            index = order[where]
            images = self._cut(self._padded, index, crops.part(where)) if crops else self._padded[index]
            yield self.normalise(images, channels_last=self.channels_last), self._labels[index]

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
