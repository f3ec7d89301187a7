"""Probes against the same figures computed from whole cubes with numpy."""

import contextlib

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import BAM
from bamgate.config import AttentionConfig
from bamgate.errors import GateError
from bamgate.gates import GATES, Gate
from bamgate.networks.build import build_model
from bamgate.networks.sites import gate_sites
from bamgate.observe import gate_figures as probes
from bamgate.observe.gate_figures import QUANTILES, probe_gates
from bamgate.record.tables import SCALE_EDGES


def _network(attention: AttentionConfig) -> nn.Module:
    gate = GATES.get(attention.gate)
    model = build_model("resnet8", attention, gate, num_classes=10, in_channels=1, image_size=(12, 9), seed=3)
    # Batch norms that have seen something, so that evaluation differs from a fresh start.
    model.train()
    for i in range(3):
        model(torch.randn(16, 1, 12, 16, generator=torch.Generator().manual_seed(i)))
    return model.eval()


def _batch() -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(9)
    masks = torch.zeros(6, 12, 16, dtype=torch.bool)
    masks[:, 3:8, 5:12] = True
    return torch.randn(6, 1, 12, 16, generator=made), torch.arange(6), masks


def _site_input(model: nn.Module, x: Tensor, name: str) -> Tensor:
    """The feature map that reaches the site `name`, walked by hand."""
    features = model.stem(x)
    for stage, block in model.stages.items():
        features = block(features)
        if stage == name:
            return features
        if stage in model.sites:
            features = model.sites[stage](features)
    raise AssertionError(name)


@pytest.mark.parametrize("site", ["layer1", "layer2"])
def test_figures_of_a_bam_are_those_of_its_whole_cube(site: str) -> None:
    model = _network(AttentionConfig(gate="tanh"))
    x, labels, masks = _batch()
    found = {row["site"]: row for row in probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext())}[site]
    with torch.no_grad():
        bam, features = model.sites[site], _site_input(model, x, site)
        channel, spatial = bam.channel(features), bam.spatial(features)
        z = (channel + spatial).numpy().astype(np.float64)
    s = 1 + np.tanh(z)
    height, width = z.shape[2:]
    assert (found["channels"], found["height"], found["width"], found["values"]) == (z.shape[1], height, width, z.size)
    for name, q in QUANTILES.items():
        assert found[name] == pytest.approx(np.quantile(s, q), abs=2e-5)
    assert (found["min"], found["max"]) == pytest.approx((s.min(), s.max()), abs=2e-6)
    assert (found["mean"], found["sd"]) == pytest.approx((s.mean(), s.std()), abs=2e-6)
    counts = list(map(int, found["histogram"].split()))
    assert sum(counts) == s.size
    assert counts == pytest.approx(np.histogram(s, [-np.inf, *SCALE_EDGES, np.inf])[0], abs=1)
    assert found["attenuated"] == np.sum(s < 1)
    assert found["relatively_attenuated"] == np.sum(s.astype(np.float32) < np.float32(found["mean"]))
    assert found["saturated"] == np.sum(1 - np.tanh(z) ** 2 < 0.05)
    assert found["mean_slope"] == pytest.approx(np.mean(1 - np.tanh(z) ** 2), abs=2e-6)
    assert (found["logit_mean"], found["logit_sd"]) == pytest.approx((z.mean(), z.std()), abs=2e-6)
    assert found["channel_sd"] == pytest.approx(channel.numpy().std(), abs=2e-6)
    assert found["spatial_sd"] == pytest.approx(spatial.numpy().std(), abs=2e-6)
    on = F.interpolate(masks[:, None].float(), scale_factor=height / 12, mode="area").numpy()
    plane = s.mean(axis=1, keepdims=True)
    assert found["on_object"] == pytest.approx((plane * on).sum() / on.sum(), abs=2e-6)
    assert found["off_object"] == pytest.approx((plane * (1 - on)).sum() / (1 - on).sum(), abs=2e-6)


def test_gradient_norms_by_site_and_trunk() -> None:
    model = _network(AttentionConfig(name="cbam", gate="tanh"))
    x, labels, _ = _batch()
    rows = {row["site"]: row for row in probe_gates(model, x, labels, None, autocast=contextlib.nullcontext())}
    F.cross_entropy(model(x), labels).backward()
    squares = {"trunk": 0.0, "layer2.0.channel": 0.0, "layer2.0.spatial": 0.0}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        part = "layer2.0.channel" if name.startswith("stages.layer2.0.attention.channel") else None
        part = "layer2.0.spatial" if name.startswith("stages.layer2.0.attention.spatial") else part
        part = "trunk" if "attention" not in name else part
        if part:
            squares[part] += float((parameter.grad**2).sum())
    for site in ("layer2.0.channel", "layer2.0.spatial"):
        assert rows[site]["gradient_attention"] == pytest.approx(squares[site] ** 0.5, rel=1e-4)
        assert rows[site]["gradient_trunk"] == pytest.approx(squares["trunk"] ** 0.5, rel=1e-4)


def test_a_probe_leaves_no_trace() -> None:
    model = _network(AttentionConfig(gate="learned-depth"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, labels, masks = _batch()
    model.train()
    first = probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext(), batch_statistics=True)
    second = probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext(), batch_statistics=True)
    assert first == second
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_gradients_of_the_last_training_step_do_not_count() -> None:
    fresh, trained = (_network(AttentionConfig(gate="tanh")) for _ in range(2))
    x, labels, masks = _batch()
    F.cross_entropy(trained(x), labels).backward()
    rows = [probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext()) for model in (fresh, trained)]
    assert rows[0] == rows[1]


def test_batch_statistics_are_those_of_the_batch() -> None:
    """The paper's layout: each branch ends in a batch norm with gain 1, so both SDs are 1 at the start."""
    model = build_model(
        "resnet8", AttentionConfig(), GATES.get("sigmoid"), num_classes=10, in_channels=1, image_size=(12, 9), seed=0
    )
    made = torch.Generator().manual_seed(0)
    rows = probe_gates(
        model,
        torch.randn(64, 1, 20, 20, generator=made),
        torch.arange(64) % 10,
        None,
        autocast=contextlib.nullcontext(),
        batch_statistics=True,
    )
    for row in rows:
        assert row["channel_sd"] == pytest.approx(1, abs=0.05)
        assert row["spatial_sd"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("attention", "sites"),
    [
        (AttentionConfig(), ["layer1", "layer2"]),
        (AttentionConfig(placement="block"), ["layer1.0", "layer2.0", "layer3.0"]),
        (AttentionConfig(name="se"), ["layer1.0", "layer2.0", "layer3.0"]),
        (
            AttentionConfig(name="cbam", placement="bottleneck"),
            [f"layer{i}.{p}" for i in (1, 2) for p in ("channel", "spatial")],
        ),
        (AttentionConfig(name="none", gate="none"), []),
    ],
)
def test_sites_are_named_by_their_stage(attention: AttentionConfig, sites: list[str]) -> None:
    model = _network(attention)
    assert list(gate_sites(model)) == sites
    x, labels, masks = _batch()
    assert [row["site"] for row in probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext())] == sites


def test_maps_of_one_position_have_no_object_to_stand_on() -> None:
    model = _network(AttentionConfig(name="se", gate="sigmoid"))
    row = probe_gates(model, *_batch(), autocast=contextlib.nullcontext())[0]
    assert (row["height"], row["width"], row["on_object"], row["off_object"]) == (1, 1, None, None)


def test_a_constant_gate_saturates_nowhere_and_attenuates_as_it_says() -> None:
    for gate, attenuated in (("none", 0), ("constant-half", 0)):
        row = probe_gates(_network(AttentionConfig(gate=gate)), *_batch(), autocast=contextlib.nullcontext())[0]
        assert (row["saturated"], row["attenuated"], row["sd"], row["mean_slope"]) == (0, attenuated, 0, 0)
        assert row["gradient_attention"] == 0


def test_a_learned_gate_logs_what_it_learned() -> None:
    model = _network(AttentionConfig(gate="learned-depth"))
    with torch.no_grad():
        gate_sites(model)["layer2"].gate.depth.fill_(0.75)  # type: ignore[union-attr, operator]
    rows = probe_gates(model, *_batch(), autocast=contextlib.nullcontext())
    assert [row["learned"] for row in rows] == ["depth=0.333333", "depth=0.75"]


def test_large_maps_are_thinned_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _network(AttentionConfig(gate="tanh"))
    whole = probe_gates(model, *_batch(), autocast=contextlib.nullcontext())[0]
    monkeypatch.setattr(probes, "MAX_VALUES", whole["values"] // 4)
    thin = probe_gates(model, *_batch(), autocast=contextlib.nullcontext())[0]
    assert thin["values"] == whole["values"] // 4
    assert thin["q50"] == pytest.approx(whole["q50"], abs=0.1)
    # What is not read from the cube's values is not thinned.
    assert thin["on_object"] == whole["on_object"]


def test_sites_come_from_the_modules_not_from_the_networks_class() -> None:
    wrapped = nn.Sequential(nn.Conv2d(1, 8, 3), BAM(8, gate=GATES.get("tanh").build))
    assert list(gate_sites(wrapped)) == ["1"]


class AfterACall(nn.Module):
    """A gate that the trial beforehand cannot see through: one function of each logit until `mixes` is set."""

    mixes = False

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z - z.amax() if AfterACall.mixes else z)


def test_a_gate_that_gives_other_values_in_the_network_than_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(name="mine", build=AfterACall, source="")
    model = build_model("resnet8", AttentionConfig(), gate, num_classes=10, in_channels=1, image_size=(12, 9), seed=3)
    x, labels, masks = _batch()
    rows = probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext())
    assert "apart" not in rows[0]
    monkeypatch.setattr(AfterACall, "mixes", True)
    with pytest.raises(
        GateError, match=r"^the gate at layer1 gives other values in the network than alone; a gate is "
    ):
        probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext())


def test_logits_that_are_not_numbers_are_no_fault_of_the_gate() -> None:
    model = _network(AttentionConfig(gate="sigmoid"))
    with torch.no_grad():
        model.stem[0].weight.fill_(torch.inf)
    x, labels, masks = _batch()
    assert np.isnan(probe_gates(model, x, labels, masks, autocast=contextlib.nullcontext())[0]["mean"])
