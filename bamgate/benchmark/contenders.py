"""The contenders: the plain loop and bamgate, each as functions that train on or load a number of batches."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from bamgate.benchmark.plain import PlainLoop, plain_batches
from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.data import DATASETS, Split
from bamgate.devices import exact_arithmetic
from bamgate.gates import load_gate
from bamgate.networks.build import build_model, cost
from bamgate.run.cells import make_trainer

CLASSES = 100
MOST_BATCHES = 32  # in one measurement, including the first, which is not counted


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way of doing one task. `run(n)` does it for n batches and returns the seconds that it took."""

    task: str
    name: str
    run: Callable[[int], float]


def random_images(count: int, size: int, device: torch.device) -> Split:
    """Random images of `size` pixels per side: speed does not depend on what they show."""
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, size, size, 3), generator=made, dtype=torch.uint8)
    return Split(images=images, labels=torch.arange(count) % CLASSES).to(device)


def contenders(
    model: str, *, image_size: int, batch_size: int, workers: int, device: torch.device, compile: str
) -> list[Contender]:
    """Everything that is measured for one network."""
    split = random_images(MOST_BATCHES * batch_size, image_size, device)
    ours = _Ours(model, "bf16", split, batch_size, attention="bam", compile=compile)
    exact = _Ours(model, "fp32", split, batch_size, attention="bam", compile="off")
    without = _Ours(model, "bf16", split, batch_size, attention="none", compile=compile)
    plain = _Plain(model, split, batch_size, workers)
    return [
        Contender(task="end-to-end", name="plain", run=plain.end_to_end),
        Contender(task="end-to-end", name="bamgate bf16", run=exactly(ours.end_to_end, device)),
        Contender(task="end-to-end", name="bamgate fp32", run=exactly(exact.end_to_end, device)),
        Contender(task="step", name="plain", run=plain.steps),
        Contender(task="step", name="bamgate bf16", run=exactly(ours.steps, device)),
        Contender(task="step", name="bamgate bf16 without BAM", run=exactly(without.steps, device)),
        Contender(task="input", name="plain", run=plain.input),
        Contender(task="input", name="bamgate", run=exactly(ours.input, device)),
    ]


def exactly(run: Callable[[int], float], device: torch.device) -> Callable[[int], float]:
    """`run` with the exact arithmetic of `bamgate run`. The plain loop keeps torch's defaults, as its user would."""

    def switched(batches: int) -> float:
        with exact_arithmetic(device):
            return run(batches)

    return switched


class _Plain:
    def __init__(self, model: str, split: Split, batch_size: int, workers: int) -> None:
        size = (split.images.shape[1], split.images.shape[2])
        network = build_model(
            model,
            AttentionConfig(),
            load_gate("sigmoid"),
            num_classes=CLASSES,
            in_channels=3,
            image_size=size,
            seed=0,
        )
        cost(network, (3, *size))  # a clear error if the network cannot take such images
        self.loop = PlainLoop(network.to(split.images.device))
        self.images, self.labels = np.asarray(split.images.cpu()), split.labels.tolist()
        self.batch_size, self.workers = batch_size, workers
        device = split.images.device
        # One batch that is on the device already: what a step costs without loading.
        self.fixed = (
            torch.randn(batch_size, 3, *size, generator=torch.Generator().manual_seed(0)).to(device),
            (torch.arange(batch_size) % CLASSES).to(device),
        )

    def end_to_end(self, batches: int) -> float:
        loading = plain_batches(self.images, self.labels, self.batch_size, self.workers)
        self.loop.step(*next(loading))  # the first batch waits for the workers to start, which is not counted
        return timed(lambda: [self.loop.step(*next(loading)) for _ in range(batches)])

    def steps(self, batches: int) -> float:
        return timed(lambda: [self.loop.step(*self.fixed) for _ in range(batches)])

    def input(self, batches: int) -> float:
        loading = plain_batches(self.images, self.labels, self.batch_size, self.workers)
        next(loading)
        return timed(lambda: [next(loading) for _ in range(batches)])


class _Ours:
    def __init__(
        self, model: str, precision: str, split: Split, batch_size: int, *, attention: str, compile: str
    ) -> None:
        config = RunConfig(
            dataset="cifar100",
            model=model,
            attention=AttentionConfig(name=attention, gate="sigmoid" if attention == "bam" else "none"),
            training=TrainingConfig(
                batch_size=batch_size,
                nesterov=True,
                schedule="constant",
                augment="crop-flip",
                precision=precision,
                compile=compile,
            ),
        )
        # The facts of CIFAR-100 with random images: nothing has to be downloaded for a measurement.
        gate = load_gate(config.attention.gate)
        data = replace(DATASETS.get("cifar100"), size=(split.images.shape[1], split.images.shape[2]))
        self.trainer = make_trainer(config, gate, data, (split, split), seed=0)
        self.trainer.model.train()
        self.fixed = next(iter(self.trainer.loader.training_batches(0)))

    def end_to_end(self, batches: int) -> float:
        loading = self.trainer.loader.training_batches(0)
        self.trainer.step(*next(loading), 0)[0].item()

        def train() -> None:
            for _ in range(batches):
                loss, _ = self.trainer.step(*next(loading), 0)
            # A GPU computes in the background: reading the loss waits for it. The plain loop reads it in every step.
            loss.item()

        return timed(train)

    def steps(self, batches: int) -> float:
        def train() -> None:
            for _ in range(batches):
                loss, _ = self.trainer.step(*self.fixed, 0)
            loss.item()

        return timed(train)

    def input(self, batches: int) -> float:
        loading = self.trainer.loader.training_batches(0)
        next(loading)
        # Reading one value waits for a GPU to finish the batch.
        return timed(lambda: [next(loading)[0][0, 0, 0, 0].item() for _ in range(batches)])


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
