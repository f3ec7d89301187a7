"""Attention put into networks that are built already, and taken out again."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from insert_samples import BAM_4, CBAM_4, FOUND, SE_4, SMALL, Odd, hooks, image, network, tensors
from model_samples import build
from torch import Tensor, nn
from torchvision import models

import bamgate
from bamgate import BAM, AttentionConfig, insert_attention, remove_attention
from bamgate.errors import UsageError
from bamgate.gates import GATES
from bamgate.networks.insertion import channels_at, find_stages
from bamgate.networks.sites import gate_sites

pytestmark = pytest.mark.usefixtures("seeded")
X = image(2, 3, 64, 48)


@pytest.mark.parametrize("name", FOUND)
def test_the_sites_and_channels_of_torchvisions_networks(name: str) -> None:
    options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        net = models.get_model(name, weights=None, **options)
    parts = insert_attention(net, "stages", AttentionConfig())
    channels = {site: part.get_submodule("channel.expand").out_features for site, part in parts.items()}
    assert channels == FOUND[name]
    assert {parameter.device.type for parameter in net.parameters()} == {"meta"}


@pytest.mark.parametrize("config", [BAM_4, SE_4, CBAM_4], ids=lambda config: config.name)
@pytest.mark.parametrize("name", SMALL)
def test_attention_acts_at_every_site_and_is_gone_after_its_removal(name: str, config: AttentionConfig) -> None:
    net = network(name)
    plain, keys, before = net(X), list(net.state_dict()), tensors(net)
    parts = insert_attention(net, "stages", config)
    assert not torch.equal(net(X), plain)
    for site, part in parts.items():
        assert net.get_submodule(f"{site}.attention") is part
    loaded = net.load_state_dict(before, strict=False)
    assert loaded.unexpected_keys == []
    added = [key for key in net.state_dict() if ".attention." in key]
    assert loaded.missing_keys == [key for key in added if not key.endswith("num_batches_tracked")]
    assert [key for key in net.state_dict() if ".attention." not in key] == keys
    assert remove_attention(net) == list(parts)
    assert hooks(net) == 0
    assert list(net.state_dict()) == keys
    assert torch.equal(net(X), plain)
    assert remove_attention(net) == []


@pytest.mark.parametrize("name", SMALL)
def test_with_a_gate_of_zero_the_network_is_the_plain_one(name: str) -> None:
    net = network(name)
    plain = net(X)
    insert_attention(net, "stages", AttentionConfig(gate="none", reduction=4))
    assert torch.equal(net(X), plain)


@pytest.mark.parametrize("name", SMALL)
def test_the_gate_of_each_site_matters(name: str) -> None:
    net = network(name).double()
    sites = [*insert_attention(net, "stages", BAM_4)]
    x, before = X.double(), net(X.double())
    scales = gate_sites(net)
    assert list(scales) == sites
    for site, scale in scales.items():
        former, scale.gate = scale.gate, GATES.get("softsign").build()
        assert (net(x) - before).abs().max() > 1e-12, site
        scale.gate = former
    assert torch.equal(net(x), before)


@pytest.mark.parametrize("gate", GATES.names())
def test_every_gate_at_every_block_of_a_resnet_changes_it(gate: str) -> None:
    """Attention stands there as part of the last batch norm of each block, called by its hook."""
    model = build("resnet18", AttentionConfig(name="se", reduction=4), gate="softsign" if gate == "tanh" else "tanh")
    model, x = model.double().eval(), image(2, 3, 8, 6).double()
    before, scales = model(x), gate_sites(model)
    assert list(scales) == [f"layer{i}.{j}.bn2" for i in (1, 2, 3, 4) for j in (0, 1)]
    for site, scale in scales.items():
        former, scale.gate = scale.gate, GATES.get(gate).build().double()
        assert (model(x) - before).abs().max() > 1e-9, site
        scale.gate = former
    assert torch.equal(model(x), before)


def test_the_output_of_a_site_is_what_attention_makes_of_it() -> None:
    for site in ("layer2", "layer2.0.conv1"):  # a Sequential, and a module with a hook
        net: Any = network("resnet18")
        seen: list[Tensor] = []
        place = net.get_submodule(site)
        handle = place.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output))
        net(X)
        handle.remove()
        part: Any = insert_attention(net, site, BAM_4)[site]
        out: list[Tensor] = []
        place.register_forward_hook(lambda _, inputs, output, out=out: out.append(output))
        net(X)
        torch.testing.assert_close(out[0], seen[0] * (1 + torch.tanh(part.logits(seen[0]))))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_copies_and_files_hold_networks_of_their_own(name: str) -> None:
    """Sites in resnet18 are Sequentials and in SqueezeNet modules with hooks."""
    net = network(name)
    sites = list(insert_attention(net, "stages", BAM_4))
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    expected = net(X)
    for other in (copy.deepcopy(net), loaded):
        assert torch.equal(other(X), expected)
        for scale in gate_sites(other).values():
            scale.gate = GATES.get("softsign").build()
        assert not torch.equal(other(X), expected)
        assert torch.equal(net(X), expected)
        plain = copy.deepcopy(other)
        assert remove_attention(plain) == sites
        assert hooks(plain) == 0
        assert hooks(other) == hooks(net) == (2 if name == "squeezenet1_1" else 0)
        insert_attention(plain, "stages", AttentionConfig(gate="none"))
    remove_attention(net)
    assert torch.equal(plain(X), net(X))
    assert torch.equal(network(name)(X), net(X))


def test_a_replica_calls_its_own_attention() -> None:
    """What DataParallel does on each device: a shallow copy, whose parts are then put in their places."""
    net, x = network("squeezenet1_1"), image(1, 128, 4, 5)
    plain = net.get_submodule("features.4")(x)
    insert_attention(net, "features.4", BAM_4)
    place: Any = net.get_submodule("features.4")
    replica = place._replicate_for_data_parallel()
    replica._modules = dict(place._modules) | {"attention": Half(128)}
    assert torch.equal(replica(x), plain / 2)
    assert not torch.allclose(place(x), plain / 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_torch_compile_takes_the_whole_network_and_gives_the_same(name: str) -> None:
    net = network(name)
    insert_attention(net, "stages", BAM_4)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(X), net(X), rtol=0, atol=0)
    torch.compiler.reset()


@pytest.mark.parametrize("name", SMALL)
def test_any_size_and_one_image_in_evaluation(name: str) -> None:
    net = network(name)
    insert_attention(net, "stages", BAM_4, example=image(1, 3, 96, 96))
    for shape in ((1, 3, 64, 64), (1, 3, 70, 45), (3, 3, 48, 81)):
        assert net(image(*shape)).shape == (shape[0], 7)
    batch = image(2, 3, 50, 66)
    torch.testing.assert_close(net(batch)[1:], net(batch[1:]), rtol=1e-4, atol=1e-5)


def test_the_dry_run_leaves_modes_buffers_and_randomness() -> None:
    net = models.mobilenet_v3_small()  # dropout
    net.train()
    frozen: Any = net.features[1]
    frozen.eval()
    modes = {name: module.training for name, module in net.named_modules()}
    before, state = tensors(net), torch.get_rng_state()
    sites = find_stages(net)
    assert channels_at(net, sites) == FOUND["mobilenet_v3_small"]
    assert torch.equal(torch.get_rng_state(), state)
    assert {name: module.training for name, module in net.named_modules()} == modes
    after = net.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert hooks(net) == 0
    parts = insert_attention(net, sites, BAM_4)
    assert {name: net.get_submodule(name).training for name in modes} == modes
    assert all(part.training for part in parts.values())
    assert all(parameter.grad is None for parameter in net.parameters())


class Noisy(nn.Module):
    """Draws in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand(())


def test_the_dry_run_draws_nothing_that_is_missed_later() -> None:
    net, state = nn.Sequential(nn.Conv2d(3, 4, 3), Noisy()), torch.get_rng_state()
    assert channels_at(net, ["1"]) == {"1": 4}
    assert torch.equal(torch.get_rng_state(), state)


def test_attention_follows_the_networks_precision_and_layout() -> None:
    for name in ("resnet18", "squeezenet1_1"):
        single, double = network(name), network(name).double()
        parts = insert_attention(single, "stages", BAM_4)
        for site, part in insert_attention(double, "stages", BAM_4).items():
            assert {parameter.dtype for parameter in part.parameters()} == {torch.float64}
            part.load_state_dict(parts[site].state_dict())
        expected = double(X.double())
        assert expected.dtype == torch.float64
        torch.testing.assert_close(single(X).double(), expected, rtol=1e-3, atol=1e-4)
        last = single.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(
            last(X.contiguous(memory_format=torch.channels_last)).double(), expected, rtol=1e-3, atol=1e-4
        )


class Half(nn.Module):
    """Somebody's own attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((channels, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def test_a_function_from_channels_to_a_module_may_stand_for_the_configuration() -> None:
    net = network("resnet18")
    plain, seen = net(X), []

    def factory(channels: int) -> nn.Module:
        seen.append(channels)
        return Half(channels)

    parts = insert_attention(net, ["layer1", "layer3.1.bn2"], factory)
    assert seen == [64, 256]
    assert [type(part) for part in parts.values()] == [Half, Half]
    assert not torch.allclose(net(X), plain)
    assert remove_attention(net) == ["layer1", "layer3.1.bn2"]
    assert torch.equal(net(X), plain)
    bam = insert_attention(net, "layer2", lambda channels: BAM(channels, gate=nn.Tanh, dilation=1))["layer2"]
    assert isinstance(bam, bamgate.BAM)
    assert bam.spatial.hidden[3].dilation == (1, 1)  # type: ignore[union-attr,index]


@pytest.mark.parametrize("name", ["resnet8", "densenet100-bc", "mobilenet"])
def test_parts_that_were_not_inserted_stay(name: str) -> None:
    """Blocks of the networks here have a part of their own that is called attention."""
    model = build(name, SE_4).eval()
    x = image(1, 3, 32, 32)
    before = model(x)
    assert remove_attention(model) == []
    assert torch.equal(model(x), before)


def test_what_build_model_inserted_can_be_taken_out() -> None:
    model, plain = build("resnet18", BAM_4).eval(), build("resnet18", AttentionConfig(name="none", gate="none")).eval()
    assert not torch.equal(model(X), plain(X))
    assert remove_attention(model) == ["layer1", "layer2", "layer3"]
    assert torch.equal(model(X), plain(X))


CASES: list[tuple[str | list[str], str]] = [
    ("frist", "unknown site 'frist'; did you mean 'first'? (at the top level: first, twice, never, listed, "
     "named, flat, pair, last)"),
    ("", 'no sites are named (allowed: names of modules, or "stages")'),
    ("listed.2", "unknown site 'listed.2'; did you mean 'listed.1'? (at the top level: first, twice, never, listed, "
     "named, flat, pair, last)"),
    (["first", "first"], "site 'first' is named twice; name it once"),
    ("twice", "site 'twice' is called 2 times in a forward pass; a site must be called exactly once"),
    ("never", "site 'never' is never called in a forward pass; a site must be called exactly once"),
    ("listed", "site 'listed' is a ModuleList; name the module after it, or one inside it"),
    ("named", "site 'named' is a ModuleDict; name the module after it, or one inside it"),
    ("flat", "the output of site 'flat' is not a map of shape B, C, H, W; choose a module that has one"),
    ("last", "the output of site 'last' is not a map of shape B, C, H, W; choose a module that has one"),
    ("pair", "the output of site 'pair' is not a map of shape B, C, H, W; choose a module that has one"),
    ("stages", "no stages found in Odd: a stage has at least two convolutions; name sites "
    "(modules whose outputs are maps: first, twice, twice, "
     "listed.0, listed.1, named.one)"),
]  # fmt: skip


@pytest.mark.parametrize(("sites", "message"), CASES, ids=[str(sites) for sites, _ in CASES])
def test_a_site_that_cannot_be_is_one_line_and_the_network_is_as_before(sites: str | list[str], message: str) -> None:
    net = Odd()
    x = image(1, 3, 8, 9)
    before = net(x)
    with pytest.raises(UsageError) as caught:
        insert_attention(net, sites, BAM_4)
    assert str(caught.value) == message
    with pytest.raises(UsageError) as caught:
        insert_attention(net, ["first", *([sites] if isinstance(sites, str) else sites)], BAM_4)
    assert hooks(net) == 0
    assert torch.equal(net(x), before)
    assert not [name for name, _ in net.named_modules() if "attention" in name]


def taken(net: nn.Module) -> None:
    insert_attention(net, "layer2", BAM_4)


def own(net: Any) -> None:
    net.layer2[0].attention = nn.Identity()


@pytest.mark.parametrize(("prepare", "site"), [(taken, "layer2"), (own, "layer2.0")])
def test_a_site_that_is_taken_is_one_line(prepare: Callable[[nn.Module], None], site: str) -> None:
    net = network("resnet18")
    prepare(net)
    before, keys = net(X), list(net.state_dict())
    with pytest.raises(UsageError) as caught:
        insert_attention(net, ["layer1", site], SE_4)
    assert str(caught.value) == f"site {site!r} already has a part called 'attention'; remove it first"
    assert list(net.state_dict()) == keys
    assert torch.equal(net(X), before)


def test_a_factory_that_fails_leaves_the_network_as_it_was() -> None:
    net = network("resnet18")

    def factory(channels: int) -> nn.Module:
        if channels == 128:
            raise ValueError("no more")
        return Half(channels)

    with pytest.raises(ValueError, match="no more"):
        insert_attention(net, ["layer1", "layer2"], factory)
    assert not [name for name, _ in net.named_modules() if "attention" in name]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            AttentionConfig(placement="block"),
            "placement='block' would have no effect: the sites are given; leave it out",
        ),
        (AttentionConfig(name="none", gate="none"), "attention 'none' inserts nothing (allowed: bam, se, cbam)"),
        (
            AttentionConfig(name="extra-block", gate="none"),
            "attention 'extra-block' needs a network of bamgate's own (allowed here: bam, se, cbam)",
        ),
    ],
)
def test_an_option_that_has_no_effect_here_is_refused(config: AttentionConfig, message: str) -> None:
    net = network("resnet18")
    with pytest.raises(UsageError) as caught:
        insert_attention(net, "stages", config)
    assert str(caught.value) == message
