"""Where attention stands in each network, and what a seed fixes."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from model_samples import ATTENTIONS, BAM_COUNTED, BAM_PAPER, BAM_RELEASED, NAMES, PLAIN, RESNETS, SE, V1, build, image
from torch import Tensor, nn

from bamgate.attention import AttentionModule
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError
from bamgate.gates import GATES
from bamgate.networks import BACKBONES, Sites
from bamgate.networks.build import attention_factory
from bamgate.networks.sites import gate_sites


class Tagged(nn.Identity):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.shape = torch.Size()

    def forward(self, x: Tensor) -> Tensor:
        self.shape = x.shape
        return x


def shapes_at(name: str, size: tuple[int, int] = (16, 24), **which: Any) -> list[tuple[int, ...]]:
    with torch.device("meta"):
        model = BACKBONES.get(name)(num_classes=10, in_channels=3, image_size=size, sites=Sites(**which)).eval()
        assert model(torch.zeros(1, 3, *size)).shape == (1, 10)
    tags = [part for part in model.modules() if isinstance(part, Tagged)]
    assert [tag.channels for tag in tags] == [tag.shape[1] for tag in tags]
    return [tuple(tag.shape[1:]) for tag in tags]


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet32", "resnet56", "resnet110"])
def test_two_bottleneck_sites_in_the_three_stage_networks(name: str) -> None:
    assert shapes_at(name, bottleneck=Tagged) == [(16, 16, 24), (32, 8, 12)]


@pytest.mark.parametrize(
    ("name", "first"), [("preresnet110", 64), ("wrn-16-8", 128), ("wrn-28-10", 160), ("resnext29-16x64d", 256)]
)
def test_two_bottleneck_sites_in_the_wider_three_stage_networks(name: str, first: int) -> None:
    assert shapes_at(name, bottleneck=Tagged) == [(first, 16, 24), (2 * first, 8, 12)]


def test_densenet_has_sites_before_and_after_each_transition() -> None:
    expected = [(216, 16, 24), (108, 8, 12), (300, 8, 12), (150, 4, 6)]
    assert shapes_at("densenet100-bc", bottleneck=Tagged) == expected
    assert len(shapes_at("densenet100-bc", block=Tagged)) == 48
    assert shapes_at("preresnet110", block=Tagged)[18] == (128, 8, 12)
    assert len(shapes_at("wrn-28-8", block=Tagged)) == 12
    assert len(shapes_at("resnext29-8x64d", block=Tagged)) == 9


@pytest.mark.parametrize("name", [*RESNETS, *V1])
def test_three_bottleneck_sites_in_the_four_stage_networks_each_before_the_map_is_halved(name: str) -> None:
    k = 1 if name in ("resnet18", "resnet34") else 4
    assert shapes_at(name, bottleneck=Tagged) == [(64 * k, 16, 24), (128 * k, 8, 12), (256 * k, 4, 6)]


@pytest.mark.parametrize(
    ("name", "channels", "heights"),
    [
        ("resnet18", (64, 128, 256), (56, 28, 14)),
        ("resnet34", (64, 128, 256), (56, 28, 14)),
        ("resnet50", (256, 512, 1024), (56, 28, 14)),
        ("resnet101-v1.5", (256, 512, 1024), (56, 28, 14)),
        ("resnext50-32x4d", (256, 512, 1024), (56, 28, 14)),
        ("wrn-18-1.5", (96, 192, 384), (56, 28, 14)),
        ("wrn-18-2.0", (128, 256, 512), (56, 28, 14)),
        ("mobilenet", (128, 256, 512), (56, 28, 14)),
        ("mobilenet-0.7", (89, 179, 358), (56, 28, 14)),
        ("mobilenet-0.5", (64, 128, 256), (56, 28, 14)),
        ("squeezenet1.1", (64, 128, 256), (111, 55, 27)),
        ("vgg16", (64, 128, 256, 512), (224, 112, 56, 28)),
    ],
)
def test_bottleneck_sites_of_the_networks_for_imagenet(
    name: str, channels: tuple[int, ...], heights: tuple[int, ...]
) -> None:
    """Height by hand; the width is that of 160 pixels."""
    widths = (79, 39, 19) if name == "squeezenet1.1" else tuple(height * 5 // 7 for height in heights)
    expected = list(zip(channels, heights, widths, strict=True))
    assert shapes_at(name, (224, 160), bottleneck=Tagged) == expected


@pytest.mark.parametrize("name", ["squeezenet1.1", "vgg16"])
def test_each_site_of_a_network_without_norms_stands_before_a_pooling(name: str) -> None:
    with torch.device("meta"):
        net: Any = build(name, BAM_PAPER, image_size=(224, 224))
    pooled = [i for i, part in enumerate(net.features) if isinstance(part, nn.MaxPool2d)]
    before = [f"features.{i - 1}" for i in pooled]
    # VGG's last pooling is followed by the classifier alone.
    assert list(gate_sites(net)) == (before[:-1] if name == "vgg16" else before)


def test_each_site_of_mobilenet_stands_before_a_depthwise_convolution_that_halves() -> None:
    with torch.device("meta"):
        net: Any = build("mobilenet", BAM_PAPER)
    convs = [(key, part) for key, part in net.stages.named_modules() if isinstance(part, nn.Conv2d)]
    halving = [key for key, conv in convs if conv.stride == (2, 2)]
    assert halving == ["layer2.0.0", "layer3.0.0", "layer4.0.0", "layer5.0.0"]
    assert all(conv.groups == conv.in_channels for key, conv in convs if key in halving)
    assert list(gate_sites(net)) == ["layer2", "layer3", "layer4"]


def test_placement_block_in_the_networks_without_residual_blocks() -> None:
    fires = [(128, 55, 55)] * 2 + [(256, 27, 27)] * 2 + [(384, 13, 13)] * 2 + [(512, 13, 13)] * 2
    assert shapes_at("squeezenet1.1", (224, 224), block=Tagged) == fires
    separable = [(64, 112), (128, 56), (128, 56), (256, 28), (256, 28), *[(512, 14)] * 6, (1024, 7), (1024, 7)]
    assert shapes_at("mobilenet", (224, 224), block=Tagged) == [(c, size, size) for c, size in separable]
    wide = [(96 << i, 56 >> i, 56 >> i) for i in range(4) for _ in (0, 1)]
    assert shapes_at("wrn-18-1.5", (224, 224), block=Tagged) == wide


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet8", (1, 1, 1)),
        ("resnet110", (18, 18, 18)),
        ("resnet18", (2, 2, 2, 2)),
        ("resnet34", (3, 4, 6, 3)),
        ("resnet50", (3, 4, 6, 3)),
        ("resnet101-v1.5", (3, 4, 23, 3)),
        ("resnext50-32x4d", (3, 4, 6, 3)),
    ],
)
def test_placement_block_has_a_site_in_every_block(name: str, blocks: tuple[int, ...]) -> None:
    first = 16 if len(blocks) == 3 else 64 if name in ("resnet18", "resnet34") else 256
    expected = [(first << i, 16 >> i, 24 >> i) for i, count in enumerate(blocks) for _ in range(count)]
    assert shapes_at(name, block=Tagged) == expected


def test_block_attention_stands_on_the_branch_before_the_addition() -> None:
    """With a factor of 0 on each branch only shortcuts and projections are left."""

    class Mute(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x

    sites = Sites(block=lambda channels: Mute())
    model: Any = BACKBONES.get("resnet8")(num_classes=10, in_channels=3, image_size=(16, 24), sites=sites).eval()
    x = image(2, 3, 8, 8)
    y = model.stem(x)
    for stage in ("layer2", "layer3"):
        y = torch.relu(model.stages[stage][0].shortcut(y))
    torch.testing.assert_close(model(x), model.classifier(y.mean((2, 3))))


def test_bottleneck_attention_stands_between_the_stages() -> None:
    model: Any = build("resnet8", BAM_PAPER).eval()
    x = image(2, 3, 8, 12)
    y = model.stages["layer1"](model.stem(x))
    y = model.stages["layer2"](y * (1 + torch.tanh(model.sites["layer1"].logits(y))))
    y = model.stages["layer3"](y * (1 + torch.tanh(model.sites["layer2"].logits(y))))
    torch.testing.assert_close(model(x), model.classifier(y.mean((2, 3))))


def test_a_basic_block_and_a_bottleneck_block_by_hand() -> None:
    for name, layers in (("resnet18", 2), ("resnet50", 3)):
        model: Any = build(name, PLAIN).eval()
        block = model.layer2[0]
        x = image(2, 64 * (1 if layers == 2 else 4), 6, 8).relu()
        y = x
        for i in range(1, layers + 1):
            y = getattr(block, f"bn{i}")(getattr(block, f"conv{i}")(y))
            y = torch.relu(y) if i < layers else y
        expected = torch.relu(y + block.downsample[1](block.downsample[0](x)))
        torch.testing.assert_close(block(x), expected)
        assert conv_strides(block) == [2, *[1] * (layers - 1)]
    for name in ("resnet50-v1.5", "resnext50-32x4d-v1.5"):
        v15: Any = build(name, PLAIN)
        assert conv_strides(v15.layer2[0]) == [1, 2, 1]


def conv_strides(block: nn.Module) -> list[int]:
    convs = [getattr(block, f"conv{i}", None) for i in (1, 2, 3)]
    assert all(conv.stride[0] == conv.stride[1] for conv in convs if conv is not None)
    return [conv.stride[0] for conv in convs if conv is not None]


def test_gate_sites_are_named_by_stage_and_block() -> None:
    assert list(gate_sites(build("resnet18", BAM_PAPER))) == ["layer1", "layer2", "layer3"]
    assert list(gate_sites(build("resnet8", SE))) == ["layer1.0", "layer2.0", "layer3.0"]
    in_blocks = [f"layer{i}.{j}.bn2" for i in (1, 2, 3, 4) for j in (0, 1)]
    assert list(gate_sites(build("resnet18", SE))) == in_blocks
    assert list(gate_sites(build("squeezenet1.1", BAM_PAPER))) == ["features.1", "features.4", "features.7"]
    assert list(gate_sites(build("resnet8", AttentionConfig(name="cbam", placement="bottleneck")))) == [
        "layer1.channel",
        "layer1.spatial",
        "layer2.channel",
        "layer2.spatial",
    ]
    assert gate_sites(build("resnet8", PLAIN)) == {}


def test_the_configuration_reaches_the_module() -> None:
    config = AttentionConfig(
        reduction=4, dilation=2, combine="max", layout="counted", residual=False, gate_init="zero", gate="softsign"
    )
    factory = attention_factory(config, GATES.get("softsign"))
    assert factory is not None
    bam: Any = factory(32)
    assert bam.channel.reduce.out_features == 8
    assert bam.spatial.hidden[3].dilation == (2, 2)
    assert bam.combine(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])).tolist() == [2, 4]
    assert bam.spatial.final_norm.num_features == 32
    assert not bam.scale.residual
    assert bam.scale.gate(torch.tensor([3.0])).tolist() == [0.75]
    assert (bam.logits(image(2, 32, 3, 3)) == 0).all()
    assert attention_factory(PLAIN, GATES.get("none")) is None


def test_the_registered_networks() -> None:
    assert sorted(BACKBONES.names()) == sorted(NAMES)


def test_an_unknown_network_is_one_line_with_the_nearest_name_and_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        build("resnet-50", PLAIN)
    assert str(caught.value) == (
        "unknown model 'resnet-50'; did you mean 'resnet50'? (allowed: densenet100-bc, mobilenet, mobilenet-0.7, "
        "mobilenet-0.5, squeezenet1.1, vgg16, preresnet110, resnet18, resnet34, resnet50, resnet101, resnet50-v1.5, "
        "resnet101-v1.5, resnext50-32x4d, resnext50-32x4d-v1.5, resnet8, resnet20, resnet32, resnet56, resnet110, "
        "resnext29-8x64d, resnext29-16x64d, wrn-16-8, wrn-28-8, wrn-28-10, wrn-18-1.5, wrn-18-2.0, "
        "torchvision:NAME, timm:NAME)"
    )


def weights(model: nn.Module, *, attention: bool) -> dict[str, Tensor]:
    """The attention's tensors, or all others, by their name."""
    prefixes = [name for name, part in model.named_modules() if isinstance(part, AttentionModule)]
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if any(name.startswith(f"{prefix}.") for prefix in prefixes) == attention
    }


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("attention", ["bam", "bam-block", "se", "cbam"])
def test_the_same_seed_gives_the_same_weights_with_any_gate(attention: str) -> None:
    config = ATTENTIONS[attention]
    first = build("resnet8", config, gate="sigmoid", seed=3).state_dict()
    for gate in GATES.names():
        second = build("resnet8", config, gate=gate, seed=3).state_dict()
        second = {name: tensor for name, tensor in second.items() if not name.endswith("gate.depth")}
        assert equal(first, second), gate


def test_the_same_seed_gives_the_same_backbone_with_any_attention() -> None:
    plain = build("resnet20", PLAIN, gate="none", seed=3).state_dict()
    others = [*ATTENTIONS.values(), BAM_COUNTED, BAM_RELEASED, AttentionConfig(reduction=2, branches="full")]
    others += [AttentionConfig(name="se", placement="bottleneck"), AttentionConfig(name="cbam", gate_init="zero")]
    for config in others:
        model = build("resnet20", config, seed=3)
        assert equal(weights(model, attention=False), plain), config
        assert config.name == "none" or weights(model, attention=True)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_another_seed_gives_other_weights(attention: str) -> None:
    first, second = (build("resnet8", ATTENTIONS[attention], seed=seed) for seed in (0, 1))
    for name, parameter in first.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            assert not torch.equal(parameter, second.get_parameter(name)), name


def test_the_sites_of_one_network_start_apart() -> None:
    model = build("resnet20", SE)
    first, second = (model.get_parameter(f"stages.layer1.{i}.attention.mlp.reduce.weight") for i in (0, 1))
    assert not torch.equal(first, second)


def test_convolutions_of_the_backbone_start_he_normal_and_those_of_attention_do_not() -> None:
    for attention in (AttentionConfig(reduction=1), AttentionConfig(reduction=1, placement="block")):
        model = build("resnet8", attention)
        conv = model.get_parameter("stages.layer3.0.residual.3.weight").detach()
        assert conv.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
        path = "sites.layer2" if attention.placement == "bottleneck" else "stages.layer2.0.attention"
        dilated = model.get_parameter(f"{path}.spatial.hidden.3.weight").detach()
        # torch's start: uniform within 1 / sqrt(fan_in).
        assert dilated.abs().max() <= (1 / (9 * 32)) ** 0.5
        assert dilated.std().item() == pytest.approx((1 / (3 * 9 * 32)) ** 0.5, rel=0.03)


def test_building_touches_no_global_randomness() -> None:
    torch.manual_seed(11)
    torch_state, numpy_state, python_state = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    models = [build("resnet8", config, seed=5) for config in ATTENTIONS.values()]
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state
    assert random.getstate() == python_state
    torch.manual_seed(99)  # and global randomness does not touch what is built
    for model, config in zip(models, ATTENTIONS.values(), strict=True):
        assert equal(model.state_dict(), build("resnet8", config, seed=5).state_dict())


def test_building_on_the_cpu_does_not_seed_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    build("resnet8", BAM_PAPER)
    assert seeds == []


@pytest.mark.gpu
def test_building_touches_no_randomness_of_the_device(cuda: torch.device) -> None:
    torch.cuda.manual_seed_all(11)
    state = torch.cuda.get_rng_state(cuda)
    build("resnet8", BAM_PAPER, seed=5)
    assert torch.equal(torch.cuda.get_rng_state(cuda), state)
