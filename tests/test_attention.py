"""BAM, SE and CBAM against forwards written by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attention_samples import LAYOUTS, WAYS, bam_logits, cbam_by_hand, image, se_by_hand, shaken
from torch import Tensor, nn

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.gates import GATES

# Formulas of gates, apart from the source: the hand-made forwards below use them.
FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda z: 1 / (1 + torch.exp(-z)),
    "tanh": lambda z: 1 - 2 / (torch.exp(2 * z) + 1),
    "softsign": lambda z: z / (1 + z.abs()),
    "constant-half": lambda z: z * 0 + 0.5,
    "learned-depth": lambda z: 1 / (1 + torch.exp(-z)),
}


pytestmark = pytest.mark.usefixtures("seeded")


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("branches", "combine"), WAYS)
def test_bam_is_the_papers_formula(branches: str, combine: str, layout: str, training: bool) -> None:
    options = {"branches": branches, "combine": combine, "layout": layout}
    if branches != "channel":
        options["dilation"] = 2
    module: Any = shaken(BAM(8, gate=GATES.get("tanh").build, reduction=4, **options).train(training))
    x = image(3, 8, 6, 9)
    z = bam_logits(module, x, branches, combine, layout, dilation=2)
    torch.testing.assert_close(module.logits(x).expand_as(z), z)
    torch.testing.assert_close(module(x), x + x * FORMULAS["tanh"](z))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("gate", FORMULAS)
def test_each_attention_with_each_formula(gate: str, residual: bool) -> None:
    x, g, plus = image(2, 6, 5, 7), FORMULAS[gate], int(residual)
    shared: dict[str, Any] = {"gate": GATES.get(gate).build, "reduction": 3, "residual": residual}
    # learned-depth's 1/3 is a float32 number
    tolerance: dict[str, Any] = {"atol": 1e-6, "rtol": 1e-6} if gate == "learned-depth" else {}
    bam: Any = shaken_but_for_the_gate(BAM(6, **shared))
    expected = x * (plus + g(bam_logits(bam, x, "both", "sum", "paper", 4)))
    torch.testing.assert_close(bam(x), expected, **tolerance)
    se: Any = shaken_but_for_the_gate(SqueezeExcitation(6, **shared))
    torch.testing.assert_close(se(x), se_by_hand(se, x, g, plus), **tolerance)
    cbam: Any = shaken_but_for_the_gate(CBAM(6, **shared))
    torch.testing.assert_close(cbam(x), cbam_by_hand(cbam, x, g, plus), **tolerance)


def shaken_but_for_the_gate(module: nn.Module) -> nn.Module:
    # A learned gate's parameter is a scalar, which shaken() leaves alone.
    return shaken(module.train())


def test_only_bam_adds_one_to_the_gate_by_default() -> None:
    x = image(2, 4, 3, 3)
    half = GATES.get("constant-half").build
    torch.testing.assert_close(BAM(4, gate=half).double()(x), 1.5 * x)
    torch.testing.assert_close(SqueezeExcitation(4, gate=half).double()(x), 0.5 * x)
    torch.testing.assert_close(CBAM(4, gate=half).double()(x), 0.25 * x)
    torch.testing.assert_close(BAM(4, gate=half, residual=False).double()(x), 0.5 * x)
    torch.testing.assert_close(SqueezeExcitation(4, gate=half, residual=True).double()(x), 1.5 * x)
    torch.testing.assert_close(CBAM(4, gate=half, residual=True).double()(x), 2.25 * x)


def test_sigmoid_bam_is_a_shallow_tanh_around_three_halves() -> None:
    module: Any = shaken(BAM(16, gate=GATES.get("sigmoid").build, reduction=4)).float()
    x = image(4, 16, 6, 5).float()
    z = module.logits(x)
    assert z.abs().max() > 2  # or the two would agree for want of range
    torch.testing.assert_close(module(x), x * 1.5 * (1 + torch.tanh(z / 2) / 3), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("branches", ["both", "channel", "spatial", "full"])
def test_layout_released_starts_as_the_authors_code(branches: str) -> None:
    """Their ResNet.__init__ goes over its state_dict: "conv" He-normal by fan-out, "bn" 1, every "bias" 0."""
    torch.manual_seed(0)
    bam = BAM(512, gate=nn.Sigmoid, layout="released", branches=branches)
    for name, parameter in bam.state_dict().items():
        if "running" in name or name.endswith("tracked"):
            continue
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.ndim == 1:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        elif parameter.ndim == 2:  # nn.Linear's own: uniform within 1 / sqrt(inputs)
            bound = parameter.shape[1] ** -0.5
            assert parameter.abs().max() <= bound, name
            assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.05), name
        else:
            fan_out = parameter.shape[0] * parameter.shape[2] * parameter.shape[3]
            expected = (2 / fan_out) ** 0.5
            slack = 4 / (2 * parameter.numel()) ** 0.5  # four standard errors of a standard deviation
            assert parameter.std().item() == pytest.approx(expected, rel=slack), name


class Bent(nn.Module):
    """A gate with a linear layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 1)
        nn.init.constant_(self.inner.bias, 0.7)

    def forward(self, z: Tensor) -> Tensor:
        bent: Tensor = self.inner(z[..., None])[..., 0].sigmoid()
        return bent


def test_layout_released_leaves_the_gate_as_it_was_made() -> None:
    gate: Any = BAM(32, gate=Bent, layout="released").scale.gate
    assert gate.inner.bias.item() == pytest.approx(0.7)
