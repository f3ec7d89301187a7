"""Load all weights of a network, or none."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bamgate.errors import DataError

SHOWN = 10  # names in each list of an error


def load_weights(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Fill every parameter and buffer of `model` from `state`, in place.

    Args:
        state: tensors by the model's own names.
        source: the origin of the weights, for errors.

    Raises:
        DataError: lists all names that are missing, unknown, of another shape, sparse or without values; the model
            stays as it was.
    """
    # load_state_dict(strict=True) would copy what fits before it raises, and would copy integers into floats.
    expected: dict[str, Tensor] = model.state_dict()
    shared = [name for name in expected if name in state]
    problems = {
        "missing": [name for name in expected if name not in state],
        "unknown": [name for name in state if name not in expected],
        "of another shape": [
            f"{name}: {shape(state[name])} for {shape(expected[name])}"
            for name in shared
            if state[name].shape != expected[name].shape
        ],
        "of another kind of number": [
            f"{name}: {state[name].dtype} for {expected[name].dtype}"
            for name in shared
            if state[name].is_floating_point() != expected[name].is_floating_point()
        ],
    }
    problems["not plain tensors with values"] = [
        f"{name}: {kind}" for name in shared if (kind := _kind(state[name])) is not None
    ]
    if found := [f"{len(names)} {what} ({shortened(names)})" for what, names in problems.items() if names]:
        raise DataError(f"{source} does not fit the network: {'; '.join(found)}; nothing was loaded")
    with torch.no_grad():
        model.load_state_dict(dict(state))


def _kind(tensor: Tensor) -> str | None:
    """Why a tensor cannot be copied; None for a plain tensor."""
    if tensor.is_meta:
        return "on device meta, which has no values"
    if tensor.is_quantized:
        return "quantised"
    return None if tensor.layout == torch.strided and not tensor.is_nested else str(tensor.layout).rpartition(".")[2]


def shape(tensor: Tensor) -> str:
    """The shape as text, such as 64x3x7x7; "scalar" if there are no dimensions."""
    return "x".join(map(str, tensor.shape)) or "scalar"


def shortened(names: list[str]) -> str:
    """The first `SHOWN` names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
