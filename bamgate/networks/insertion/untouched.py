"""A forward pass that leaves no trace: whatever the network changes in itself during the pass is restored."""

import contextlib
import functools
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Restore parameters, buffers, attributes, hooks, modes and random generators exactly, after this context.

    A lazy layer without a size keeps the size that it gets inside.
    """
    restore = list(map(_tensor, _tensors(model)))
    for module in model.modules():
        if not _is_unsized(module) and not isinstance(module, torch.jit.ScriptModule):
            restore.append(_attributes(module))
    try:
        with same_draws(model):
            yield
    finally:
        with torch.no_grad():
            for put_back in restore:
                put_back()


@contextlib.contextmanager
def same_draws(model: nn.Module) -> Iterator[None]:
    """The generators of random numbers are as before afterwards."""
    restore = _random_states(model)
    try:
        yield
    finally:
        for put_back in restore:
            put_back()


def _is_unsized(module: nn.Module) -> bool:
    lazy = nn.modules.lazy.LazyModuleMixin
    return isinstance(module, lazy) and module.has_uninitialized_params()


def _tensors(model: nn.Module) -> list[Tensor]:
    """Every tensor that a module of the network holds as a parameter, buffer or attribute, once."""
    held = [value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    tensors = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers(), *held]}
    return [tensor for tensor in tensors.values() if not nn.parameter.is_lazy(tensor)]


def _tensor(tensor: Tensor) -> Callable[[], None]:
    before, wanted = tensor.detach().clone(), tensor.requires_grad

    def put_back() -> None:
        # Written only if it has changed: a write in place would count as a change for autograd. Meta tensors hold
        # nothing.
        if not tensor.is_meta and not torch.equal(tensor, before):
            tensor.copy_(before)
        if tensor.requires_grad != wanted:
            tensor.requires_grad_(wanted)

    return put_back


def _attributes(module: nn.Module) -> Callable[[], None]:
    """Restore the attributes of a module, and the members of its lists, dicts and sets: hooks, parts, counters."""
    attributes = dict(vars(module))
    collections = [(value, _flat(value)) for value in attributes.values() if isinstance(value, dict | list | set)]
    generators = [(value, value.get_state()) for value in attributes.values() if isinstance(value, torch.Generator)]

    def put_back() -> None:
        vars(module).clear()
        vars(module).update(attributes)
        for value, before in collections:
            after = _flat(value)
            # By identity: == of tensors compares their elements.
            if len(after) != len(before) or any(a is not b for a, b in zip(after, before, strict=True)):
                _refill(value, before)
        for generator, state in generators:
            generator.set_state(state)

    return put_back


def _flat(collection: Any) -> list[Any]:
    """The members of a list or set; the alternating keys and values of a dict."""
    return [x for pair in collection.items() for x in pair] if isinstance(collection, dict) else list(collection)


def _refill(collection: Any, flat: list[Any]) -> None:
    collection.clear()
    if isinstance(collection, dict):
        collection.update(zip(flat[::2], flat[1::2], strict=True))
    else:
        (collection.extend if isinstance(collection, list) else collection.update)(flat)


def _random_states(model: nn.Module) -> list[Callable[[], None]]:
    """Restore the generators of torch, on the CPU and the GPUs of the network, of Python and, if loaded, of numpy."""
    states = [_state(torch.get_rng_state, torch.set_rng_state), _state(random.getstate, random.setstate)]
    for device in {tensor.device for tensor in _tensors(model) if tensor.device.type == "cuda"}:
        get, put = torch.cuda.get_rng_state, torch.cuda.set_rng_state
        states.append(_state(functools.partial(get, device), functools.partial(put, device=device)))
    if numpy := sys.modules.get("numpy"):
        states.append(_state(numpy.random.get_state, numpy.random.set_state))
    return states


def _state(get: Callable[[], Any], put: Callable[[Any], None]) -> Callable[[], None]:
    before = get()
    return functools.partial(put, before)
