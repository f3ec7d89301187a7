"""Networks of torchvision and timm by name, in Python and on the command line."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from insert_samples import FOUND, FOUND_IN_TIMM, image
from model_samples import BAM_PAPER, EXTRA_BLOCK, PLAIN, SE, build
from torch import nn
from torchvision import models

from bamgate.attention import BAM
from bamgate.cli.app import main
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError
from bamgate.networks.build import cost
from bamgate.networks.insertion import channels_at, find_stages

LARGE: dict[str, Any] = {"num_classes": 5, "image_size": (224, 224)}


def channels(model: nn.Module) -> dict[str, int]:
    """Of each BAM, by the module that it follows."""
    parts = {path: part for path, part in model.named_modules() if isinstance(part, BAM)}
    return {
        path.removesuffix(".attention"): part.get_submodule("channel.expand").out_features  # type: ignore[misc]
        for path, part in parts.items()
    }


@pytest.mark.parametrize("name", FOUND)
def test_bam_stands_in_torchvisions_networks_at_their_stages(name: str) -> None:
    with torch.device("meta"):
        model = build(f"torchvision:{name}", BAM_PAPER, **LARGE)
        assert channels(model) == FOUND[name]
        assert model.eval()(torch.zeros(2, 3, 224, 200)).shape == (2, 5)
    assert hasattr(model, "aux_logits") == (name in ("googlenet", "inception_v3"))


@pytest.mark.parametrize("name", FOUND_IN_TIMM)
def test_bam_stands_in_timms_networks_at_their_stages(name: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        model = build(f"timm:{name}", BAM_PAPER, in_channels=1, **LARGE)
        assert channels(model) == FOUND_IN_TIMM[name]
        assert model.eval()(torch.zeros(2, 1, 224, 200)).shape == (2, 5)
        plain = timm.create_model(name).eval()
        assert channels_at(plain, find_stages(plain)) == FOUND_IN_TIMM[name]


@pytest.mark.parametrize(
    ("name", "size"), [("tresnet_m", 224), ("botnet26t_256", 256)], ids=["packed-pixels", "one-size-only"]
)
def test_sites_are_found_with_images_such_as_the_network_is_built_for(name: str, size: int) -> None:
    """TResNet's first convolution takes 48 channels, for images of 3; a BoTNet takes images of 256 pixels alone."""
    pytest.importorskip("timm")
    with torch.device("meta"):
        model = build(f"timm:{name}", BAM_PAPER, num_classes=5, image_size=(size, size))
    assert len(channels(model)) >= 3


def test_the_weights_are_the_seeds_and_torchvisions_own_load() -> None:
    plain, other = (build("torchvision:resnet18", PLAIN, seed=seed, **LARGE).state_dict() for seed in (3, 4))
    with_bam = [build("torchvision:resnet18", BAM_PAPER, seed=3, **LARGE).state_dict() for _ in (0, 1)]
    assert list(plain) == list(models.resnet18().state_dict())
    assert not torch.equal(plain["conv1.weight"], other["conv1.weight"])
    assert list(with_bam[0]) == list(with_bam[1])
    assert all(torch.equal(with_bam[0][key], with_bam[1][key]) for key in with_bam[0])
    assert all(torch.equal(with_bam[0][key], plain[key]) for key in plain)


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v3_small", "timm:resnet18"])
def test_a_foreign_network_learns(name: str) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    model = build(name, AttentionConfig(reduction=4), image_size=(32, 32))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, losses = image(8, 3, 64, 48), []
    for _ in range(10):
        loss = nn.functional.cross_entropy(model(x), torch.arange(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0]
    weights = {key: p for key, p in model.named_parameters() if ".attention." in key and key.endswith("weight")}
    assert weights
    assert [key for key, p in weights.items() if p.grad is None or not p.grad.any()] == []


CASES = [
    ("torchvision:resnet-50", "torchvision has no model 'resnet-50'; did you mean 'resnet50'? (its list_models() "),
    ("timm:regnety_0004", "timm has no model 'regnety_0004'; did you mean 'regnety_004'? (its list_models() lists "),
    ("tim:resnet50", "unknown library of networks 'tim'; did you mean 'timm'? (allowed: torchvision, timm)"),
    (":resnet50", "unknown library of networks '' (allowed: torchvision, timm)"),
    (
        "timm:resnet50.a1_in1k",
        "timm has no model 'resnet50.a1_in1k'; did you mean 'resnet50'? ('a1_in1k' names trained weights; ",
    ),
    ("torchvision:", "torchvision has no model '' (its list_models() lists "),
]


@pytest.mark.parametrize(("name", "message"), CASES, ids=[name for name, _ in CASES])
def test_a_name_that_is_unknown_is_one_line_with_the_nearest(name: str, message: str) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(UsageError) as caught:
        build(name, PLAIN)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "attention", "shape", "message"),
    [
        (
            "torchvision:resnet18",
            SE,
            {},
            "torchvision:resnet18: bamgate does not know its blocks (allowed placement: bottleneck)",
        ),
        (
            "torchvision:resnet18",
            AttentionConfig(placement="block"),
            {},
            "torchvision:resnet18: bamgate does not know its blocks (allowed placement: bottleneck)",
        ),
        (
            "torchvision:resnet18",
            EXTRA_BLOCK,
            {},
            "torchvision:resnet18: bamgate does not know its blocks, so none can be added (allowed: bam, se, cbam)",
        ),
        (
            "torchvision:resnet18",
            PLAIN,
            {"in_channels": 1},
            "torchvision:resnet18 takes images with 3 channels, the data set has 1",
        ),
        (
            "torchvision:vit_b_16",
            BAM_PAPER,
            {},
            "no stages found in VisionTransformer: a stage has at least two convolutions; name sites "
            "(modules whose outputs are maps: conv_proj)",
        ),
    ],
    ids=["se", "bam-block", "extra-block", "greyscale", "transformer"],
)
def test_what_a_foreign_network_cannot_have_is_one_line(
    name: str, attention: AttentionConfig, shape: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught, torch.device("meta"):
        build(name, attention, **LARGE, **shape)
    assert str(caught.value) == message


def test_without_timm_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError) as caught:
        build("timm:resnet50", BAM_PAPER)
    assert str(caught.value) == "model 'timm:resnet50' needs timm: pip install timm"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of a command; in this process, for speed."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bamgate", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return int(end.value.code or 0), output.out, output.err

    return call


def test_the_command_counts_a_foreign_network(run: Callable[..., tuple[int, str, str]]) -> None:
    # A RegNet reads values while it is built, which weights that are never drawn do not have.
    code, out, _ = run("models", "torchvision:resnet50", "torchvision:regnet_y_400mf", "--json")
    resnet, regnet = json.loads(out)
    assert code == 0
    assert (resnet["network"], resnet["images"], resnet["size"]) == ("torchvision:resnet50", "ImageNet", 224)
    assert resnet["plain"] == {"parameters": 25_557_032, "macs": 4_089_184_256}
    # 358,067 as released, and two norms of C channels at 256, 512 and 1024.
    assert resnet["BAM"]["parameters"] == 25_557_032 + 358_067 + 4 * (256 + 512 + 1024)
    assert resnet["SE"] is resnet["BAM-C"] is resnet["extra block"] is None
    assert regnet["plain"]["parameters"] == 4_344_144
    assert regnet["BAM"]["parameters"] > 4_344_144
    with torch.device("meta"):
        assert cost(models.resnet50(), (3, 224, 224)) == tuple(resnet["plain"].values())


def test_a_network_without_stages_is_counted_plain(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("models", "torchvision:alexnet", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert row["plain"]["parameters"] == 61_100_840  # torchvision's own figure
    assert row["SE"] is row["BAM"] is row["BAM-C"] is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet5", "torchvision has no model 'resnet5'; did you mean 'resnet50'? (its list_models() "),
        ("tv:resnet50", "unknown library of networks 'tv' (allowed: torchvision, timm)"),
    ],
)
def test_the_command_refuses_with_one_line(name: str, message: str, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("models", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"bamgate: {message}")
    assert err.count("\n") == 1
