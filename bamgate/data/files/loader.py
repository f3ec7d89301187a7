"""Batches from image files: decoded and cropped by decoders, moved as bytes, normalised on the device.

The crop of a sample depends on (seed, epoch, index) alone, so a run depends neither on the number of decoders nor on
interruptions.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bamgate.data.dataset import FileSplit, check_augment
from bamgate.data.files.crops import chances, evaluation_crop, training_crop
from bamgate.data.files.decode import read_image
from bamgate.data.files.processes import answers, begin, shortage, unadvised
from bamgate.data.memory.loader import Normalisation, epoch_order, steps_an_epoch
from bamgate.errors import BamgateError, TryAgainError
from bamgate.seeding import generator, stream_key

# ImageNet's mean and SD on the scale 0 to 1, which are in general use for photographs.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Request(NamedTuple):
    """A batch to be made.

    Args:
        paths: files, relative to the root of the split.
        numbers: indices of the images in their split.
        key: stream of the random crops; None to take the middle of each image.
    """

    paths: list[str]
    numbers: list[int]
    key: int | None


class FileLoader:
    """Training and test batches of one run.

    Args:
        train, test: splits; batches go to their device.
        size: pixels per side of the images that the network sees.
        batch_size: images per training step; the incomplete last batch of an epoch is dropped.
        augment: "none" (the middle of each image) or "resized-crop-flip".
        seed: of order and augmentation.
        workers: number of decoders; 0 decodes in this process.

    One pass at a time: starting a new one ends the one before. A file that cannot be decoded is a DataError.
    """

    def __init__(
        self,
        train: FileSplit,
        test: FileSplit,
        *,
        size: int,
        batch_size: int,
        augment: str,
        channels_last: bool,
        seed: int,
        workers: int,
    ) -> None:
        check_augment(augment, files=True)
        self.steps = steps_an_epoch(len(train), batch_size)
        self.train, self.test, self.batch_size = train, test, batch_size
        self.augment, self.seed, self.workers = augment, seed, workers
        self.channels_last, self.device = channels_last, train.device
        mean, std = (torch.tensor(values, device=self.device) * 255 for values in (MEAN, STD))
        self.normalise = Normalisation(mean=mean, std=std)
        self.test_labels = test.labels.to(self.device)
        self._decoder = Decoder(train.root, size)
        self._queue = _Queue()
        self._processes: DataLoader[Any] | None = None
        self._pass = 0

    def order(self, epoch: int) -> Tensor:
        """The permutation of the training images in `epoch`."""
        return epoch_order(len(self.train), self.seed, epoch)

    def training_batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) for each step from `first` on; x is float B, C, H, W."""
        order = self.order(epoch)[first * self.batch_size : self.steps * self.batch_size]
        key = stream_key(self.seed, "augmentation", epoch) if self.augment == "resized-crop-flip" else None
        return self._batches(self.train, order, self.batch_size, key)

    def evaluation_batches(self, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) of the test images in order, by default as many at once as in a training step."""
        return self._batches(self.test, torch.arange(len(self.test)), size or self.batch_size, None)

    def probe_batch(self, count: int) -> tuple[Tensor, Tensor, None]:
        """(x, labels, None) of test images of all classes.

        There are at most as many as in a training step, for which memory is known to suffice.
        """
        part = self.test.first(min(count, self.batch_size))
        x, labels = next(self._batches(part, torch.arange(len(part)), len(part), None))
        return x, labels, None

    def begin(self) -> None:
        """Start the decoders, and check that each can hand over as many batches at once as it will have to.

        Raises:
            TryAgainError: not all of them can be started or can send their batches. Those that run are ended.
            DataError: the first test image cannot be decoded.
        """
        if self.workers:
            try:
                # torch prefetches two batches per process, each in shared memory or an open file. So a limit on these
                # is found now, rather than hours into a run.
                one = Request(self.test.paths[:1], [0], None)
                list(self._answers([one] * (2 * self.workers)))
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the decoders; the next batch would start new ones."""
        self._processes = None

    def _batches(self, split: FileSplit, order: Tensor, size: int, key: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.split(order, size)
        made = self._answers(Request([split.paths[i] for i in row.tolist()], row.tolist(), key) for row in rows)
        # All labels at once: a copy for each batch would make the device wait each time.
        labels = torch.split(split.labels[order].to(self.device), size)
        for images, wanted in zip(made, labels, strict=True):
            # Moved as bytes, a quarter of the size of floats.
            images = images.to(self.device, non_blocking=True).permute(0, 2, 3, 1)
            x = self.normalise(images, channels_last=self.channels_last)
            yield x, wanted

    def _answers(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """uint8 B, C, S, S for each request, in order."""
        self._pass = present = self._pass + 1
        made = map(self._decoder.__getitem__, requests) if self.workers == 0 else self._from_processes(requests)
        try:
            for answer in made:
                assert present == self._pass, "another pass over the same loader has begun"
                if isinstance(answer, BamgateError):
                    raise answer
                yield answer
        finally:
            del made  # otherwise the traceback of an error would keep the processes alive

    def _from_processes(self, requests: Iterable[Request]) -> Iterator[Tensor | BamgateError]:
        if self._processes is None:
            # Imported before the decoders start, which inherit it: each would take seconds for it.
            import torchvision.transforms.v2.functional  # noqa: F401

            with unadvised():
                self._processes = DataLoader(
                    self._decoder,
                    batch_size=None,
                    sampler=self._queue,
                    num_workers=self.workers,
                    persistent_workers=True,
                    pin_memory=self.device.type == "cuda",
                    worker_init_fn=begin,
                    generator=generator(self.seed, "workers"),  # otherwise torch would draw from its global one
                )
        self._queue.requests = requests
        return answers(self._processes)


class Decoder(Dataset[Tensor | BamgateError]):
    """The work of a decoder: request -> its images, or the error that says what is wrong with one of them.

    Errors are returned, not raised: torch would wrap an exception in another one, with the decoder's traceback as text.
    """

    def __init__(self, root: Path, size: int) -> None:
        self.root, self.size = root, size

    def __getitem__(self, request: Request) -> Tensor | BamgateError:
        try:
            return self._images(request)
        except BamgateError as error:
            return error
        except (MemoryError, OSError, RuntimeError) as error:
            if reason := shortage(error):
                return TryAgainError(f"{len(request.paths)} images cannot be decoded now: {reason}")
            raise

    def _images(self, request: Request) -> Tensor:
        images = torch.empty(len(request.paths), 3, self.size, self.size, dtype=torch.uint8)
        random = [] if request.key is None else chances(request.key, request.numbers)
        for i, path in enumerate(request.paths):
            image = read_image(self.root / path)
            images[i] = training_crop(image, self.size, random[i]) if random else evaluation_crop(image, self.size)
        return images


class _Queue:
    """The sampler of torch's DataLoader: the requests of the present pass.

    It can be replaced for each pass, so that training and evaluation share the same processes.
    """

    requests: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)
