"""The networks made for ImageNet beside torchvision's own, and that every network learns with every attention."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from model_samples import (
    ATTENTIONS,
    BAM_PAPER,
    NAMES,
    OF_TORCHVISION,
    PLAIN,
    RESNETS,
    SE,
    V1,
    WITHOUT_NORMS,
    build,
    image,
)
from torch import Tensor, nn
from torchvision import models

from bamgate.attention import BAM, AttentionModule
from bamgate.errors import UsageError
from bamgate.networks import BACKBONES, Sites
from bamgate.networks.build import cost
from bamgate.networks.families.plain import SevenBySeven

IMAGENET = {"num_classes": 1000, "image_size": (224, 224)}


def on_meta(name: str, attention: Any = PLAIN, **shape: Any) -> nn.Module:
    """A network whose weights are never drawn."""
    with torch.device("meta"):
        return build(name, attention, **shape)


def torchvisions(name: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return models.get_model(OF_TORCHVISION[name], weights=None, **options)  # type: ignore[no-any-return]


def shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_keys_and_shapes_are_torchvisions(name: str) -> None:
    assert shapes(on_meta(name, **IMAGENET).state_dict()) == shapes(torchvisions(name).state_dict())


@pytest.mark.parametrize("attention", ["bam", "bam-block", "se", "cbam"])
@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_attention_leaves_torchvisions_keys_and_adds_its_own(name: str, attention: str) -> None:
    config = ATTENTIONS[attention]
    if name == "vgg16":
        config = replace(config, placement="bottleneck")
    ours, theirs = shapes(on_meta(name, config, **IMAGENET).state_dict()), shapes(torchvisions(name).state_dict())
    added = [key for key in ours if key not in theirs]
    assert {key: ours[key] for key in theirs} == theirs
    assert added
    assert all(".attention." in key for key in added)


@pytest.mark.parametrize("name", ["resnet18", "resnet50-v1.5", "resnext50-32x4d-v1.5", "squeezenet1.1"])
@pytest.mark.usefixtures("seeded")
def test_torchvisions_weights_load_and_the_outputs_are_equal(name: str) -> None:
    theirs = models.get_model(OF_TORCHVISION[name], weights=None, num_classes=10).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    ours = build(name, PLAIN, image_size=(224, 224), seed=7).eval()
    x = image(2, 3, 64, 48)
    with torch.no_grad():
        assert not torch.equal(ours(x), theirs(x))
        ours.load_state_dict(theirs.state_dict(), strict=True)
        assert torch.equal(ours(x), theirs(x))


def strides(block: Any) -> list[int]:
    return [conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3)]


@pytest.mark.parametrize("name", V1)
def test_a_plain_name_has_the_stride_in_the_first_1x1_and_v15_in_the_3x3(name: str) -> None:
    v1: Any = on_meta(name, **IMAGENET)
    v15: Any = on_meta(f"{name}-v1.5", **IMAGENET)
    for layer in ("layer2", "layer3", "layer4"):
        assert strides(getattr(v1, layer)[0]) == [2, 1, 1]
        assert strides(getattr(v15, layer)[0]) == [1, 2, 1]
        for net in (v1, v15):
            assert getattr(net, layer)[0].downsample[0].stride == (2, 2)
            assert all(strides(block) == [1, 1, 1] for block in getattr(net, layer)[1:])
    assert strides(v1.layer1[0]) == strides(v15.layer1[0]) == [1, 1, 1]


def test_parameters_and_macs_of_torchvisions_resnet50_to_the_last_one() -> None:
    # What ptflops, torchvision's own metadata (4.089 G) and torch's counter say of torchvision's resnet50.
    assert cost(on_meta("resnet50-v1.5", **IMAGENET), (3, 224, 224)) == (25_557_032, 4_089_184_256)


@pytest.mark.parametrize("name", RESNETS)
def test_macs_are_those_that_torchvision_prints(name: str) -> None:
    weights = models.get_model_weights(OF_TORCHVISION[name]).IMAGENET1K_V1  # type: ignore[attr-defined]
    found = cost(on_meta(name, **IMAGENET), (3, 224, 224))
    assert found.params == weights.meta["num_params"]
    assert round(found.macs / 1e9, 3) == weights.meta["_ops"]


def test_cost_leaves_a_frozen_norm_frozen_and_counts_in_any_precision() -> None:
    model: Any = build("resnet8", BAM_PAPER).double().train()
    model.stem[1].eval()
    modes = {name: module.training for name, module in model.named_modules()}
    assert cost(model, (3, 8, 8)) == cost(build("resnet8", BAM_PAPER), (3, 8, 8))
    assert {name: module.training for name, module in model.named_modules()} == modes


@pytest.mark.parametrize("name", NAMES)
def test_a_greyscale_network_differs_in_its_first_convolution_alone(name: str) -> None:
    for size in ((32, 32), (224, 224)):
        attention = PLAIN if name == "vgg16" else SE
        colour, grey = (
            shapes(on_meta(name, attention, in_channels=channels, image_size=size).state_dict()) for channels in (3, 1)
        )
        changed = [key for key in colour if colour[key] != grey[key]]
        assert list(colour) == list(grey)
        assert len(changed) == 1
        out, _, height, width = colour[changed[0]]
        assert colour[changed[0]] == (out, 3, height, width)
        assert grey[changed[0]] == (out, 1, height, width)


@pytest.mark.parametrize(("name", "key"), [("resnet18", "conv1"), ("squeezenet1.1", "features.0")])
def test_a_new_first_convolution_starts_he_normal(name: str, key: str) -> None:
    conv: Any = build(name, PLAIN, in_channels=1, image_size=(224, 224)).get_submodule(key)
    fan_out = conv.out_channels * conv.kernel_size[0] ** 2
    assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
    assert conv.bias is None or not conv.bias.any()


class Same(nn.Module):
    """Not an Identity, which would leave the sites as they are without attention."""

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("name", ["resnet18", "wrn-18-1.5", "resnext50-32x4d"])
def test_images_above_64_pixels_get_the_large_stem(name: str) -> None:
    """By 2 in the 7x7 and by 2 in the pooling, so 16 x 24 positions are 4 x 6; the small one leaves 16 x 24."""
    for size, expected in (((64, 64), (16, 24)), ((64, 65), (4, 6)), ((65, 16), (4, 6)), ((8, 8), (16, 24))):
        seen: list[tuple[int, ...]] = []
        module = Same()
        module.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(tuple(output.shape[2:])))
        with torch.device("meta"):
            sites = Sites(bottleneck=lambda channels, module=module: module)
            net = BACKBONES.get(name)(num_classes=2, in_channels=3, image_size=size, sites=sites)
            net.eval()(torch.zeros(1, 3, 16, 24))
        assert seen[0] == expected, size


def test_vgg16_has_no_blocks() -> None:
    with pytest.raises(UsageError) as caught:
        on_meta("vgg16", SE)
    assert str(caught.value) == ("vgg16 has no blocks, so placement 'block' is not possible (allowed: bottleneck)")


THIN = ("resnet8", "resnet20", "resnet32", "resnet56", "resnet110", "preresnet110", "densenet100-bc")


def learner(name: str, attention: str) -> nn.Module:
    """With attention wide enough that no hidden layer is dead by chance; in networks without norms it starts near 1."""
    config = replace(ATTENTIONS[attention], reduction=1 if name == "densenet100-bc" else 2 if name in THIN else 16)
    if name in WITHOUT_NORMS:
        config = replace(config, residual=True, placement="bottleneck" if name == "vgg16" else config.placement)
    if config.name == "bam":
        config = replace(config, gate_init="zero")  # batch norms over 8 pooled numbers make gradients of 1e5 and more
    model = build(name, config, gate="tanh" if config.residual else "sigmoid")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # its noise would hide the loss
    return model


def attention_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Without the shifts before a batch norm: they have no effect in training."""
    for path, module in model.named_modules():
        if isinstance(module, AttentionModule):
            for name, parameter in module.named_parameters():
                owner = module.get_submodule(name.rpartition(".")[0])
                before_norm = isinstance(module, BAM) and isinstance(owner, nn.Linear | nn.Conv2d)
                if not (before_norm and name.endswith("bias")):
                    yield f"{path}.{name}", parameter


ONE_OF_EACH = [
    *("resnet20", "resnet18", "resnet50", "preresnet110", "wrn-16-8", "resnext29-8x64d", "resnext50-32x4d"),
    *("densenet100-bc", "mobilenet", "squeezenet1.1", "vgg16"),
]


def learning_cases() -> Iterator[Any]:
    """Maps that are 1 x 1 at the end, but for MobileNet's 2 x 2; more images where many norms follow one another."""
    for name in NAMES:
        size = 64 if name.startswith("mobilenet") else 32 if name in WITHOUT_NORMS else 4
        count = 8 if name.endswith("110") or any(depth in name for depth in ("50", "101")) else 4
        # Others have the same blocks, more of them or wider: one kind of attention will do.
        for attention in ("bam", "bam-block", "se", "cbam") if name in ONE_OF_EACH else ("bam",):
            if (name, attention) != ("vgg16", "bam-block"):
                case = name, attention, (count, 3, size, size)
                yield pytest.param(*case, id=f"{name}-{attention}", marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "attention", "shape"), list(learning_cases()))
def test_every_network_with_every_attention_learns_from_a_small_map(
    name: str, attention: str, shape: tuple[int, ...]
) -> None:
    model = learner(name, attention)
    # Not the largest weights: their gradients would be most of the time.
    largest = 1 << 17 if name.startswith(("wrn", "resnext29", "vgg")) else 1 << 20
    of_attention = dict(attention_parameters(model))
    learning = [p for key, p in model.named_parameters() if p.numel() <= largest or key in of_attention]
    model.requires_grad_(False)
    for parameter in learning:
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(learning, lr=0.003 if "50" in name or "101" in name else 0.01, fused=True)
    x, labels, losses = image(*shape), torch.arange(shape[0]), []
    still = of_attention
    assert still
    for _ in range(10):
        logits = model(x)
        assert logits.shape == (shape[0], 10)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        still = {key: p for key, p in still.items() if p.grad is None or not p.grad.any()}
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)
    assert list(still) == []
    wide = x[:1].repeat(1, 1, 1, 2)[:, :, :, : shape[3] + 5]
    assert model.eval()(wide).shape == (1, 10)


@pytest.mark.parametrize("side", [1, 2, 7, 10])
def test_vgg_pools_to_the_same_numbers_as_torchvisions(side: int) -> None:
    made = torch.Generator().manual_seed(0)
    given, weight = torch.randn(2, 3, side, side, generator=made), torch.randn(2, 3, 7, 7, generator=made)
    found = []
    for pool in (SevenBySeven(), torch.nn.AdaptiveAvgPool2d((7, 7))):
        x = given.clone().requires_grad_()
        y = pool(x)
        (y * weight).sum().backward()
        assert x.grad is not None
        found.append((y.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.gpu
@pytest.mark.parametrize("side", [1, 7])
def test_vggs_pooling_has_one_gradient_on_a_gpu(cuda: torch.device, side: int) -> None:
    x = torch.randn(2, 3, side, side, device=cuda, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        SevenBySeven()(x).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full_like(x, 49 / side**2))
