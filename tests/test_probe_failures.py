"""A probe that fails on its way, or is stopped, leaves the network and the process as they were."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from model_samples import image
from observe_samples import HOOKS, small_network
from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.observe.gate_figures import probe_gates
from bamgate.observe.planes import planes_of
from bamgate.observe.what_if import answers_of


class Stopped(BaseException):
    """Neither an Exception nor anything that torch knows."""


class Breaking(torch.autograd.Function):
    """The identity, whose gradient fails."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError("stop")


class Drawing(nn.Module):
    """Draws in evaluation too, from three generators."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x) * np.random.rand() * random.random()


def network() -> Any:
    """In training, but for one norm; one weight is frozen; it draws, and its buffers follow."""
    model: Any = small_network()
    model.stem.append(Drawing())
    model.train()
    model.stem[1].eval()
    model.stem[0].weight.requires_grad_(False)
    return model


def everything(model: nn.Module) -> dict[str, Any]:
    """What must be as it was."""
    modules = dict(model.named_modules())
    return {
        "hooks": {name: [list(getattr(module, kind)) for kind in HOOKS] for name, module in modules.items()},
        "modes": {name: module.training for name, module in modules.items()},
        "wanted": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "gradients": [name for name, parameter in model.named_parameters() if parameter.grad is not None],
        "tensors": {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        "gates": {name: id(module.gate) for name, module in modules.items() if hasattr(module, "gate")},
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
        "autocast": (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
        ),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "compiler": torch._dynamo.eval_frame._stance.stance,
    }


@contextlib.contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    before = everything(model)
    yield
    after = everything(model)
    for what, value in before.items():
        assert after[what] == value, what


def failing(error: type[BaseException]) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error("stop")

    return fail


LABELS, X = torch.arange(4), image(4, 3, 8, 12)
BF16 = torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, Stopped])
@pytest.mark.parametrize("place", ["sites.layer2.scale.gate", "sites.layer1.spatial", "stages.layer3", "classifier"])
def test_a_part_that_fails_in_the_middle_of_the_forward_pass(
    place: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    monkeypatch.setattr(model.get_submodule(place), "forward", failing(error))
    with unchanged(model):
        with pytest.raises(error, match="stop"):
            probe_gates(model, X, LABELS, None, autocast=BF16, batch_statistics=True)
        with pytest.raises(error, match="stop"):
            answers_of(model, [(X, LABELS)], BF16)
        with pytest.raises(error, match="stop"):
            planes_of(model, X, BF16)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("method", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_that_cannot_all_be_placed(
    method: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    site = model.sites["layer2"]
    monkeypatch.setattr(site.spatial if method == "register_forward_hook" else site, method, failing(error))
    with unchanged(model), pytest.raises(error, match="stop"):
        probe_gates(model, X, LABELS, None, autocast=contextlib.nullcontext())


def test_a_site_that_is_never_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    monkeypatch.setattr(model.sites["layer2"], "forward", lambda x: x)
    said = r"^site 'layer2' was never passed; one passage was expected$"
    with unchanged(model):
        with pytest.raises(UsageError, match=said):
            probe_gates(model, X, LABELS, None, autocast=contextlib.nullcontext())
        with pytest.raises(UsageError, match=said):
            answers_of(model, [(X, LABELS)])
        with pytest.raises(UsageError, match=said):
            planes_of(model, X)


def test_a_site_that_is_passed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    site = model.sites["layer2"]
    once = site.forward
    monkeypatch.setattr(site, "forward", lambda x: once(once(x)))
    with (
        unchanged(model),
        pytest.raises(UsageError, match=r"^site 'layer2' was passed 2 times; one passage was expected$"),
    ):
        probe_gates(model, X, LABELS, None, autocast=contextlib.nullcontext())


def test_a_loss_and_a_gradient_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    with unchanged(model), pytest.raises(IndexError):
        probe_gates(model, X, LABELS + 10, None, autocast=contextlib.nullcontext(), batch_statistics=True)
    model.stages["layer1"].append(Break := nn.Module())
    monkeypatch.setattr(Break, "forward", Breaking.apply)
    with unchanged(model), pytest.raises(RuntimeError, match="stop"):
        probe_gates(model, X, LABELS, None, autocast=contextlib.nullcontext(), batch_statistics=True)


def test_a_probe_that_ends_well_leaves_the_generators_as_they_were() -> None:
    model = network()
    with unchanged(model):
        assert len(probe_gates(model, X, LABELS, None, autocast=BF16, batch_statistics=True)) == 2
