"""What is written can be read again by the same program: the same outputs, the same scaling, and no refusal."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from helpers import bamgate
from model_samples import ATTENTIONS, BAM_COUNTED, BAM_RELEASED, image
from torch import nn
from weight_samples import described, filled

from bamgate.cli.convert import _next
from bamgate.data import DATASETS
from bamgate.weights import Network, load_model, write_released, write_safetensors

LIGHT = ["resnet8", "mobilenet-0.5", "squeezenet1.1", "densenet100-bc", "resnet18"]
KINDS = {**ATTENTIONS, "counted": BAM_COUNTED, "released": BAM_RELEASED}


def same(net: nn.Module, again: nn.Module, channels: int) -> bool:
    x = image(2, channels, 32, 32)
    with torch.no_grad():
        return torch.equal(net(x), again(x))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LIGHT)
def test_a_network_of_each_family_with_each_attention(name: str, channels: int, tmp_path: Path) -> None:
    kinds = list(KINDS.items()) if name == "resnet8" else [("bam", KINDS["bam"]), ("none", KINDS["none"])]
    for kind, attention in kinds:
        network = described(attention, model=name, in_channels=channels, dataset="digits", precision="bf16")
        net = filled(network)
        for again in ("a.safetensors", "b.safetensors"):
            write_safetensors(tmp_path / again, network, net.state_dict())
            found, net_again = load_model(tmp_path / again)
            assert found == network, kind
            assert same(net, net_again, channels), kind
            network, net = found, net_again
        assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes(), kind


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_authors_format_and_back_into_ours(channels: int, tmp_path: Path) -> None:
    """Images of one channel are as good as those of three; both files read again."""
    network = described(BAM_RELEASED, model="resnet18", in_channels=channels)
    net = filled(network)
    write_released(tmp_path / "x.pth.tar", network, net.state_dict())
    found, net_again = load_model(tmp_path / "x.pth.tar")
    assert len(found.mean) == len(found.std) == found.in_channels == channels
    assert same(net, net_again, channels)
    write_safetensors(tmp_path / "x.safetensors", found, net_again.state_dict())
    assert load_model(tmp_path / "x.safetensors")[0] == found
    assert same(net, load_model(tmp_path / "x.safetensors")[1], channels)


@pytest.mark.parametrize("dataset", DATASETS.names())
def test_images_of_every_data_set_are_scaled_as_the_run_scaled_them(dataset: str, tmp_path: Path) -> None:
    data = DATASETS.get(dataset)
    network = described(in_channels=data.channels, num_classes=data.classes, dataset=dataset)
    write_safetensors(tmp_path / "x.safetensors", network, filled(network).state_dict())
    found = load_model(tmp_path / "x.safetensors")[0]
    assert (found.mean, found.std, found.dataset) == (network.mean, network.std, dataset)


@pytest.mark.parametrize(
    ("name", "network", "words"),
    [
        ("x.safetensors", described(dataset="cifar100"), ""),
        ("x.safetensors", described(), " --dataset NAME"),
        ("x.safetensors", described(dataset="folder:my pets"), " --data-dir DIR"),
        ("x.pth", described(dataset="cifar100", precision="bf16"), " --dataset cifar100 --precision bf16"),
        (
            "x.pth.tar",
            described(dataset="folder:my pets", image_size=(96, 96)),
            " --dataset 'folder:my pets' --image-size 96 --data-dir DIR",
        ),
    ],
)
def test_the_next_command_says_what_the_file_cannot(name: str, network: Network, words: str) -> None:
    assert _next(Path(name), network) == f"bamgate evaluate {name}{words}"


@pytest.mark.slow
def test_the_authors_file_of_a_run_counts_as_the_run_did(tmp_path: Path) -> None:
    """By the command that convert proposes; digits have one channel, and scaling of their own."""
    settings = ["--dataset", "digits", "--model", "resnet18", "--layout", "released", "--gate", "sigmoid"]
    settings += ["--epochs", "1", "--batch-size", "64", "--quiet"]
    trained = bamgate("run", *settings, "--out", str(tmp_path / "run"))
    assert trained.returncode == 0, trained.stderr
    (cell,) = (tmp_path / "run" / "cells").iterdir()
    logged = json.loads((cell / "result.json").read_text())
    converted = bamgate("convert", str(cell), str(tmp_path / "x.pth.tar"))
    assert converted.returncode == 0, converted.stderr
    command = shlex.split(converted.stderr.splitlines()[-1].removeprefix("Next: bamgate "))
    finished = bamgate(*command, "--json")
    assert finished.returncode == 0, finished.stderr
    assert (
        "does not say how its images were normalised; using the mean and SD of the training images" in finished.stderr
    )
    content = json.loads(finished.stdout)
    scores = content["findings"][0]["scores"]
    assert (scores["correct"], scores["total"]) == (logged["correct"], logged["total"])
    assert content["normalisation"] == logged["normalisation"]
    assert bamgate("convert", str(tmp_path / "x.pth.tar"), str(tmp_path / "y.safetensors")).returncode == 0
    again = bamgate("evaluate", str(tmp_path / "y.safetensors"), *command[2:], "--json")
    assert json.loads(again.stdout)["findings"] == content["findings"]
