"""What the networks cost, beside the paper's printed figures."""

from collections.abc import Callable

import pytest
import torch
from model_samples import BAM_PAPER, CBAM_CONFIG, PLAIN, SE, build
from paper_samples import OTHER_GFLOPS, OTHER_PARAMETERS, PRINTED, counted, of_the_paper
from torch import nn

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.config import AttentionConfig
from bamgate.networks.build import cost


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "pixels", "kind", "millions", "giga_macs"),
    PRINTED,
    ids=[f"{name}-{pixels}-{kind}" for name, pixels, kind, _, _ in PRINTED],
)
def test_the_papers_networks_cost_what_the_paper_printed(
    name: str, pixels: int, kind: str, millions: str, giga_macs: str | None
) -> None:
    found = counted(name, pixels, kind)
    millions = OTHER_PARAMETERS.get((name, pixels, kind), millions)
    giga_macs = OTHER_GFLOPS.get((name, pixels, kind), giga_macs)
    digits = len(millions.split(".")[1])
    assert f"{found.params / 1e6:.{digits}f}" == millions
    if giga_macs is None:
        return
    mac_digits = len(giga_macs.split(".")[1])
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
