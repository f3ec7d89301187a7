"""The built-in gates and the controls that separate centre, depth, slope, smoothness and tails.

Every gate g is used as s(z) = 1 + g(z). Several are s = c (1 + depth tanh(k z)); identities:
1 + sigmoid(z) = 3/2 (1 + 1/3 tanh(z/2)) and 1 + tanh(z) = 2 sigmoid(2 z).
To add one: a function with a docstring, and one line at the end.
"""

import inspect
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.gates.gate import Elementwise, Gate, GateFunction, TanhForm
from bamgate.registry import Registry

GATES: Registry[Gate] = Registry("gate")

# The text of each function is the gate's source, whose sha256 is stored with every run, and its docstring is the
# summary that `bamgate gates list` shows: editing either makes the stored sha256 another one.


def sigmoid(z: Tensor) -> Tensor:
    """1 / (1 + exp(-z)), the paper's gate: s in (1, 2)"""
    return torch.sigmoid(z)


def tanh(z: Tensor) -> Tensor:
    """the question: s in (0, 2), can mute as well as amplify"""
    return torch.tanh(z)


def hard_sigmoid(z: Tensor) -> Tensor:
    """clip(z/6 + 1/2, 0, 1), as PyTorch, MobileNetV3 and Keras 3"""
    return F.hardsigmoid(z)


def hard_sigmoid_keras(z: Tensor) -> Tensor:
    """clip(0.2 z + 1/2, 0, 1), as Keras 2"""
    return torch.clamp(0.2 * z + 0.5, 0.0, 1.0)


def softsign(z: Tensor) -> Tensor:
    """z / (1 + |z|): range and slope of tanh, algebraic tails"""
    return F.softsign(z)


def none(z: Tensor) -> Tensor:
    """control: g = 0, attention computed and thrown away"""
    return torch.zeros_like(z)


def constant_half(z: Tensor) -> Tensor:
    """control: g = 1/2, sigmoid's centre and nothing else"""
    return torch.full_like(z, 0.5)


def centred_sigmoid(z: Tensor) -> Tensor:
    """control: tanh(z/2) / 3, sigmoid's depth and slope with centre 1"""
    return torch.tanh(z / 2) / 3


def half_sigmoid(z: Tensor) -> Tensor:
    """control: sigmoid(z) - 1/2, sigmoid's slope and width around 1"""
    return torch.sigmoid(z) - 0.5


def tanh_quarter(z: Tensor) -> Tensor:
    """control: tanh(z/4), tanh's range with sigmoid's slope"""
    return torch.tanh(z / 4)


def tanh_half(z: Tensor) -> Tensor:
    """control: tanh(z/2) = 2 sigmoid(z) - 1"""
    return torch.tanh(z / 2)


def hardtanh(z: Tensor) -> Tensor:
    """control: clip(z, -1, 1), tanh with kinks"""
    return F.hardtanh(z)


def clip_sigmoid(z: Tensor) -> Tensor:
    """control: clip(z/4 + 1/2, 0, 1), sigmoid's slope with kinks"""
    return torch.clamp(z / 4 + 0.5, 0.0, 1.0)


def arctan(z: Tensor) -> Tensor:
    """control: 2/pi atan(pi z / 2), tanh's range and slope, heavier tails"""
    return torch.atan(math.pi / 2 * z) * (2 / math.pi)


class LearnedDepth(nn.Module):
    """c (1 + A tanh(k z)) - 1 with c = 3/2, k = 1/2 and A learned from 1/3: starts as sigmoid, may become deep"""

    def __init__(self, c: float = 1.5, k: float = 0.5, depth: float = 1 / 3) -> None:
        super().__init__()
        self.c, self.k = c, k
        self.depth = nn.Parameter(torch.tensor(depth))

    def forward(self, z: Tensor) -> Tensor:
        return self.c * (1 + self.depth * torch.tanh(self.k * z)) - 1


def _register(
    name: str, fn: GateFunction, low: float, high: float, form: tuple[float, float, float] | None = None
) -> None:
    _add(name, fn, lambda: Elementwise(fn), low, high, form)


def _add(
    name: str,
    code: GateFunction | type[nn.Module],
    build: Callable[[], nn.Module],
    low: float | None,
    high: float | None,
    form: tuple[float, float, float] | None,
) -> None:
    tanh_form = None if form is None else TanhForm(c=form[0], depth=form[1], k=form[2])
    summary = inspect.getdoc(code) or ""
    source = inspect.getsource(code)
    GATES.register(
        name, Gate(name=name, build=build, source=source, low=low, high=high, form=tanh_form, summary=summary)
    )


_register("sigmoid", sigmoid, 0, 1, (3 / 2, 1 / 3, 1 / 2))
_register("tanh", tanh, -1, 1, (1, 1, 1))
_register("hard-sigmoid", hard_sigmoid, 0, 1)
_register("hard-sigmoid-keras", hard_sigmoid_keras, 0, 1)
_register("softsign", softsign, -1, 1)
_register("none", none, 0, 0, (1, 0, 1))
_register("constant-half", constant_half, 0.5, 0.5, (3 / 2, 0, 1))
_register("centred-sigmoid", centred_sigmoid, -1 / 3, 1 / 3, (1, 1 / 3, 1 / 2))
_register("half-sigmoid", half_sigmoid, -0.5, 0.5, (1, 1 / 2, 1 / 2))
_register("tanh-quarter", tanh_quarter, -1, 1, (1, 1, 1 / 4))
_register("tanh-half", tanh_half, -1, 1, (1, 1, 1 / 2))
_register("hardtanh", hardtanh, -1, 1)
_register("clip-sigmoid", clip_sigmoid, 0, 1)
_register("arctan", arctan, -1, 1)
_add("learned-depth", LearnedDepth, LearnedDepth, None, None, (3 / 2, 1 / 3, 1 / 2))
