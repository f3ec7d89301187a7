"""One question, one answer: how many test images are right does not depend on who counts, in bf16 neither."""

import contextlib
import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from helpers import SMALL, bamgate
from model_samples import PLAIN, build, image
from torch import Tensor, nn
from weight_samples import described, filled

from bamgate.config import TrainingConfig
from bamgate.engines import Trainer
from bamgate.evaluation import score, subject
from bamgate.networks import find_backbone
from bamgate.networks.backbone import Sites
from bamgate.networks.classifier import exact_classifier
from bamgate.tasks.ranking import ranked
from bamgate.weights import load_network, write_safetensors

BF16 = torch.autocast("cpu", dtype=torch.bfloat16)


def test_of_equal_logits_the_class_with_the_lower_number_comes_first() -> None:
    """By hand: the rank of the true class is the number of classes with more, and of lower ones with as much."""
    logits = torch.tensor([[1.0, 3, 3, 0, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0, 0, 0]]).repeat_interleave(8, dim=0)
    found = ranked(logits, torch.arange(8).repeat(2))
    assert found.predicted.tolist() == [1] * 8 + [0] * 8
    assert found.top5.tolist() == [False, True, True, False, True, True, True, False] + [True] * 5 + [False] * 3


def test_fewer_than_five_classes_are_always_among_the_first_five() -> None:
    assert ranked(torch.zeros(3, 3), torch.arange(3)).top5.all()


def test_a_network_that_has_diverged_ranks_nothing_first_by_accident() -> None:
    found = ranked(torch.full((1, 10), float("nan")), torch.tensor([3]))
    assert not found.top5.any()
    assert int(found.predicted) in range(10)


class Tied(nn.Module):
    """Gives every image the same logit for all classes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.expand(len(x), 10).bfloat16()


class TwoBatches:
    """All that an evaluation asks of its batches."""

    def __init__(self) -> None:
        self.test_labels = torch.arange(20) % 10

    def evaluation_batches(self) -> Any:
        for labels in self.test_labels.split(15):
            yield torch.zeros(len(labels), 3, 8, 8), labels


def test_training_and_evaluate_count_ties_alike() -> None:
    batches: Any = TwoBatches()
    logged = Trainer(Tied(), batches, TrainingConfig(precision="bf16")).evaluate()
    scores = score(torch.zeros(20, 10), batches.test_labels)
    assert (logged.correct, logged.top5_correct) == (scores.correct, scores.top5_correct) == (2, 10)
    assert list(logged.outcomes["predicted"]) == [0] * 20
    assert scores.class_correct == [2] + [0] * 9


def between_two_bf16_numbers(net: nn.Module) -> tuple[nn.Module, Tensor]:
    """A classifier whose logits are 1 and 1 + 2^-9, which bf16 rounds to 1; and the features that give them."""
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        layers[-1].weight.zero_()
        assert layers[-1].bias is not None
        layers[-1].bias.fill_(1)
        layers[-1].bias[7] += 2**-9
    return net.eval(), image(2, 3, 32, 32)


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "mobilenet", "torchvision:resnet18", "timm:convnext_atto"])
def test_logits_that_bf16_cannot_tell_apart_do_not_tie(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    net, x = between_two_bf16_numbers(build(name, PLAIN, gate="none"))
    with BF16, torch.no_grad():
        logits = net(x)
    assert logits.dtype == torch.float32
    assert logits.argmax(dim=1).tolist() == [7, 7]


def test_a_network_that_ends_in_a_convolution_has_exact_logits_too() -> None:
    net = find_backbone("squeezenet1.1")(num_classes=10, in_channels=3, image_size=(32, 32), sites=Sites()).eval()
    with BF16, torch.no_grad():
        assert net(image(1, 3, 32, 32)).dtype == torch.float32


def test_in_fp32_the_exact_classifier_is_the_plain_one() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    x, keys = image(4, 3, 2, 2), list(plain.state_dict())
    before = plain(x)
    assert torch.equal(exact_classifier(plain)(x), before)
    assert list(plain.state_dict()) == keys
    assert plain.double()(x.double()).dtype == torch.float64


def test_a_file_says_how_its_run_computed(tmp_path: Path) -> None:
    network = described(precision="bf16", channels_last=False, batch_size=17)
    write_safetensors(tmp_path / "x.safetensors", network, filled(network).state_dict())
    assert load_network(tmp_path / "x.safetensors")[0] == network


@pytest.mark.slow
def test_evaluate_counts_what_a_run_in_bf16_has_logged(tmp_path: Path) -> None:
    settings = [*SMALL, "--epochs", "2", "--quiet", "--precision", "bf16", "--no-channels-last"]
    trained = bamgate("run", "--gate", "tanh", *settings, "--out", str(tmp_path / "run"))
    assert trained.returncode == 0, trained.stderr
    (cell,) = (tmp_path / "run" / "cells").iterdir()
    logged = json.loads((cell / "result.json").read_text())
    converted = tmp_path / "x.safetensors"
    assert bamgate("convert", str(cell), str(converted)).returncode == 0
    for source in (cell, converted):
        finished = bamgate("evaluate", str(source), "--json")
        assert finished.returncode == 0, finished.stderr
        content = json.loads(finished.stdout)
        scores = content["findings"][0]["scores"]
        assert content["precision"] == "bf16"
        assert (scores["correct"], scores["top5_correct"]) == (logged["correct"], logged["top5_correct"])
        assert scores["loss"] == pytest.approx(logged["test_loss"], rel=1e-6)
    with gzip.open(cell / "outcomes.csv.gz", "rt", newline="") as file:
        assert sum(int(row["correct"]) for row in csv.DictReader(file)) == logged["correct"]
    exact = bamgate("evaluate", str(cell), "--json", "--precision", "fp32")
    scores = json.loads(exact.stdout)["findings"][0]["scores"]
    assert json.loads(exact.stdout)["precision"] == "fp32"
    assert scores["loss"] != pytest.approx(logged["test_loss"], rel=1e-6)


def test_evaluate_computes_with_the_arithmetic_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of the network is asked within it; tests of `exact_arithmetic` say what it switches."""
    seen: list[str] = []

    @contextlib.contextmanager
    def arithmetic(device: torch.device) -> Iterator[None]:
        seen.append(device.type)
        yield
        seen.append("left")

    monkeypatch.setattr(subject, "exact_arithmetic", arithmetic)
    monkeypatch.setattr(subject, "answers_of", lambda *arguments: seen.append("answers"))
    one: Any = object.__new__(subject.Subject)
    one.device, one.model, one.loader, one.autocast = torch.device("cuda"), None, Mock(), None
    one.answers()
    assert seen == ["cuda", "answers", "left"]
