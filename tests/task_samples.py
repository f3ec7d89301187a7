"""A task that is no classification: how bright is an image? And its data set. Both as a package that is installed.

It imports bamgate alone, so that a process that knows no test can have it by its entry points.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bamgate.config import TrainingConfig
from bamgate.data import DataSet, Split
from bamgate.errors import UsageError
from bamgate.record.columns import Table
from bamgate.record.metric import Metric
from bamgate.tasks import Evaluated, Forward, Loss

TRAIN, TEST = 48, 20
ERROR = Metric(name="mean absolute error", unit="px", higher_is_better=False)


class Brightness:
    """The network's one answer is the mean of the image's bytes, in units of 64."""

    name, metric = "brightness", ERROR
    outcomes = Table({"schema": int, "index": int, "truth": float, "answer": float})

    def check(self, training: TrainingConfig) -> None:
        if training.label_smoothing:
            raise UsageError("label_smoothing would have no effect: there are no classes; leave it out")

    def loss(self, forward: Forward, x: Tensor, targets: Tensor, training: TrainingConfig) -> Loss:
        return Loss((forward(x)[:, 0] - targets).square().mean())

    def evaluate(self, forward: Forward, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluated:
        pairs = [(forward(x)[:, 0], targets) for x, targets in batches]
        answers, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return Evaluated(
            loss=float((answers - truth).square().mean()),
            total=len(truth),
            value=float((answers.double() - truth.double()).abs().mean()),
            outcomes={"index": range(len(truth)), "truth": truth, "answer": answers},
        )

    def score(self, outcomes: Sequence[Mapping[str, Any]]) -> float:
        for number, row in enumerate(outcomes):
            if row["index"] != number:
                raise ValueError(f"line {number + 2}: index {row['index']}")
        return sum(abs(row["truth"] - row["answer"]) for row in outcomes) / len(outcomes)


class Close(Brightness):
    """The same, judged by how many answers are close: a count, and not by accuracy's name."""

    name, metric = "close", Metric(name="within half a unit", unit="%", is_count=True)
    outcomes = Table({"schema": int, "index": int, "close": int})

    def loss(self, forward: Forward, x: Tensor, targets: Tensor, training: TrainingConfig) -> Loss:
        off = forward(x)[:, 0] - targets
        return Loss(off.square().mean(), (off.detach().abs() < 0.5).sum())

    def evaluate(self, forward: Forward, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluated:
        whole = super().evaluate(forward, batches)
        close = (whole.outcomes["answer"] - whole.outcomes["truth"]).abs() < 0.5  # type: ignore[operator, union-attr]
        outcomes = {"index": range(whole.total), "close": close.long()}
        return Evaluated(loss=whole.loss, total=whole.total, correct=int(close.sum()), outcomes=outcomes)

    def score(self, outcomes: Sequence[Mapping[str, Any]]) -> float:
        return sum(row["close"] for row in outcomes)


def load(root: Path) -> tuple[Split, Split]:
    made = torch.Generator().manual_seed(7)
    images = torch.randint(0, 256, (TRAIN + TEST, 8, 8, 1), generator=made, dtype=torch.uint8)
    images = (images.float() * torch.rand(TRAIN + TEST, 1, 1, 1, generator=made)).byte()
    truth = images.float().mean(dim=(1, 2, 3)) / 64
    return Split(images=images[:TRAIN], labels=truth[:TRAIN]), Split(images=images[TRAIN:], labels=truth[TRAIN:])


def _data(task: str) -> DataSet:
    return DataSet(
        name=f"shades-{task}",
        classes=1,
        channels=1,
        size=(8, 8),
        train=TRAIN,
        test=TEST,
        recipe="quick",
        model="resnet8",
        source="made up",
        load=load,
        verify=lambda root, *tell: ["made up: ok"],
        task=task,
    )


BRIGHTNESS, CLOSE = Brightness(), Close()
SHADES, SHADES_CLOSE = _data("brightness"), _data("close")
ENTRY_POINTS = """[bamgate.tasks]
brightness = bright_package:BRIGHTNESS
close = bright_package:CLOSE
[bamgate.datasets]
shades-brightness = bright_package:SHADES
shades-close = bright_package:SHADES_CLOSE
"""


def install(folder: Path, entry_points: str = ENTRY_POINTS, name: str = "bright_package", code: str = "") -> Path:
    """Write this module as a package's into `folder`, which stands for site-packages, as pip leaves it there."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (folder / f"{name}.py").write_text(code or Path(__file__).read_text())
    return folder
