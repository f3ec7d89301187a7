"""The authors' checkpoints: read, computed as their code does, written again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_samples import image
from released_samples import authors_checkpoint, bam_entries, forward_of_the_authors
from torch import Tensor
from torchvision import models

from bamgate.config import AttentionConfig
from bamgate.errors import DataError, UsageError
from bamgate.gates import fingerprint, load_gate
from bamgate.weights import Network, build, load_model, load_network, write_released
from bamgate.weights.released import our_key, their_key

RELEASED = AttentionConfig(layout="released")


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[Any], Path]:
    def store(content: Any) -> Path:
        path = tmp_path / "authors.pth.tar"
        torch.save(content, path)
        return path

    return store


def network(model: str = "resnet18", attention: AttentionConfig = RELEASED) -> Network:
    return Network(
        model=model,
        attention=attention,
        num_classes=10,
        in_channels=3,
        image_size=(224, 224),
        gate_fingerprint=fingerprint(load_gate(attention.gate)),
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    )


def test_the_names_are_those_of_the_authors(tmp_path: Path) -> None:
    described = network("resnet50-v1.5")
    net = build(described)
    write_released(tmp_path / "x.pth", described, net.state_dict())
    content = torch.load(tmp_path / "x.pth", weights_only=True)
    assert content.keys() == {"epoch", "arch", "state_dict", "best_prec1"}
    assert content["arch"] == "resnet"
    expected = {f"module.{name}": tuple(t.shape) for name, t in models.resnet50(num_classes=10).state_dict().items()}
    for k, c in ((1, 256), (2, 512), (3, 1024)):
        entries = bam_entries(k, c)
        assert len(entries) == 32
        expected |= entries
    assert {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()} == expected
    parameters = sum(
        tensor.numel()
        for name, tensor in content["state_dict"].items()
        if ".bam" in name and name.endswith(("weight", "bias"))
    )
    assert parameters == 358_067  # facts of the released ResNet50: 25,915,099 - 25,557,032


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("layer1.attention.channel.reduce.weight", "module.bam1.channel_att.gate_c.gate_c_fc_0.weight"),
        ("layer2.attention.channel.norm.running_var", "module.bam2.channel_att.gate_c.gate_c_bn_1.running_var"),
        ("layer3.attention.channel.expand.bias", "module.bam3.channel_att.gate_c.gate_c_fc_final.bias"),
        ("layer1.attention.spatial.hidden.0.bias", "module.bam1.spatial_att.gate_s.gate_s_conv_reduce0.bias"),
        ("layer1.attention.spatial.hidden.6.weight", "module.bam1.spatial_att.gate_s.gate_s_conv_di_1.weight"),
        ("layer1.attention.spatial.final.weight", "module.bam1.spatial_att.gate_s.gate_s_conv_final.weight"),
        ("layer3.10.conv2.weight", "module.layer3.10.conv2.weight"),
        ("fc.bias", "module.fc.bias"),
    ],
)
def test_a_name_in_both_directions(ours: str, theirs: str) -> None:
    assert our_key(theirs) == ours == our_key(theirs.removeprefix("module."))
    assert their_key(ours) == theirs


def test_a_name_that_is_no_bams_stays() -> None:
    assert our_key("module.bam1.other.weight") == "bam1.other.weight"
    assert our_key("module.bam4.channel_att.gate_c.gate_c_fc_0.bias") == "bam4.channel_att.gate_c.gate_c_fc_0.bias"


@pytest.mark.parametrize(
    ("arch", "model", "options"),
    [
        ("resnet18", "resnet18", {}),
        ("resnet18", "resnet18", {"small_stem": True}),
        ("resnet18", "resnet18", {"bam": False}),
        pytest.param("resnet50", "resnet50-v1.5", {}, marks=pytest.mark.slow),
    ],
)
def test_the_forward_pass_is_the_authors(
    arch: str, model: str, options: dict[str, bool], stored: Callable[[Any], Path]
) -> None:
    checkpoint = authors_checkpoint(arch, **options)
    described, net = load_model(stored(checkpoint))
    bam = options.get("bam", True)
    assert described.model == model
    assert described.attention == (RELEASED if bam else AttentionConfig(name="none", gate="none"))
    assert (described.num_classes, described.in_channels) == (10, 3)
    assert described.image_size == ((32, 32) if options.get("small_stem") else (224, 224))
    x = image(2, 3, 96, 64).double()
    expected = forward_of_the_authors(arch, checkpoint, x)
    with torch.no_grad():
        torch.testing.assert_close(net.double()(x), expected, rtol=1e-10, atol=1e-10)
    assert expected.std() > 0.01


def test_the_formula_depends_on_every_part_of_a_bam() -> None:
    checkpoint = authors_checkpoint("resnet18")
    x = image(1, 3, 64, 64)
    before = forward_of_the_authors("resnet18", checkpoint, x)
    for name in bam_entries(2, 128):
        if name.endswith("num_batches_tracked"):
            continue
        changed: dict[str, Tensor] = dict(checkpoint["state_dict"])
        changed[name] = changed[name] * 1.5
        after = forward_of_the_authors("resnet18", {"state_dict": changed}, x)
        assert (after - before).abs().max() > 1e-6, name


def test_a_round_trip_keeps_every_tensor(stored: Callable[[Any], Path], tmp_path: Path) -> None:
    checkpoint = authors_checkpoint("resnet18")
    described, net = load_model(stored(checkpoint))
    again = tmp_path / "again.pth.tar"
    write_released(again, described, net.state_dict())
    written = torch.load(again, weights_only=True)["state_dict"]
    assert written.keys() == checkpoint["state_dict"].keys()
    for name, tensor in checkpoint["state_dict"].items():
        assert written[name].dtype == tensor.dtype
        assert torch.equal(written[name], tensor), name


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    described = network()
    state = build(described).state_dict()
    write_released(tmp_path / "a.pth", described, state)
    write_released(tmp_path / "b.pth", described, dict(reversed(state.items())))
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_other_forms_of_the_same_checkpoint(stored: Callable[[Any], Path], tmp_path: Path) -> None:
    checkpoint = authors_checkpoint("resnet18")
    described, expected = load_network(stored(checkpoint))
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1, momentum=0.9)
    optimiser.param_groups[0]["params"][0].grad = torch.ones(3)
    optimiser.step()
    bare = checkpoint["state_dict"]
    forms = [
        bare,
        {name.removeprefix("module."): tensor for name, tensor in bare.items()},
        {**checkpoint, "optimizer": optimiser.state_dict()},
    ]
    for form in forms:
        found, state = load_network(stored(form))
        assert found == described
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)
    # PyTorch 0.4, with which the weights were trained, wrote no zip files.
    torch.save(checkpoint, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    assert load_network(tmp_path / "old.pth.tar")[0] == described


def test_before_batches_were_counted(stored: Callable[[Any], Path]) -> None:
    checkpoint = authors_checkpoint("resnet18")
    old = {name: t for name, t in checkpoint["state_dict"].items() if not name.endswith("num_batches_tracked")}
    _, net = load_model(stored({**checkpoint, "state_dict": old}))
    counters = [tensor for name, tensor in net.state_dict().items() if name.endswith("num_batches_tracked")]
    assert len(counters) == 20 + 3 * 4
    assert all(int(counter) == 0 and counter.dtype == torch.int64 for counter in counters)
    # Where some are there, a missing one is missing.
    some = {**old, "module.bn1.num_batches_tracked": torch.tensor(5)}
    with pytest.raises(DataError, match=r"does not fit the network: 31 missing \(layer1"):
        load_model(stored(some))


@pytest.mark.parametrize(
    ("arch", "model"),
    [
        ("resnet34", "resnet34"),
        ("resnet101", "resnet101-v1.5"),
        ("resnext50_32x4d", "resnext50-32x4d-v1.5"),
    ],
)
def test_the_keys_tell_the_network(arch: str, model: str, stored: Callable[[Any], Path]) -> None:
    assert load_model(stored(models.get_model(arch, num_classes=10).state_dict()))[0].model == model


def test_a_name_tells_what_the_keys_do_not(stored: Callable[[Any], Path]) -> None:
    path = stored(authors_checkpoint("resnet50", bam=False))
    described, net = load_model(path, model="resnet50")
    assert described.model == "resnet50"
    x = image(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(net(x), load_model(path)[1](x))
    with pytest.raises(UsageError, match="unknown model 'resnet51'; did you mean 'resnet"):
        load_model(path, model="resnet51")
    with pytest.raises(DataError, match=r"does not fit the network: .* unknown .*nothing was loaded"):
        load_model(path, model="resnet18")


def resnet18(**changes: Tensor | None) -> dict[str, Tensor]:
    state = {**models.resnet18(num_classes=10).state_dict(), **changes}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


def test_other_networks_are_refused_by_name(stored: Callable[[Any], Path]) -> None:
    with torch.device("meta"):
        deep, wide = (models.get_model(name, num_classes=2).state_dict() for name in ("resnet152", "wide_resnet50_2"))
    empty = {name: torch.zeros(tensor.shape) for name, tensor in deep.items()}
    with pytest.raises(DataError, match="has 3-8-36-3 blocks of three convolutions, the second 64 channels wide, wh"):
        load_network(stored(empty))
    empty = {name: torch.zeros(tensor.shape) for name, tensor in wide.items()}
    with pytest.raises(DataError, match="has 3-4-6-3 blocks of three convolutions, the second 128 channels wide, wh"):
        load_network(stored(empty))
    cbam = {"module.layer1.0.cbam.ChannelGate.mlp.1.weight": torch.zeros(4, 64)}
    with pytest.raises(DataError, match=r"holds the authors' CBAM \(module\.layer1\.0\.cbam\.ChannelGate\.mlp\.1"):
        load_network(stored({"state_dict": {**resnet18(), **cbam}}))
    with pytest.raises(DataError, match=r"it has no conv1\.weight, .*, fc\.weight; its keys: features\.0\.weight"):
        load_network(stored({"features.0.weight": torch.zeros(3)}))
    with pytest.raises(DataError, match=r"conv1\.weight is 64x3x5x5; bamgate knows stems of 7x7 and 3x3"):
        load_network(stored(resnet18(**{"conv1.weight": torch.zeros(64, 3, 5, 5)})))
    with pytest.raises(
        DataError, match=r"layer2\.0\.conv2\.weight is 128, which is not the shape of a ResNet's weight"
    ):
        load_network(stored(resnet18(**{"layer2.0.conv2.weight": torch.zeros(128)})))
    with pytest.raises(DataError, match=r"fc\.weight is scalar, which is not the shape of a ResNet's weight"):
        load_network(stored(resnet18(**{"fc.weight": torch.tensor(1.0)})))
    with pytest.raises(DataError, match=r"holds fc\.bias twice, once as module\.fc\.bias"):
        load_network(stored(resnet18(**{"module.fc.bias": torch.zeros(10)})))


def test_what_is_no_checkpoint(stored: Callable[[Any], Path], tmp_path: Path) -> None:
    for content, message in [
        ([torch.zeros(3)], "holds a list, not weights by name"),
        ({"state_dict": 3}, "has no weights by name and no 'state_dict' of them; its keys: state_dict"),
        ({"a": 1}, "its keys: a"),
        ({1: torch.zeros(1)}, "its keys: 1"),
        ({}, "it has no conv1.weight"),
        (
            {"position": "{}", "model/fc.bias": torch.zeros(1)},
            "is the checkpoint of a run, but its config.json is not beside it",
        ),
        ({"best_prec1": np.float64(3), "state_dict": {}}, "contains objects that would run their own code"),
    ]:
        with pytest.raises(DataError) as error:
            load_network(stored(content))
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    path = stored(authors_checkpoint("resnet18"))
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:1000], whole[:-1000]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"authors\.pth\.tar is not an intact checkpoint") as error:
            load_network(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "attention", "message"),
    [
        (
            "resnet50",
            RELEASED,
            "resnet50 has its strides in other layers than the authors' code, under the same keys; train re",
        ),
        ("resnext50-32x4d", RELEASED, "resnext50-32x4d has its strides in other layers"),
        (
            "resnext50-32x4d-v1.5",
            RELEASED,
            "the authors' code has no resnext50-32x4d-v1.5 (allowed: resnet18, resnet34,",
        ),
        ("resnet8", RELEASED, "the authors' code has no resnet8"),
        ("torchvision:resnet18", RELEASED, "the authors' code has no torchvision:resnet18"),
        ("resnet18", AttentionConfig(name="se"), "the authors' code has only attention 'bam', this network has 'se'"),
        (
            "resnet18",
            replace(RELEASED, gate="tanh"),
            "the authors' code has only gate 'sigmoid', this network has 'tanh'",
        ),
        (
            "resnet18",
            AttentionConfig(combine="product"),
            "only layout 'released', this network has 'paper'; convert wi",
        ),
        ("resnet18", replace(RELEASED, combine="sum"), "only combine 'product', this network has 'sum'"),
        ("resnet18", replace(RELEASED, reduction=8), "only reduction 16, this network has 8"),
        ("resnet18", replace(RELEASED, dilation=2), "only dilation 4, this network has 2"),
        ("resnet18", replace(RELEASED, residual=False), "only residual True, this network has False"),
        ("resnet18", replace(RELEASED, placement="block"), "only placement 'bottleneck', this network has 'block'"),
        ("resnet18", AttentionConfig(layout="released", branches="channel"), "only branches 'both'"),
    ],
)
def test_what_the_authors_code_has_not_is_not_written(
    model: str, attention: AttentionConfig, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        write_released(tmp_path / "x.pth", network(model, attention), {})
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_how_the_weights_started_does_not_matter(tmp_path: Path) -> None:
    described = network(attention=replace(RELEASED, gate_init="zero"))
    write_released(tmp_path / "x.pth", described, build(described).state_dict())
    assert load_network(tmp_path / "x.pth")[0] == network()
