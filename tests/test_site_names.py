"""What a site is called: as it was placed, wherever its network goes; by its path if nobody placed it."""

import copy
import io
from collections import OrderedDict
from typing import Any

import pytest
import torch
from model_samples import BAM_PAPER, EXTRA_BLOCK, SE, build
from torch import nn

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.config import AttentionConfig
from bamgate.gates import GATES
from bamgate.networks.build import insert_attention, remove_attention
from bamgate.networks.sites import find_sites, gate_sites, sites

GATE = GATES.get("tanh").build
CBAM_SITES = [f"layer{i}.{part}" for i in (1, 2) for part in ("channel", "spatial")]


def held(model: nn.Module, name: str) -> nn.Module:
    """The network inside another module, as wrappers hold one."""
    outer = nn.Module()
    outer.add_module(name, model)
    return outer


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        (BAM_PAPER, ["layer1", "layer2"]),
        (AttentionConfig(name="cbam", placement="bottleneck"), CBAM_SITES),
        (SE, ["layer1.0", "layer2.0", "layer3.0"]),
        (EXTRA_BLOCK, ["layer1", "layer2"]),
    ],
)
def test_names_go_with_the_network(attention: AttentionConfig, expected: list[str]) -> None:
    model = build("resnet8", attention)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    wrapped = [nn.Sequential(model), held(model, "module"), held(model, "_orig_mod")]
    for one in (model, *wrapped, copy.deepcopy(model), loaded):
        assert sites(one) == expected
        assert list(gate_sites(one)) == ([] if attention is EXTRA_BLOCK else expected)


def test_two_networks_in_one_have_different_names() -> None:
    first, second = (build("resnet8", BAM_PAPER) for _ in range(2))
    pair = nn.ModuleList([first, second])
    names = [f"{i}.sites.layer{j}" for i in (0, 1) for j in (1, 2)]
    assert list(gate_sites(pair)) == names
    assert gate_sites(pair)["1.sites.layer2"] is gate_sites(second)["layer2"]
    # One name alone is shared: the other keeps its own.
    mixed = nn.ModuleList([first, build("resnet8", AttentionConfig(name="cbam", placement="bottleneck"))])
    assert list(gate_sites(mixed)) == ["layer1", "layer2", *CBAM_SITES]


def test_paths_that_differ_only_in_where_attention_is_kept_are_told_apart() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = held(SqueezeExcitation(4, gate=GATE), "attention")
            self.block.scale = SqueezeExcitation(4, gate=GATE).scale  # type: ignore[assignment]

    assert list(gate_sites(Both())) == ["block.attention.scale", "block.scale"]


def test_inserted_attention_has_the_name_that_the_user_gave() -> None:
    model = build("resnet8", AttentionConfig(name="none", gate="none"))
    places = ["stages.layer2.0.residual", "stages.layer1"]
    assert list(insert_attention(model, places, BAM_PAPER)) == places
    assert list(gate_sites(model)) == ["stages.layer1", "stages.layer2.0.residual"]
    part: Any = model.get_submodule("stages.layer1.attention")
    remove_attention(model)
    assert gate_sites(model) == {}
    assert list(gate_sites(nn.Sequential(nn.Identity(), part))) == ["1"]


def test_a_place_called_attention_keeps_its_name() -> None:
    inner = nn.Sequential(OrderedDict(attention=nn.Sequential(nn.Conv2d(3, 4, 3))))
    model = nn.Sequential(OrderedDict(block=inner))
    insert_attention(model, ["block.attention"], BAM_PAPER, torch.zeros(1, 3, 9, 9))
    assert list(gate_sites(model)) == ["block.attention"]


def test_what_the_user_makes_is_named_inside_its_place() -> None:
    model = build("resnet8", AttentionConfig(name="none", gate="none"))
    insert_attention(model, ["stages.layer1"], lambda channels: nn.Sequential(nn.Identity(), CBAM(channels, gate=GATE)))
    assert list(gate_sites(model)) == ["stages.layer1.1.channel", "stages.layer1.1.spatial"]


def test_what_nobody_placed_is_named_by_its_path() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), held(BAM(8, gate=GATE), "attention"), BAM(8, gate=GATE))
    assert list(gate_sites(model)) == sites(model) == ["1", "2"]
    assert list(gate_sites(BAM(8, gate=GATE))) == [""]


@pytest.mark.parametrize("attention", [BAM_PAPER, SE, AttentionConfig(name="cbam")], ids=lambda a: a.name)
def test_a_site_knows_the_module_around_its_gate(attention: AttentionConfig) -> None:
    for site in find_sites(build("resnet8", attention)):
        assert site.around.scale is site.scale
