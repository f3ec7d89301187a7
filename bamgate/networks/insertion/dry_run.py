"""Record one forward pass: which module called which, and the shapes of inputs and outputs."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bamgate.errors import UsageError, one_line
from bamgate.networks.insertion.untouched import untouched

SIZE = 224  # pixels per side if the caller gives no example


@dataclass(kw_only=True, eq=False)
class Call:
    """One call of one module.

    Args:
        before, after: shapes of its first input and its output; None if that is not a 4-d tensor.
        ended: how many calls ended before this one.
        parts: the calls inside.
    """

    name: str
    module: nn.Module
    before: tuple[int, ...] | None
    after: tuple[int, ...] | None = None
    ended: int = 0
    parts: list["Call"] = field(default_factory=list)

    @property
    def convolutions(self) -> int:
        """How many convolutions ran in this call."""
        return isinstance(self.module, nn.Conv2d) + sum(part.convolutions for part in self.parts)


def dry_run(model: nn.Module, example: Tensor | None = None) -> Call:
    """The calls of one forward pass in evaluation mode; the network stays as it was.

    Args:
        example: an input of the network; by default one black image of 224 x 224.

    Raises:
        UsageError: the network cannot take it.
    """
    x = default_example(model) if example is None else example
    root = Call(name="", module=model, before=_shape(x))
    with untouched(model), _recording(model, root), in_evaluation(model), torch.no_grad():
        try:
            model(x)
        except Exception as error:  # a network may raise anything
            raise UsageError(
                f"{type(model).__name__} cannot take an input of shape {'x'.join(map(str, x.shape))} "
                f"({one_line(error)}); pass an input that it takes as `example`"
            ) from error
    return root


def calls(call: Call) -> Iterator[Call]:
    """A call and all calls inside it, in the order in which they started."""
    yield call
    for part in call.parts:
        yield from calls(part)


def default_example(model: nn.Module) -> Tensor:
    """One black image of 224 x 224, with the channels, dtype and device of the network's first convolution."""
    conv = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if conv is None:
        raise UsageError(f"{type(model).__name__} has no 2-d convolution; pass an input that it takes as `example`")
    return torch.zeros(1, conv.in_channels, SIZE, SIZE, device=conv.weight.device, dtype=conv.weight.dtype)


@contextlib.contextmanager
def _recording(model: nn.Module, root: Call) -> Iterator[None]:
    # The calls that are open now, innermost last: what starts next is a part of the last one.
    stack, number = [root], itertools.count()

    def begin(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            call = Call(name=name, module=module, before=_shape(inputs[0] if inputs else None))
            stack[-1].parts.append(call)
            stack.append(call)

        return hook

    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        call = stack.pop()
        call.after, call.ended = _shape(output), next(number)

    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise UsageError(
            f"{type(model).__name__} contains a TorchScript module, which takes no hooks; insert first, then script"
        )
    # Not `observe.capture`: it watches attention, here the calls of every module are asked for.
    handles: list[RemovableHandle] = []
    try:
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_pre_hook(begin(name)))
                handles.append(module.register_forward_hook(end))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside this context; afterwards each module is in its own mode again.

    model.train() would not do: it would unfreeze a norm that is kept in evaluation mode during training.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) and value.dim() == 4 else None
