"""One forward pass, recorded: which module was called by which, and the shapes that went in and came out."""

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

SIZE = 224  # pixels a side where the caller gives no example


@dataclass(kw_only=True, eq=False)
class Call:
    """One call of one module. `before` and `after` are the shapes of its first input and its output, if 4-d tensors.

    `ended`: how many calls had ended before it did.
    """

    name: str
    module: nn.Module
    before: tuple[int, ...] | None
    after: tuple[int, ...] | None = None
    ended: int = 0
    parts: list["Call"] = field(default_factory=list)

    @property
    def convolutions(self) -> int:
        """How many convolutions ran inside."""
        return isinstance(self.module, nn.Conv2d) + sum(part.convolutions for part in self.parts)


def dry_run(model: nn.Module, example: Tensor | None = None) -> Call:
    """The calls of one forward pass in evaluation mode; the network is left as it was.

    Args:
        example: what the network takes; by default one black image of 224 x 224.

    Raises:
        UsageError: the network cannot take it.
    """
    x = default_example(model) if example is None else example
    root = Call(name="", module=model, before=_shape(x))
    with untouched(model), _recording(model, root), in_evaluation(model), torch.no_grad():
        try:
            model(x)
        except Exception as error:  # whatever the network raises
            raise UsageError(
                f"{type(model).__name__} cannot take an input of shape {'x'.join(map(str, x.shape))} "
                f"({one_line(error)}); give one that it can take as `example`"
            ) from error
    return root


def calls(call: Call) -> Iterator[Call]:
    """A call and all below it, in the order in which they began."""
    yield call
    for part in call.parts:
        yield from calls(part)


def default_example(model: nn.Module) -> Tensor:
    """One black image of 224 x 224, as the network's first convolution takes it."""
    conv = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if conv is None:
        raise UsageError(f"{type(model).__name__} has no 2-d convolution; give an input that it takes as `example`")
    return torch.zeros(1, conv.in_channels, SIZE, SIZE, device=conv.weight.device, dtype=conv.weight.dtype)


@contextlib.contextmanager
def _recording(model: nn.Module, root: Call) -> Iterator[None]:
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
            f"{type(model).__name__} holds a TorchScript program, which takes no hooks; insert, then script it"
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
    """Evaluation mode inside; each module's own mode is restored: a frozen norm in a training network stays frozen."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) and value.dim() == 4 else None
