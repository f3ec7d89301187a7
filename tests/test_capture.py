"""What a capture hands over, against the papers' formulas on the features that went in."""

import contextlib
import weakref
from typing import Any

import pytest
import torch
from attention_samples import LAYOUTS, WAYS, bam_logits, image, mlp, shaken
from model_samples import BAM_PAPER, build
from observe_samples import hooks, small_network
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.attention.cbam import ChannelAttention, SpatialAttention
from bamgate.config import AttentionConfig
from bamgate.config.options import options_of
from bamgate.errors import UsageError
from bamgate.gates import GATES
from bamgate.networks.build import attention_factory
from bamgate.networks.sites import gate_sites
from bamgate.observe import capture as capturing
from bamgate.observe.capture import PARTS, Passage, capture

TANH = GATES.get("tanh")
# Every attention module that a configuration can name and that has a gate.
NAMED = next(rule.choices for name, _, _, rule in options_of(AttentionConfig) if name == "name")
GATED = [name for name in NAMED if name not in ("none", "extra-block")]


def by_hand(passage: Passage) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """(channel vector, spatial plane, z) from the features before, by the formulas of the papers."""
    module: Any = passage.site.around
    x = passage.before
    if isinstance(module, BAM):
        channel, spatial = (bam_logits(module, x, way, "sum", "paper", 4) for way in ("channel", "spatial"))
        return channel[:, :, 0, 0], spatial[:, 0], channel + spatial
    if isinstance(module, SpatialAttention):
        pooled = torch.stack([x.mean(1), x.max(1).values], dim=1)
        z = F.conv2d(pooled, module.conv.weight, padding=3)
        return None, z[:, 0], z
    z = mlp(module.mlp, x.flatten(2).mean(2))
    if isinstance(module, ChannelAttention):
        z = z + mlp(module.mlp, x.flatten(2).max(2).values)
    else:
        assert isinstance(module, SqueezeExcitation)
    return z[:, :, 0, 0], None, z


def close(found: Tensor | None, expected: Tensor | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None:
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_every_module_with_a_gate_is_tried() -> None:
    assert GATED == ["bam", "se", "cbam"]
    for name in GATED:
        assert attention_factory(AttentionConfig(name=name), TANH) is not None


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("placement", ["bottleneck", "block"])
@pytest.mark.parametrize("name", GATED)
def test_each_module_at_each_site_in_both_modes(name: str, placement: str, training: bool) -> None:
    config = AttentionConfig(name=name, placement=placement, reduction=4)
    model = shaken(build("resnet8", config)).train(training)
    sites = gate_sites(model)
    with capture(model, PARTS) as seen:
        model(image(3, 3, 20, 12))
    assert list(seen) == list(sites)
    assert len(seen) == (2 if placement == "bottleneck" else 3) * (2 if name == "cbam" else 1)
    for site, passage in seen.items():
        assert passage.site.scale is sites[site]
        channel, spatial, z = by_hand(passage)
        close(passage.channel, channel)
        close(passage.spatial, spatial)
        close(passage.logits, z)
        plus = 1 if name == "bam" else 0
        close(passage.scales, plus + torch.tanh(z))
        close(passage.after, passage.before * (plus + torch.tanh(z)))
        assert not passage.scales.requires_grad
    assert hooks(model) == 0


def test_features_are_those_that_reach_the_sites() -> None:
    model: Any = shaken(build("resnet8", BAM_PAPER)).eval()
    x = image(2, 3, 12, 20)
    with capture(model, ("before", "after")) as seen:
        model(x)
    walked = model.stages["layer1"](model.stem(x))
    close(seen["layer1"].before, walked)
    close(seen["layer1"].after, model.sites["layer1"](walked))
    close(seen["layer2"].before, model.stages["layer2"](model.sites["layer1"](walked)))


@pytest.mark.parametrize("shape", [(1, 12, 7, 10), (4, 12, 5, 1), (2, 12, 1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("branches", "combine"), WAYS)
def test_each_kind_of_bam(branches: str, combine: str, layout: str, shape: tuple[int, ...]) -> None:
    ways = {"branches": branches, "combine": combine, "layout": layout, "reduction": 4}
    model = nn.Sequential(shaken(BAM(12, gate=TANH.build, **ways))).eval()
    with capture(model, PARTS) as seen:
        model(image(*shape))
    (passage,) = (passage for _, passage in seen.items())
    x, bam = passage.before, model[0]
    z = bam_logits(bam, x, branches, combine, layout, 4)
    close(passage.logits, z)
    close(passage.scales, 1 + torch.tanh(z))
    close(passage.after, x * (1 + torch.tanh(z)))
    maps = {name: bam_logits(bam, x, name, "sum", layout, 4) for name in sorted(passage.branches)}
    assert list(maps) == {"both": ["channel", "spatial"], "channel": ["channel"]}.get(branches, ["spatial"])
    for name, expected in maps.items():
        close(passage.branches[name], expected)
    close(passage.channel, maps["channel"].flatten(1) if "channel" in maps else None)
    has_plane = branches in ("both", "spatial")
    close(passage.spatial, maps["spatial"].sum(1) / maps["spatial"].shape[1] if has_plane else None)
    if branches == "both" and layout != "counted":  # Eq. 2 from what was handed over alone
        assert passage.channel is not None
        assert passage.spatial is not None
        join = {"sum": torch.add, "product": torch.mul, "max": torch.maximum}[combine]
        close(passage.logits, join(passage.channel[:, :, None, None], passage.spatial[:, None]))


def test_under_autocast_logits_are_bf16_and_scales_fp32() -> None:
    model: Any = build("resnet8", BAM_PAPER).eval()
    x = image(2, 3, 12, 20).float()
    with capture(model, PARTS) as seen, torch.autocast("cpu", dtype=torch.bfloat16):
        model(x)
    for site, passage in seen.items():
        assert passage.logits.dtype == torch.bfloat16
        assert passage.scales.dtype == torch.float32
        assert torch.equal(passage.scales, 1 + torch.tanh(passage.logits.float()))
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            channel, spatial = (getattr(model.sites[site], name)(passage.before) for name in ("channel", "spatial"))
        assert passage.channel is not None
        assert passage.spatial is not None
        assert torch.equal(passage.channel, channel[:, :, 0, 0])
        assert torch.equal(passage.spatial, spatial[:, 0])


@torch.no_grad()
def test_compiled_networks_are_seen_and_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = small_network(), image(2, 3, 12, 20).float()
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    model.compile(backend="eager")
    model(x)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs > 0
    for network, called in ((model, compiled), (compiled, compiled), (model, model)):
        with capture(network, ("logits", "scales")) as seen:
            called(x)
        assert list(seen) == ["layer1", "layer2"]
        assert torch.equal(seen["layer1"].scales, 1 + torch.tanh(seen["layer1"].logits))
    # Compiled code would have called no hook: the test can tell.
    with monkeypatch.context() as patch, capture(model, ("scales",)) as seen:
        patch.setattr(capturing, "_as_written", contextlib.nullcontext)
        with capture(model, ("scales",)) as unseen, torch.compiler.set_stance("default"):
            compiled(x)
    assert seen.passages("layer1") == unseen.passages("layer1") == []
    # Nothing was compiled meanwhile: what was compiled before serves again.
    compiled(x)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


def test_a_site_that_is_passed_twice_keeps_both_passages_and_is_no_single_one() -> None:
    bam, x = shaken(BAM(4, gate=TANH.build)).eval(), image(2, 4, 5, 6)
    model = nn.Sequential(bam, nn.ReLU(), bam)
    with capture(model, PARTS) as seen:
        model(x)
    first, second = seen.passages("0")
    z = bam_logits(bam, x, "both", "sum", "paper", 4)
    close(first.logits, z)
    between = torch.relu(x * (1 + torch.tanh(z)))
    close(second.before, between)
    close(second.logits, bam_logits(bam, between, "both", "sum", "paper", 4))
    with pytest.raises(UsageError, match=r"^site '0' was passed 2 times; one passage was expected$"):
        seen["0"]


def test_a_site_that_is_not_reached_and_one_that_is_not_there() -> None:
    with capture(build("resnet8", BAM_PAPER), ("logits",)) as seen:
        pass
    assert seen.passages("layer1") == []
    with pytest.raises(UsageError, match=r"^site 'layer1' was never passed; one passage was expected$"):
        list(seen.items())
    with pytest.raises(UsageError, match=r"^unknown site 'layer3'; did you mean 'layer.'\? \(allowed: layer1, layer2"):
        seen["layer3"]


def test_parts_are_asked_for_by_name() -> None:
    model = build("resnet8", BAM_PAPER).eval()
    with capture(model, ("channel",)) as seen:
        model(image(1, 3, 12, 20).float())
    assert list(seen["layer1"].parts) == ["channel"]
    with pytest.raises(UsageError, match=r"^scales of site 'layer1' was not captured \(wanted: channel\)$"):
        _ = seen["layer1"].scales
    wrong: Any = "logit"
    with pytest.raises(UsageError, match=r"^unknown part 'logit'; did you mean 'logits'\? "), capture(model, (wrong,)):
        pass
    assert hooks(model) == 0


def test_captures_may_be_nested() -> None:
    model = build("resnet8", AttentionConfig(name="cbam")).eval()
    first, second = (image(2, 3, 12, 20, seed=seed).float() for seed in (1, 2))
    with capture(model, ("scales",)) as outer:
        model(first)
        with capture(model, ("scales", "before")) as inner:
            model(second)
        placed = hooks(model)
        model(first)
    assert placed == len(gate_sites(model))
    assert hooks(model) == 0
    for site in outer:
        one, two, three = (passage.scales for passage in outer.passages(site))
        assert torch.equal(one, three)
        assert torch.equal(two, inner[site].scales)
        assert not torch.equal(one, two)


def test_what_is_kept_is_what_keep_gives_and_no_map_behind_it() -> None:
    model = build("resnet8", BAM_PAPER).eval()
    maps: list[weakref.ref[Any]] = []

    def share(passage: Passage) -> float:
        maps.append(weakref.ref(passage.scales.untyped_storage()))
        assert [ref() is None for ref in maps[:-1]] == [True] * (len(maps) - 1)
        return float((passage.scales < 1).double().mean())

    with torch.no_grad(), capture(model, ("scales",), keep=share) as seen:
        model(image(2, 3, 12, 20).float())
    assert all(0 < value < 1 for _, value in seen.items())
    assert [ref() for ref in maps] == [None, None]


def test_hooks_stand_only_where_the_parts_need_them() -> None:
    model = build("resnet8", BAM_PAPER)
    placed = {}
    for want in ((), ("logits", "scales"), ("channel",), PARTS):
        with capture(model, want):
            placed[want] = hooks(model)
    assert list(placed.values()) == [2, 2, 2 * 4, 2 * 5]


def test_features_stay_as_they_were_if_the_network_goes_on_in_place() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.se = SqueezeExcitation(4, gate=TANH.build)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.se(x_BCHW=x)  # by name
            x.zero_()
            return y.mul_(0)

    model, x = InPlace(), image(2, 4, 3, 5).float()
    given = x.clone()
    with torch.no_grad(), capture(model, ("before", "scales", "after")) as seen:
        model(x)
    assert torch.equal(seen["se"].before, given)
    assert torch.equal(seen["se"].after, given * seen["se"].scales)


def test_gradients_by_the_chain_rule() -> None:
    bam = shaken(BAM(6, gate=TANH.build, reduction=2))
    model, x, weight = nn.Sequential(bam), image(3, 6, 5, 4), image(3, 6, 5, 4, seed=7)
    with capture(model, ("logits", "scales", "branches"), gradients=True) as seen:
        (weight * model(x)).sum().backward()
    passage = seen["0"]
    assert passage.scales.grad is not None
    by_scale = weight * x  # F' = F * s
    by_logit = by_scale * (1 - torch.tanh(passage.logits.detach()) ** 2)
    close(passage.scales.grad, by_scale)
    close(passage.logits.grad, by_logit)
    close(passage.branches["channel"].grad, by_logit.sum((2, 3), keepdim=True))
    close(passage.branches["spatial"].grad, by_logit.sum(1, keepdim=True))
    with pytest.raises(UsageError, match=r"^unknown part with a gradient 'after' "):
        with capture(model, ("after",), gradients=True):
            pass
    with torch.no_grad(), capture(model, ("logits",), gradients=True) as seen:
        model(x)
    assert not seen["0"].logits.requires_grad


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["gate", "keep", "block", "placing"])
def test_no_hook_is_left_if_something_fails(
    where: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = CBAM(4, gate=TANH.build), image(2, 4, 3, 5).float()

    def fail(*_: Any, **__: Any) -> Any:
        raise error("stop")

    if where == "gate":
        monkeypatch.setattr(model.spatial.scale.gate, "forward", fail)
    if where == "placing":  # the second site's hooks
        monkeypatch.setattr(model.spatial, "register_forward_hook", fail)

    def watched() -> None:
        with capture(model, PARTS, keep=fail if where == "keep" else lambda passage: passage):
            model(x)
            fail()

    with pytest.raises(error, match="stop"):
        watched()
    assert hooks(model) == 0
    assert torch._dynamo.eval_frame._stance.stance == "default"
