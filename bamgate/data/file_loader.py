"""Batches from image files: decoded and cut in worker processes, moved as bytes, normalised on the device.

A sample's crop comes from (seed, epoch, index) alone, so a run depends neither on how many workers there are nor on how
it was cut into calls.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bamgate.data.crops import chances, evaluation_crop, training_crop
from bamgate.data.dataset import FileSplit, check_augment
from bamgate.data.decode import read_image
from bamgate.data.loader import Normalisation, epoch_order, steps_an_epoch
from bamgate.errors import DataError, TryAgainError
from bamgate.seeding import generator, stream_key

# ImageNet's, on the scale 0 to 1; what everybody uses for photographs.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Signals that reach a whole group of processes at once: Ctrl-C, a closed terminal, a scheduler's warning, its end.
_OF_GROUPS = {getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGTERM") if hasattr(signal, name)}


class Request(NamedTuple):
    """A batch to be made. `key`: stream of its random crops; None for the middle of each image."""

    paths: list[str]
    numbers: list[int]
    key: int | None


class FileLoader:
    """Training and test batches of one run.

    Args:
        train, test: splits; batches go to the device that they name.
        size: pixels a side of what the network sees.
        batch_size: images a training step; the incomplete last batch of an epoch is left out.
        augment: "none" (the middle of each image) or "resized-crop-flip".
        seed: of order and augmentation.
        workers: processes that decode; 0 decodes here.

    One pass at a time: a new one ends the one before it. A file that cannot be decoded is a DataError.
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
        """(x, labels) for the steps from `first` on; x is float B, C, H, W."""
        order = self.order(epoch)[first * self.batch_size : self.steps * self.batch_size]
        key = stream_key(self.seed, "augmentation", epoch) if self.augment == "resized-crop-flip" else None
        return self._batches(self.train, order, self.batch_size, key)

    def evaluation_batches(self, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, labels) of the test images in order, as many at once as a training step has."""
        return self._batches(self.test, torch.arange(len(self.test)), size or self.batch_size, None)

    def probe_batch(self, count: int) -> tuple[Tensor, Tensor, None]:
        """(x, labels, None) of test images of all classes, no more than a training step has: memory is known to do."""
        part = self.test.first(min(count, self.batch_size))
        x, labels = next(self._batches(part, torch.arange(len(part)), len(part), None))
        return x, labels, None

    def close(self) -> None:
        """End the worker processes; the next batch would start new ones."""
        self._processes = None

    def _batches(self, split: FileSplit, order: Tensor, size: int, key: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.split(order, size)
        answers = self._answers(Request([split.paths[i] for i in row.tolist()], row.tolist(), key) for row in rows)
        for row, images in zip(rows, answers, strict=True):
            images = images.to(self.device, non_blocking=True).permute(0, 2, 3, 1)
            x = self.normalise(images, channels_last=self.channels_last)
            yield x, split.labels[row].to(self.device, non_blocking=True)

    def _answers(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """uint8 B, C, S, S for each request, in order."""
        self._pass = present = self._pass + 1
        answers = map(self._decoder.__getitem__, requests) if self.workers == 0 else self._from_processes(requests)
        try:
            for answer in answers:
                assert present == self._pass, "another pass over the same loader has begun"
                if isinstance(answer, str):
                    raise DataError(answer)
                yield answer
        finally:
            del answers  # the traceback of an error would keep the processes

    def _from_processes(self, requests: Iterable[Request]) -> Iterator[Tensor | str]:
        if self._processes is None:
            self._processes = DataLoader(
                self._decoder,
                batch_size=None,
                sampler=self._queue,
                num_workers=self.workers,
                persistent_workers=True,
                pin_memory=self.device.type == "cuda",
                worker_init_fn=_begin_worker,
                generator=generator(self.seed, "workers"),  # or torch's own would be drawn from
            )
        self._queue.requests = requests
        with _signals_held_back():
            return iter(self._processes)


class Decoder(Dataset[Tensor | str]):
    """What a worker process does: a request in, its images or the line that says what is wrong with one of them."""

    def __init__(self, root: Path, size: int) -> None:
        self.root, self.size = root, size

    def __getitem__(self, request: Request) -> Tensor | str:
        images = torch.empty(len(request.paths), 3, self.size, self.size, dtype=torch.uint8)
        random = [] if request.key is None else chances(request.key, request.numbers)
        try:
            for i, path in enumerate(request.paths):
                image = read_image(self.root / path)
                images[i] = training_crop(image, self.size, random[i]) if random else evaluation_crop(image, self.size)
        except DataError as error:
            return str(error)
        return images


class _Queue:
    """The sampler of torch's DataLoader: what is to be decoded next."""

    requests: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """A process that is started in here gets no signal before `_begin_worker` has said what it does with them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_GROUPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(number: int) -> None:
    """Signals that reach a whole group of processes are for the run, which saves and then ends its workers."""
    for one in _OF_GROUPS - {signal.SIGTERM}:
        signal.signal(one, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _only_the_second_ends_it)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_GROUPS)


def _only_the_second_ends_it(number: int, frame: FrameType | None) -> None:
    signal.signal(number, lambda *_: os._exit(0))


@contextlib.contextmanager
def dead_workers_named() -> Iterator[None]:
    """Turn torch's word of a killed worker, which comes at any moment, into one line that says how to go on."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise TryAgainError(
            f"a process that decodes images has died ({str(error).splitlines()[0].strip(' .')}); if memory was short, "
            "use fewer --workers. The same command goes on from the last checkpoint"
        ) from error


def default_workers() -> int:
    """One for each core of this process but the one that trains; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
