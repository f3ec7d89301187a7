"""What shows only for large maps, in single precision, after many calls, from another module or now and then."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_elementwise import BATCH, CHANNELS, MORE, POSITIONS, SEVERAL, STATE, function, refusal
from torch import Tensor, nn

from bamgate.gates import GATES, Gate, load_gate
from bamgate.gates.check import examine, require_usable
from bamgate.gates.elementwise import require_elementwise
from bamgate.gates.identity import fingerprint

DRAWS = "draws random numbers when it is called"
COUNTS = "keeps count of its calls or inputs"
ANOTHER = "is a different function in each module that is built, or depends on its first input"
DRAWN = np.random.default_rng(0)
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "noise by numpy": (lambda z: torch.sigmoid(z + 0.01 * DRAWN.random()), SEVERAL),
    "rarely noise": (lambda z: torch.sigmoid(z) + (random.random() < 1e-9), DRAWS),
    "rarely noise of numpy": (lambda z: torch.sigmoid(z) + (np.random.rand() < 1e-9), DRAWS),
    "rarely noise of torch": (lambda z: torch.sigmoid(z) + (torch.rand(()) < 1e-9), DRAWS),
    "large batches alone": (lambda z: torch.sigmoid(z - z.mean() if len(z) > 64 else z), BATCH),
    "many channels alone": (lambda z: torch.sigmoid(z - z.mean(1, True) if z.shape[1] > 512 else z), CHANNELS),
    "large maps alone": (lambda z: torch.sigmoid(z - z.mean((2, 3), True) if z.shape[2] > 57 else z), POSITIONS),
    "many values alone": (lambda z: torch.sigmoid(z - z.mean() if z.numel() > 8192 else z), BATCH),
    "late channels": (lambda z: z * torch.where(torch.arange(z.shape[1]) > 512, 2.0, 1.0)[:, None, None], MORE),
    "single precision alone": (lambda z: torch.sigmoid(z - z.mean() if z.dtype == torch.float32 else z), BATCH),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_is_elementwise_for_most_inputs_is_refused(name: str) -> None:
    code, expected = FUNCTIONS[name]
    assert refusal(function(code)).startswith(expected)


class Anneals(nn.Module):
    """Becomes another gate after many steps."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return torch.sigmoid(z) if self.calls < 10_000 else torch.tanh(z)


class StartsFromData(nn.Module):
    """Centred by its first input, which it keeps in no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        self.mean = z.detach().mean() if self.mean is None else self.mean
        return torch.sigmoid(z - self.mean)


class Numbered(nn.Module):
    """Steeper with each module that is made."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Numbered.made += 1
        self.k = 1 + Numbered.made / 1000

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.k * z)


class StartsByPython(nn.Module):
    """Its parameter starts at a number that no seed of ours decides."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(random.random()))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.a * z)


class SpectralNorm(nn.Module):
    """Its norm is found a step at each call, and kept in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.Sequential(norm(nn.Linear(1, 4)), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z.unsqueeze(-1)).squeeze(-1)  # type: ignore[no-any-return]


class Hooked(nn.Module):
    """What mixes is no part of its own code."""

    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(lambda module, inputs: (inputs[0] - inputs[0].mean(),))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (Anneals, COUNTS),
        (StartsFromData, ANOTHER),
        (Numbered, ANOTHER),
        (StartsByPython, ANOTHER),
        (SpectralNorm, STATE),
        (Hooked, BATCH),
    ],
)
def test_a_module_that_remembers_in_its_own_way_is_refused(build: Callable[[], nn.Module], expected: str) -> None:
    assert refusal(build).startswith(expected)


class WeightNorm(nn.Module):
    """A layer of its own that sees each logit alone, under a parametrization."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.layers = nn.Sequential(norm(nn.Linear(1, 4)), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z.unsqueeze(-1)).squeeze(-1)  # type: ignore[no-any-return]


class Table(nn.Module):
    """A table that is a buffer, a constant that the first call makes, and a parameter with a random start."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.linspace(-1, 1, 9))
        self.a = nn.Parameter(1 + torch.randn(()) / 10)
        self.two: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        self.two = torch.tensor(2.0) if self.two is None else self.two
        place = (self.a * z).clamp(-4, 4).round().long() + 4
        return self.values[place] / self.two + torch.tanh(self.a * z)  # type: ignore[index]


@pytest.mark.parametrize("build", [WeightNorm, Table])
def test_layers_tables_and_constants_of_a_gates_own_pass(build: Callable[[], nn.Module]) -> None:
    require_elementwise(build, "mine")


class ByName(nn.Module):
    """Code that names the dimensions of a map."""

    def forward(self, z: Tensor) -> Tensor:
        images, channels, height, width = z.shape
        return torch.tanh(z.reshape(images * channels, height, width)).reshape(images, channels, height, width)


def test_a_gate_may_name_the_dimensions_of_a_map() -> None:
    gate = require_usable(Gate(name="mine", build=ByName, source=""))
    report, tanh = examine(gate), examine(GATES.get("tanh"))
    assert report.passed
    assert (report.low, report.high, report.slope) == (tanh.low, tanh.high, 1)
    assert fingerprint(gate) == fingerprint(GATES.get("tanh"))


PARTIAL = """
import functools
from torch import nn

of_function = functools.partial(nn.functional.hardtanh, min_val=0.0)
of_class = functools.partial(nn.Hardtanh, 0.0, 1.0)
"""


@pytest.mark.parametrize("attribute", ["of_function", "of_class"])
def test_a_partial_of_a_function_or_of_a_class_is_a_gate(attribute: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PARTIAL)
    gate = load_gate(f"mine.py:{attribute}", tmp_path)
    assert gate.sample()(torch.tensor([-3.0, 0.25, 7.0])).tolist() == [0, 0.25, 1]
