"""What the networks cost, beside the paper's printed figures."""

from collections.abc import Callable

import pytest
import torch
from model_samples import BAM_COUNTED, BAM_PAPER, CBAM_CONFIG, PLAIN, SE, build
from torch import nn

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.config import AttentionConfig
from bamgate.models import cost

BAM_C = AttentionConfig(layout="counted", placement="block")


def of_the_paper(name: str, attention: AttentionConfig) -> nn.Module:
    """A network for CIFAR-100 whose weights are never drawn: for counting only."""
    with torch.device("meta"):
        model = build(name, attention, num_classes=100)
    return model.to_empty(device="cpu")


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "attention", "millions", "giga_macs"),
    [
        ("resnet50", PLAIN, "23.71", "1.22"),
        ("resnet50", BAM_COUNTED, "24.07", "1.25"),
        ("resnet50", BAM_C, "28.98", "1.37"),
        ("resnet50", SE, "26.24", "1.23"),
        ("resnet101", PLAIN, "42.70", "2.44"),
        ("resnet101", BAM_COUNTED, "43.06", "2.46"),
        ("preresnet110", PLAIN, "1.726", "0.245"),
        ("preresnet110", BAM_COUNTED, "1.733", "0.246"),
        ("preresnet110", BAM_C, "2.17", "0.275"),
        ("preresnet110", SE, "1.93", "0.245"),
        ("wrn-28-8", PLAIN, "23.40", "3.36"),
        ("wrn-28-8", BAM_COUNTED, "23.42", "3.37"),
        ("wrn-28-8", BAM_C, "23.78", "3.39"),
        ("wrn-28-8", SE, "23.58", "3.36"),
        ("wrn-28-10", PLAIN, "36.54", "5.24"),
        ("wrn-28-10", BAM_COUNTED, "36.57", "5.25"),
        ("resnext29-8x64d", PLAIN, "34.52", "4.99"),
        ("resnext29-8x64d", BAM_COUNTED, "34.61", "5.00"),
        ("resnext29-16x64d", PLAIN, "68.25", "9.88"),
        ("resnext29-16x64d", BAM_COUNTED, "68.34", "9.90"),
        ("densenet100-bc", PLAIN, "0.8", "0.29"),
    ],
    ids=lambda value: (
        value.name + ("-" + value.placement if value.name == "bam" else "")
        if isinstance(value, AttentionConfig)
        else None
    ),
)
def test_the_papers_networks_cost_what_the_paper_printed(
    name: str, attention: AttentionConfig, millions: str, giga_macs: str
) -> None:
    found = cost(of_the_paper(name, attention), (3, 32, 32))
    digits, mac_digits = len(millions.split(".")[1]), len(giga_macs.split(".")[1])
    assert f"{found.params / 1e6:.{digits}f}" == millions
    assert abs(found.macs / 1e9 - float(giga_macs)) <= 10**-mac_digits  # one unit of the last printed digit


def test_the_stride_in_the_3x3_costs_more_and_has_the_same_parameters() -> None:
    # 1.298 and 2.510 GMACs: the facts, section 1.4, from a count of another hand.
    for name, giga_macs in (("resnet50", 1.298), ("resnet101", 2.510)):
        found = cost(of_the_paper(f"{name}-v1.5", PLAIN), (3, 32, 32))
        assert round(found.macs / 1e9, 3) == giga_macs
        assert found.params == parameters(of_the_paper(name, PLAIN))


def test_the_released_bam_adds_358067_parameters_to_resnet50() -> None:
    """pytorchcv's BAM-ResNet-50 and ResNet-50: 25,915,099 - 25,557,032."""
    added = {layout: parameters(of_the_paper("resnet50", AttentionConfig(layout=layout))) for layout in LAYOUT_NORMS}
    plain = parameters(of_the_paper("resnet50", PLAIN))
    assert added["released"] - plain == 358_067
    # BN(C) and BN(1) at the ends; BN(C) twice: scales and shifts, at 256, 512 and 1024 channels.
    assert added["paper"] - added["released"] == 2 * (256 + 512 + 1024) + 3 * 2
    assert added["counted"] - added["released"] == 4 * (256 + 512 + 1024)


LAYOUT_NORMS: dict[str, Callable[[int], int]] = {
    "released": lambda c: 0,
    "paper": lambda c: 2 * c + 2,
    "counted": lambda c: 4 * c,
}


def bam_parameters(c: int, m: int, layout: str) -> int:
    """Weights, biases, and two numbers for each normalised channel, added up by hand."""
    channel = (c * m + m) + 2 * m + (m * c + c)
    spatial = (c * m + m) + 2 * m + 2 * ((9 * m * m + m) + 2 * m) + (m + 1)
    return channel + spatial + LAYOUT_NORMS[layout](c)


@pytest.mark.parametrize("layout", LAYOUT_NORMS)
def test_parameters_of_one_bam(layout: str) -> None:
    assert parameters(BAM(256, gate=nn.Tanh, layout=layout)) == bam_parameters(256, 16, layout)
    assert parameters(BAM(24, gate=nn.Tanh, layout=layout, reduction=4)) == bam_parameters(24, 6, layout)
    halves = [parameters(BAM(64, gate=nn.Tanh, layout=layout, branches=side)) for side in ("channel", "spatial")]
    assert sum(halves) == bam_parameters(64, 4, layout)


def test_parameters_of_one_se_and_one_cbam() -> None:
    assert parameters(SqueezeExcitation(64, gate=nn.Sigmoid)) == 64 * 4 + 4 + 4 * 64 + 64
    assert parameters(CBAM(64, gate=nn.Sigmoid)) == 64 * 4 + 4 + 4 * 64 + 64 + 2 * 7 * 7


def test_a_learned_gate_adds_one_parameter_a_site() -> None:
    for attention, sites in ((BAM_PAPER, 2), (SE, 3), (CBAM_CONFIG, 6)):
        learned, fixed = (parameters(build("resnet8", attention, gate=gate)) for gate in ("learned-depth", "tanh"))
        assert learned - fixed == sites


def basic_stage(c_in: int, c: int, blocks: int) -> int:
    norms = 2 * c
    first = 9 * c_in * c + norms + 9 * c * c + norms + (c_in * c + norms if c_in != c else 0)
    return first + (blocks - 1) * 2 * (9 * c * c + norms)


@pytest.mark.parametrize(("name", "blocks"), [("resnet8", 1), ("resnet20", 3), ("resnet110", 18)])
def test_parameters_of_the_cifar_resnets_by_hand(name: str, blocks: int) -> None:
    stem, head = 27 * 16 + 2 * 16, 64 * 10 + 10
    stages = basic_stage(16, 16, blocks) + basic_stage(16, 32, blocks) + basic_stage(32, 64, blocks)
    assert parameters(build(name, PLAIN)) == stem + stages + head


def test_parameters_and_macs_of_resnet20_to_the_last_one() -> None:
    # He et al. print 0.27 M; 2,560 weights and 192 norms of two projections (option B) come on top of option A's.
    found = cost(build("resnet20", PLAIN), (3, 32, 32))
    assert found.params == 272_474
    stem = 32 * 32 * 27 * 16
    first = 32 * 32 * 6 * (9 * 16 * 16)
    second = 16 * 16 * (9 * 16 * 32 + 5 * 9 * 32 * 32 + 16 * 32)
    third = 8 * 8 * (9 * 32 * 64 + 5 * 9 * 64 * 64 + 32 * 64)
    assert found.macs == stem + first + second + third + 64 * 10


def test_parameters_of_resnet18_by_hand() -> None:
    stages = basic_stage(64, 64, 2) + basic_stage(64, 128, 2) + basic_stage(128, 256, 2) + basic_stage(256, 512, 2)
    assert parameters(of_the_paper("resnet18", PLAIN)) == 27 * 64 + 128 + stages + 512 * 100 + 100


def test_cost_counts_for_one_image_and_leaves_the_network_as_it_was() -> None:
    model = build("resnet8", BAM_PAPER).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    square, wide = cost(model, (3, 16, 16)), cost(model, (3, 16, 32))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    # All but the classifier's 640 and the two MLPs (C -> 1 -> C at 16 channels; 32 -> 2 -> 32) grows with the plane.
    fixed = 640 + 2 * 16 * 1 + 2 * 32 * 2
    assert wide.macs - fixed == 2 * (square.macs - fixed)
    model.eval()
    cost(model, (3, 16, 16))
    assert not model.training
