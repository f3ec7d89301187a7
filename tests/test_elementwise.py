"""The door that a gate passes: what is not a function of each logit alone is refused before anything begins."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import bamgate
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import BAM, CBAM, SqueezeExcitation
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError
from bamgate.gates import GATES, Gate
from bamgate.gates.check import require_usable
from bamgate.gates.elementwise import require_elementwise
from bamgate.gates.gate import Elementwise
from bamgate.networks.build import build_model, insert_attention
from bamgate.observe.what_if import regated

BATCH, CHANNELS, POSITIONS = "depends on the rest of the batch", "mixes channels", "mixes positions"
SEVERAL = "gives different values for the same input"
STATE = "changes its own state (a buffer or parameter) when it is called"
MORE = "gives a value that depends on more than its logit"
IN_PLACE = "fails: it changes its input in place; return a new tensor, as z.tanh() does and z.tanh_() does not"


def refusal(build: Callable[[], nn.Module]) -> str:
    with pytest.raises(UsageError) as caught:
        require_elementwise(build, "mine")
    text = str(caught.value)
    assert text.startswith("gate 'mine' ")
    assert "\n" not in text
    return text.removeprefix("gate 'mine' ")


def function(code: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: Elementwise(code)


COUNT = itertools.count()

# Each is wrong in one way; most give right values for some shape, in some mode or at the start of training.
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "mean of all": (lambda z: torch.sigmoid(z - z.mean()), BATCH),
    "mean of the batch": (lambda z: torch.sigmoid(z - z.mean(0, keepdim=True)), BATCH),
    "of the first image": (lambda z: torch.sigmoid(z - z[:1]), BATCH),
    "rolled images": (lambda z: torch.sigmoid(z.roll(1, 0)), BATCH),
    "flat softmax": (lambda z: z.flatten().softmax(0).view_as(z), BATCH),
    "largest of all": (lambda z: z / z.abs().max().clamp(min=1), BATCH),
    "only where one is huge": (lambda z: torch.sigmoid(z) if z.abs().max() < 1e9 else z * 0, BATCH),
    "softmax of channels": (lambda z: z.softmax(1), CHANNELS),
    "mean of channels": (lambda z: torch.tanh(z) - 1e-3 * z.mean(1, keepdim=True), CHANNELS),
    "sorted channels": (lambda z: torch.sigmoid(z.sort(1).values), CHANNELS),
    "unit channels": (lambda z: F.normalize(z, dim=1), CHANNELS),
    "group norm": (lambda z: F.layer_norm(z, z.shape[1:]), CHANNELS),
    "rolled columns": (lambda z: torch.sigmoid(z.roll(1, -1)), POSITIONS),
    "rolled rows": (lambda z: torch.sigmoid(z.roll(-1, 2)), POSITIONS),
    "mean of the map": (lambda z: torch.sigmoid(z - z.mean((2, 3), keepdim=True)), POSITIONS),
    "instance norm": (lambda z: F.instance_norm(z) if z[0, 0].numel() > 1 else z, POSITIONS),
    "blurred": (lambda z: F.avg_pool2d(z, 3, 1, 1), POSITIONS),
    "running sum": (lambda z: z.cumsum(3), POSITIONS),
    "by column": (lambda z: z * torch.arange(z.shape[3]), MORE),
    "by channel": (lambda z: z * torch.linspace(1, 2, z.shape[1])[:, None, None], MORE),
    "by batch size": (lambda z: z / len(z), MORE),
    "by map size": (lambda z: z * z.shape[2] / z.shape[3], MORE),
    "noise": (lambda z: torch.sigmoid(z + 0.01 * torch.randn_like(z)), SEVERAL),
    "dropout": (lambda z: F.dropout(torch.sigmoid(z)), SEVERAL),
    "the same noise each time": (
        lambda z: z + torch.rand(z.shape, generator=torch.Generator().manual_seed(0)).to(z.dtype),
        MORE,
    ),
    "a counter": (lambda z: torch.sigmoid(z * (1 + 1e-4 * next(COUNT))), SEVERAL),
    "in place": (lambda z: z.tanh_(), IN_PLACE),
    "in place far out alone": (lambda z: z.clamp_(-1e9, 1e9).tanh(), IN_PLACE),
    "in place by numpy": (lambda z: (z.detach().numpy().__imul__(0.5), z)[1], IN_PLACE),
    "another shape": (lambda z: z.squeeze(), "must keep the shape: got (4, 6, 3) for (1, 4, 6, 3)"),
    "five columns": (
        lambda z: z * torch.ones(5),
        "fails on a (1, 4, 6, 3) tensor: RuntimeError: The size of tensor a (3) must match the size of tensor b (5)",
    ),
    "even channels": (
        lambda z: z if z.shape[1] != 33 else torch.cat(z.chunk(2, 1)),
        "fails on a (5, 33, 2, 1) tensor: RuntimeError: Sizes of tensors must match",
    ),
    "one layout": (
        lambda z: torch.tanh(z.view(-1)).view(z.shape),
        "fails on a (2, 3, 4, 5) tensor: RuntimeError: view size is not compatible",
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_is_no_gate_is_refused_with_what_is_wrong(name: str) -> None:
    code, expected = FUNCTIONS[name]
    found = refusal(function(code))
    assert found.startswith(expected)
    if expected in (BATCH, CHANNELS, POSITIONS, STATE, SEVERAL):
        rule = "a gate is one function of each logit alone: elementwise, always the same, with no state of its own"
        assert found == f"{expected}; {rule}"


class Gradient(torch.autograd.Function):
    """sigmoid, whose gradient is what the test says."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, way: str) -> Tensor:
        ctx.save_for_backward(z)
        ctx.way = way
        return torch.sigmoid(z)

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (z,) = ctx.saved_tensors
        own = up * torch.sigmoid(z) * (1 - torch.sigmoid(z))
        mixed = {
            "right": own,
            "surrogate": up.clone(),
            "of the batch": own.mean(0, keepdim=True).expand_as(z),
            "of channels": own - own.mean(1, keepdim=True),
            "of positions": own.flip(3),
            "by norm": up * (torch.sigmoid(z) - torch.sigmoid(z).mean((1, 2, 3), keepdim=True) + 1),
            "by column": own * torch.arange(1, z.shape[3] + 1),
        }
        return mixed[ctx.way], None


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("of the batch", f"{BATCH} in its gradient"),
        ("of channels", f"{CHANNELS} in its gradient"),
        ("of positions", f"{POSITIONS} in its gradient"),
        ("by norm", f"{CHANNELS} in its gradient"),
        ("by column", "gives a gradient that depends on more than its logit"),
    ],
)
def test_right_values_with_a_gradient_that_mixes_are_refused(way: str, expected: str) -> None:
    assert refusal(function(lambda z: Gradient.apply(z, way))).startswith(expected)  # type: ignore[no-untyped-call]


class Centred(nn.Module):
    """Elementwise as it starts: what it mixes comes in with a parameter that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z) + self.a * z.mean(1, keepdim=True)


class InEvaluation(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z) if self.training else torch.sigmoid(z - z.amax((2, 3), keepdim=True))


class Counts(nn.Module):
    """Changes a buffer, and nothing that depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return torch.sigmoid(z)


class Running(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        if self.training:
            self.largest.mul_(0.99).add_(0.01 * z.detach().abs().max())
        return torch.sigmoid(z / self.largest)


class Remembers(nn.Module):
    """Keeps its first input's mean, in no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        before, self.mean = self.mean, z.detach().mean()
        return torch.sigmoid(z) if before is None else torch.sigmoid(z + 1e-3 * before)


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.UninitializedParameter()

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (Centred, CHANNELS),
        (InEvaluation, POSITIONS),
        (Counts, STATE),
        (Running, STATE),
        (Remembers, SEVERAL),
        (Lazy, "has a lazy parameter, whose shape depends on its first input"),
        (nn.LazyBatchNorm2d, "has a lazy parameter"),
        (lambda: nn.BatchNorm2d(3), STATE),
        (lambda: nn.Conv2d(3, 3, 1), "fails on a (1, 4, 6, 3) tensor: RuntimeError: Given groups=1"),
        (nn.Dropout, SEVERAL),
        (nn.RReLU, SEVERAL),
        (nn.Softmax2d, CHANNELS),
        (nn.Softmax, CHANNELS),
        (nn.Softmin, CHANNELS),
        (lambda: nn.PReLU(3), "fails on a (1, 4, 6, 3) tensor"),
        (lambda: nn.Hardsigmoid(inplace=True), IN_PLACE),
        (lambda: torch.tanh, "must be built as an nn.Module, got builtin_function_or_method"),
    ],
)
def test_a_module_that_is_no_gate_is_refused_with_what_is_wrong(build: Any, expected: str) -> None:
    found = refusal(build)
    assert found.startswith(expected)
    assert found.endswith("(in evaluation mode)") == (build is InEvaluation)


class OtherInEvaluation(nn.Module):
    """Another function in evaluation, but one of each logit alone in both modes."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z) if self.training else F.hardtanh(z)


@pytest.mark.parametrize(
    "build",
    [
        nn.PReLU,
        nn.ReLU,
        OtherInEvaluation,
        *(
            function(code)
            for code in (
                lambda z: Gradient.apply(z, "right"),  # type: ignore[no-untyped-call]
                lambda z: Gradient.apply(z, "surrogate"),  # type: ignore[no-untyped-call]
                lambda z: (torch.sign(z) - z).detach() + z,  # straight through
                lambda z: torch.sin(1000 * torch.exp(z)),  # rounding decides it far out
                lambda z: torch.log1p(torch.exp(z)) - 1e6 + 1e6,
                lambda z: torch.where(z <= 0, torch.exp(z), 1 + z),  # no gradient beyond 88
                lambda z: torch.sigmoid(z.float()).to(z.dtype),
                lambda z: (z > 0).float(),
                lambda z: torch.tensor(0.5).expand_as(z),
                lambda z: z,
                lambda z: z**3,
                torch.sigmoid,
            )
        ),
        *(gate.build for gate in GATES),
    ],
)
def test_a_function_of_each_logit_alone_passes(build: Callable[[], nn.Module]) -> None:
    require_elementwise(build, "mine")


def test_the_callers_random_state_modes_and_precision_are_as_before() -> None:
    before = torch.get_rng_state()
    with torch.device("meta"), torch.inference_mode():
        require_elementwise(lambda: nn.PReLU(), "mine")
        assert torch.is_inference_mode_enabled()
        assert torch.empty(1).device.type == "meta"
    assert torch.equal(torch.get_rng_state(), before)


def test_a_maker_that_has_passed_is_not_tried_again() -> None:
    made = []

    def build() -> nn.Module:
        made.append(nn.Tanh())
        return made[-1]

    require_elementwise(build, "mine")
    tried = len(made)
    BAM(8, gate=build)
    CBAM(8, gate=build)
    assert len(made) == tried + 3


# Everyone who takes a gate.


@pytest.mark.parametrize("attention", [BAM, CBAM, SqueezeExcitation])
def test_attention_modules_refuse_it(attention: Any) -> None:
    with pytest.raises(UsageError, match=r"^gate 'Softmax2d' mixes channels; "):
        attention(8, gate=nn.Softmax2d)


def test_networks_insertion_and_other_gates_for_the_same_weights_refuse_it() -> None:
    mixing = Gate(name="mine", build=nn.Softmax2d, source="")
    given: Any = {"num_classes": 10, "in_channels": 1, "image_size": (12, 9), "seed": 0}
    model = build_model("resnet8", AttentionConfig(gate="tanh"), GATES.get("tanh"), **given)
    names = list(model.state_dict())
    for attempt in (
        lambda: build_model("resnet8", AttentionConfig(gate="mine"), mixing, **given),
        lambda: regated(model, mixing),
        lambda: insert_attention(nn.Sequential(nn.Conv2d(3, 8, 3)), "0", AttentionConfig(gate="mine"), gate=mixing),
        lambda: require_usable(mixing),
    ):
        with pytest.raises(UsageError, match=r"mixes channels; a gate is one function of each logit alone"):
            attempt()
    assert list(model.state_dict()) == names


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--gate", "torch.nn:Softmax2d", "--epochs", "1", "--out", "OUT"),
        ("run", "--gate", "sigmoid,torch.nn:Softmax2d", "--epochs", "1", "--out", "OUT"),
        ("run", "--gate", "torch.nn:Softmax2d", "--dry-run", "--out", "OUT"),
        ("gates", "check", "torch.nn:Softmax2d"),
        ("gates", "show", "torch.nn:Softmax2d"),
        ("gates", "plot", "tanh", "torch.nn:Softmax2d", "--out", "OUT.png"),
    ],
)
def test_commands_refuse_it_and_begin_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = bamgate(*(text.replace("OUT", str(tmp_path / "new")) for text in arguments), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "torch.nn:Softmax2d' mixes channels; a gate is one function" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_study_refuses_it_and_begins_nothing(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'question = "q"\nexpected = "e"\ncost = "c"\nreference = "sigmoid"\nrope = 0.5\nseeds = "0-1"\n'
        'gates = ["torch.nn:Softmax2d", "sigmoid"]\n[settings]\nmodel = "resnet8"\nepochs = 1\n'
    )
    result = bamgate("study", "run", str(file), "--allow-code", "--out", str(tmp_path / "new"), "-q", cwd=tmp_path)
    assert result.returncode == 2
    assert "mixes channels; a gate is one function" in " ".join(result.stderr.split())
    assert not (tmp_path / "new").exists()
