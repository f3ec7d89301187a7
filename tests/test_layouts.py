"""One layout into another: the same outputs in evaluation mode, or a refusal."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from model_samples import image
from torch import Tensor, nn
from weight_samples import described, filled

from bamgate.attention import BAM
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError
from bamgate.weights import Network, build, convert_layout, load_weights

SPATIAL_NORM = ("weight", "bias", "running_mean", "running_var")


def with_equal_entries(net: nn.Module) -> nn.Module:
    """A "counted" network whose spatial norms say no more than one entry could."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, BAM) and module.spatial is not None:
                for name in SPATIAL_NORM:
                    tensor = getattr(module.spatial.final_norm, name)
                    tensor.fill_(tensor[0])
    return net


def outputs(net: nn.Module, *, training: bool = False) -> Tensor:
    with torch.no_grad():
        result: Tensor = copy.deepcopy(net).train(training)(image(4, 3, 24, 20).double())
    return result


def sample(**attention: Any) -> tuple[Network, nn.Module]:
    network = described(AttentionConfig(**attention))
    net = filled(network).double()
    return network, with_equal_entries(net) if attention.get("layout") == "counted" else net


CONVERSIONS = [(a, b) for a in ("paper", "counted", "released") for b in ("paper", "counted", "released") if a != b]
VARIANTS = [
    {},
    {"combine": "product", "gate": "tanh"},
    {"combine": "max", "placement": "block"},
    {"residual": False, "reduction": 4, "dilation": 2},
    {"branches": "spatial"},
    {"gate_init": "zero"},
]


@pytest.mark.parametrize(("before", "after"), CONVERSIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_outputs_are_the_same_in_evaluation(before: str, after: str, variant: dict[str, Any]) -> None:
    network, net = sample(layout=before, **variant)
    expected = outputs(net)
    converted, result = convert_layout(network, net, after)
    torch.testing.assert_close(outputs(result), expected, rtol=1e-10, atol=1e-10)
    # It is the layout that its description says: a network built from that takes the weights.
    fresh = build(converted).double()
    load_weights(fresh, result.state_dict(), "converted")
    torch.testing.assert_close(outputs(fresh.eval()), expected, rtol=1e-10, atol=1e-10)
    assert converted.attention.layout == after
    if variant.get("branches") is None:
        assert converted == replace(network, attention=replace(network.attention, layout=after))


@pytest.mark.parametrize("branches", ["channel", "full"])
@pytest.mark.parametrize(("before", "after"), [("paper", "released"), ("released", "paper")])
def test_where_one_map_or_vector_stands_alone(branches: str, before: str, after: str) -> None:
    network, net = sample(layout=before, branches=branches)
    converted, result = convert_layout(network, net, after)
    torch.testing.assert_close(outputs(result), outputs(net), rtol=1e-10, atol=1e-10)
    load_weights(build(converted).double(), result.state_dict(), "converted")
    with pytest.raises(UsageError, match=f"layout 'counted' is the same as 'paper' for branches='{branches}'"):
        convert_layout(network, net, "counted")


def test_in_training_they_differ() -> None:
    network, net = sample()
    released = convert_layout(network, net, "released")[1]
    assert (outputs(released, training=True) - outputs(net, training=True)).abs().max() > 1e-3


def test_single_precision_rounds_only() -> None:
    network, _ = sample()
    net = filled(network)
    exact = outputs(copy.deepcopy(net).double())
    for layout in ("counted", "released"):
        converted, result = convert_layout(network, net, layout)
        back = convert_layout(converted, result, "paper")[1]
        for state in (result.state_dict(), back.state_dict()):
            floats = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
            assert floats == {torch.float32}
        torch.testing.assert_close(outputs(result.double()), exact, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(outputs(back.double()), exact, rtol=1e-5, atol=1e-5)


def test_the_network_itself_stays() -> None:
    network, net = sample()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for layout in ("counted", "released", "paper"):
        result = convert_layout(network, net, layout)[1]
        with torch.no_grad():
            next(result.parameters()).fill_(7.0)
    after = net.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_counts_of_parameters_are_the_papers() -> None:
    """Per BAM: final norms of C and 1 entries, of C and C, or none (facts of the paper's printed counts)."""
    network = described(model="resnet50-v1.5", num_classes=1000, image_size=(224, 224))
    net = build(network)

    def parameters(layout: str) -> int:
        return sum(p.numel() for p in convert_layout(network, net, layout)[1].parameters())

    plain, widths = 25_557_032, (256, 512, 1024)
    assert parameters("released") == plain + 358_067
    assert parameters("paper") == plain + 358_067 + sum(2 * c + 2 for c in widths)
    assert parameters("counted") == plain + 358_067 + sum(4 * c for c in widths)


def test_a_norm_folded_by_hand() -> None:
    """One hidden channel, one norm: weight 3, bias 5, mean 2, variance 4 - eps, so z -> 1.5 z + 2."""
    network, net = sample()
    bam = next(module for module in net.modules() if isinstance(module, BAM))
    assert bam.spatial is not None
    norm = bam.spatial.final_norm
    assert norm is not None
    with torch.no_grad():
        for name, value in zip(SPATIAL_NORM, (3.0, 5.0, 2.0, 4.0 - norm.eps), strict=True):
            getattr(norm, name).fill_(value)
        bam.spatial.final.weight.fill_(0.5)
        bam.spatial.final.bias.fill_(10.0)  # type: ignore[union-attr]
    released = convert_layout(network, net, "released")[1]
    folded = next(module for module in released.modules() if isinstance(module, BAM))
    assert folded.spatial is not None
    assert folded.spatial.final_norm is None
    torch.testing.assert_close(folded.spatial.final.weight, torch.full((1, 1, 1, 1), 0.75).double())
    torch.testing.assert_close(folded.spatial.final.bias, torch.tensor([17.0]).double())


@pytest.mark.parametrize("after", ["paper", "released"])
@pytest.mark.parametrize("name", SPATIAL_NORM)
def test_entries_that_differ_are_refused(after: str, name: str) -> None:
    network, net = sample(layout="counted")
    with torch.no_grad():
        tensor = net.get_submodule("sites.layer2.spatial.final_norm").state_dict()[name]
        tensor[3] += 0.25
    with pytest.raises(UsageError) as error:
        convert_layout(network, net, after)
    assert str(error.value) == (
        f"sites.layer2.spatial.final_norm.{name}: its 32 entries differ by up to 0.25; "
        "only layout 'counted' can store that"
    )


def test_entries_that_are_no_numbers_are_refused() -> None:
    network, net = sample(layout="counted")
    with torch.no_grad():
        net.get_submodule("sites.layer1.spatial.final_norm").state_dict()["bias"].fill_(torch.nan)
    with pytest.raises(UsageError, match="its 16 entries differ by up to nan"):
        convert_layout(network, net, "paper")


def test_a_freshly_built_counted_network_can_be_narrowed() -> None:
    network = described(AttentionConfig(layout="counted"))
    net = build(network)
    assert convert_layout(network, net, "paper")[0].attention.layout == "paper"


def test_the_same_layout_is_a_copy() -> None:
    network, net = sample(layout="released", branches="channel")
    converted, result = convert_layout(network, net, "released")
    assert converted == network
    assert torch.equal(outputs(result), outputs(net))


@pytest.mark.parametrize("name", ["se", "cbam", "none"])
def test_attention_without_layouts(name: str) -> None:
    network = described(AttentionConfig(name=name, **({"gate": "none"} if name == "none" else {})))
    with pytest.raises(UsageError, match=f"layout 'paper' would have no effect: attention '{name}' has no layouts"):
        convert_layout(network, build(network), "paper")


def test_an_unknown_layout() -> None:
    network, net = sample()
    with pytest.raises(UsageError, match="unknown layout 'papper'; did you mean 'paper'"):
        convert_layout(network, net, "papper")


def test_attention_in_a_hook_is_converted_too() -> None:
    """ResNet-18 has BAM-C behind a norm, where a hook calls it: a copy must call its own."""
    network = described(AttentionConfig(placement="block"), model="resnet18")
    net = filled(network).double()
    converted, result = convert_layout(network, net, "released")
    torch.testing.assert_close(outputs(result), outputs(net), rtol=1e-10, atol=1e-10)
    load_weights(build(converted).double(), result.state_dict(), "converted")
