"""The extra block of Table 1c: it is one more of the network's own blocks, and it counts what the paper prints."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from model_samples import BAM_PAPER, EXTRA_BLOCK, NAMES, PLAIN, build, image
from paper_samples import of_the_paper
from torch import Tensor, nn
from torchvision.models import resnet

from bamgate.attention import AttentionModule, ExtraBlock
from bamgate.config import RunConfig, TrainingConfig
from bamgate.errors import UsageError
from bamgate.networks import Sites
from bamgate.networks.build import remove_attention
from bamgate.networks.sites import gate_sites, sites
from bamgate.networks.staged import Stage, StagedNet
from bamgate.run.cells import run_cell
from bamgate.weights import load_model

WITH_ONE = [name for name in NAMES if name != "densenet100-bc"]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def extra_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for path, module in model.named_modules():
        if isinstance(module, ExtraBlock):
            yield from ((f"{path}.{name}", parameter) for name, parameter in module.named_parameters())


def bottleneck(c: int, width: int, groups: int = 1) -> int:
    """1x1, 3x3, 1x1, each with a norm of two numbers a channel."""
    return 2 * c * width + 9 * width * width // groups + 2 * (2 * width + c)


def basic(c: int) -> int:
    """Two 3x3, two norms."""
    return 2 * 9 * c * c + 2 * 2 * c


def fire(c: int) -> int:
    """To c / 8 by 1x1, from there to c / 2 by 1x1 and by 3x3; with biases."""
    return (c * c // 8 + c // 8) + (c * c // 16 + c // 2) + (9 * c * c // 16 + c // 2)


BLOCKS: dict[str, tuple[tuple[int, ...], Callable[[int], int]]] = {
    "resnet8": ((16, 32), basic),
    "resnet18": ((64, 128, 256), basic),
    "resnet34": ((64, 128, 256), basic),
    "resnet50": ((256, 512, 1024), lambda c: bottleneck(c, c // 4)),
    "resnet101-v1.5": ((256, 512, 1024), lambda c: bottleneck(c, c // 4)),
    "resnext50-32x4d": ((256, 512, 1024), lambda c: bottleneck(c, c // 2, 32)),
    "wrn-18-1.5": ((96, 192, 384), basic),
    "wrn-28-8": ((128, 256), basic),
    "resnext29-8x64d": ((256, 512), lambda c: bottleneck(c, 2 * c, 8)),
    "resnext29-16x64d": ((256, 512), lambda c: bottleneck(c, 4 * c, 16)),
    "preresnet110": ((64, 128), lambda c: bottleneck(c, c // 4)),
    "mobilenet": ((128, 256, 512), lambda c: 9 * c + 2 * c + c * c + 2 * c),
    "squeezenet1.1": ((64, 128, 256), fire),
    "vgg16": ((64, 128, 256, 512), lambda c: 9 * c * c + c),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_parameters_of_the_extra_blocks_by_hand(name: str) -> None:
    channels, block = BLOCKS[name]
    added = parameters(of_the_paper(name, EXTRA_BLOCK)) - parameters(of_the_paper(name, PLAIN))
    assert added == sum(map(block, channels))


def test_table_1c_by_what_it_adds() -> None:
    """Printed with the block less printed without it: 25.14 - 23.68, 24.88 - 23.4; that of ResNeXt-29 has one digit."""
    millions = {name: sum(map(block, channels)) / 1e6 for name, (channels, block) in BLOCKS.items()}
    assert millions["resnet50"] == pytest.approx(25.14 - 23.68, abs=0.01)
    assert millions["wrn-28-8"] == pytest.approx(24.88 - 23.40, abs=0.01)
    assert parameters(of_the_paper("resnext29-8x64d", PLAIN)) / 1e6 + millions["resnext29-8x64d"] == pytest.approx(
        37.3, abs=0.05
    )


def test_what_the_notes_say_of_the_counts_that_differ() -> None:
    """Table 1's ResNet-50: 23.68 plain, 25.14 with the block, both without shifts; its ResNeXt-29 with ten classes."""
    for attention, printed in ((PLAIN, "23.68"), (EXTRA_BLOCK, "25.14")):
        named = of_the_paper("resnet50", attention).named_parameters()
        weights = sum(p.numel() for name, p in named if not name.endswith("bias"))
        assert f"{weights / 1e6:.2f}" == printed
    with torch.device("meta"):
        assert f"{parameters(build('resnext29-8x64d', PLAIN, num_classes=10)) / 1e6:.2f}" == "34.43"


DEEPER: dict[str, Any] = {
    "resnet18": lambda: resnet.ResNet(resnet.BasicBlock, [3, 3, 3, 2], num_classes=10),
    "resnet50-v1.5": lambda: resnet.ResNet(resnet.Bottleneck, [4, 5, 7, 3], num_classes=10),
    "resnext50-32x4d-v1.5": lambda: resnet.ResNet(
        resnet.Bottleneck, [4, 5, 7, 3], num_classes=10, groups=32, width_per_group=4
    ),
}


@pytest.mark.parametrize("name", DEEPER)
@pytest.mark.usefixtures("seeded")
def test_it_is_torchvisions_network_with_one_more_block_in_each_stage_but_the_last(name: str) -> None:
    ours, theirs = build(name, EXTRA_BLOCK, image_size=(224, 224)).eval(), DEEPER[name]().eval()
    last = {f"layer{i}": len(getattr(theirs, f"layer{i}")) - 1 for i in (1, 2, 3)}
    state = {}
    for key, tensor in ours.state_dict().items():
        stage = key.split(".")[0]
        state[key.replace(f"{stage}.attention.block.", f"{stage}.{last.get(stage)}.")] = tensor
    x = image(2, 3, 64, 48)
    with torch.no_grad():
        assert not torch.equal(ours(x), theirs(x))
        theirs.load_state_dict(state, strict=True)
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("name", WITH_ONE)
def test_it_stands_where_bam_stands(name: str) -> None:
    with torch.device("meta"):
        ours, bam = build(name, EXTRA_BLOCK), build(name, BAM_PAPER)
    assert sites(ours) == sites(bam) == list(gate_sites(bam))
    assert gate_sites(ours) == {}
    assert sum(isinstance(module, AttentionModule) for module in ours.modules()) == len(sites(bam)) > 1


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1.1", "vgg16"])
def test_torchvisions_keys_stay_and_it_can_be_taken_out(name: str) -> None:
    with torch.device("meta"):
        model, plain = build(name, EXTRA_BLOCK), build(name, PLAIN)
    assert set(plain.state_dict()) < set(model.state_dict())
    assert remove_attention(model)
    assert list(model.state_dict()) == list(plain.state_dict())


def test_densenet_has_none() -> None:
    with pytest.raises(UsageError) as caught:
        build("densenet100-bc", EXTRA_BLOCK)
    assert str(caught.value) == "densenet100-bc has no extra block: each of its own adds channels"


def test_a_network_that_offers_no_block_of_its_own_is_refused_and_not_left_plain() -> None:
    stages = [Stage("one", nn.Conv2d(3, 4, 1), 4), Stage("two", nn.Conv2d(4, 4, 1), 4)]
    with pytest.raises(UsageError, match="no block of this network keeps the shape of its map"):
        StagedNet(nn.Identity(), stages, num_classes=2, sites=Sites(extra=ExtraBlock))


SMALL = ("resnet8", "resnet18", "preresnet110", "wrn-16-8", "mobilenet-0.5", "squeezenet1.1", "vgg16")


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_of_it_learns_and_its_shape_is_the_maps(name: str) -> None:
    """Trunk frozen; the loss's gradient reaches each weight, and the output depends on each block."""
    model = build(name, EXTRA_BLOCK)
    shapes: list[tuple[Any, Any]] = []
    for module in model.modules():
        if isinstance(module, ExtraBlock):
            module.register_forward_hook(lambda _, inputs, output: shapes.append((inputs[0].shape, output.shape)))
    extra = dict(extra_parameters(model))
    model.requires_grad_(False)
    for parameter in extra.values():
        parameter.requires_grad_(True)
    loss = nn.functional.cross_entropy(model(image(4, 3, 64, 48)), torch.arange(4))
    loss.backward()
    assert len(shapes) == len(sites(model))
    assert all(before == after for before, after in shapes)
    still = [key for key, p in extra.items() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()]
    # Shifts of ReLUs that are off for all four images have no gradient; weights are too many for that.
    assert [key for key in still if not key.endswith("bias")] == []


def convolutions(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [(key, p.detach()) for key, p in extra_parameters(model) if p.ndim == 4]


@pytest.mark.parametrize("name", ["resnet18", "wrn-16-8", "preresnet110", "vgg16"])
def test_its_convolutions_start_he_normal_by_fan_out(name: str) -> None:
    found = convolutions(build(name, EXTRA_BLOCK))
    for key, weight in found:
        fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
        assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), key
    assert found


def test_squeezenets_start_as_its_fires_do() -> None:
    """torchvision: uniform with variance 2 / fan-in, so within the square root of 6 / fan-in; biases 0."""
    model = build("squeezenet1.1", EXTRA_BLOCK)
    for key, weight in convolutions(model):
        bound = (6 / weight[0].numel()) ** 0.5
        assert 0.9 * bound < weight.abs().max().item() <= bound, key
    assert not any(p.any() for key, p in extra_parameters(model) if key.endswith("bias"))


def test_it_is_no_copy_of_the_block_before_it() -> None:
    model = build("resnet8", EXTRA_BLOCK)
    first = model.get_parameter("stages.layer1.0.residual.0.weight")
    second = model.get_parameter("sites.layer1.block.residual.0.weight")
    assert first.shape == second.shape
    assert not torch.equal(first, second)


def test_a_run_with_it_ends_like_any_other(tmp_path: Path) -> None:
    recipe = TrainingConfig(epochs=1, batch_size=32, lr=0.05, schedule="constant", train_limit=64)
    config = RunConfig(dataset="digits", training=recipe, attention=EXTRA_BLOCK)
    result = run_cell(config, tmp_path)
    assert result["status"] == "finished"
    assert result["params"] - run_cell(replace(config, attention=PLAIN), tmp_path / "plain")["params"] == sum(
        map(basic, (16, 32))
    )
    assert not (tmp_path / "cells" / config.cell / "gates.csv").exists()
    network, model = load_model(tmp_path / "cells" / config.cell)
    assert (network.attention, sites(model)) == (EXTRA_BLOCK, ["layer1", "layer2"])
