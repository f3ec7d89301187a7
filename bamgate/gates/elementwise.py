"""The check that every gate must pass before anything starts: it is one function of each logit alone.

A gate that mixes positions, images or channels, draws random numbers or keeps state would train without an error, but
its figures would mean something else: they would depend on the rest of the batch, or on how often it was called.
"""

import contextlib
import functools
import random
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bamgate.errors import UsageError, one_line
from bamgate.gates.gate import Elementwise, moved
from bamgate.seeding import drawing_from, hashed_integers

RULE = "a gate is one function of each logit alone: elementwise, always the same, with no state of its own"
# B, C, H, W of small maps. Sizes differ within a map, so that a gate that mixes up its dimensions fails; some are 1.
SHAPES = ((2, 3, 4, 5), (1, 4, 6, 3), (3, 8, 1, 1), (1, 1, 1, 1), (5, 33, 2, 1), (1, 2, 1, 9))
MIXED_SHAPES = ((4, 6, 5, 7), (4, 6, 1, 1))
# As many images, channels and positions as real networks have: code may behave differently on large maps.
LARGE_SHAPES = ((260, 2, 3, 4), (2, 2050, 2, 2), (1, 2, 113, 112))
NEAR = 4.0  # largest |z| at which gradients are compared: in the tails rounding alone may decide them
_FAR = torch.tensor([6.5, 12.5, 13, 21, 50, 100, 1000], dtype=torch.float64)
VALUES = torch.cat([torch.arange(-12, 13).double() / 3, _FAR, -_FAR])
EXTREME = 1e30  # so large that even a tiny weight on a neighbour shows
_IN_PLACE = "fails: it changes its input in place; return a new tensor, as z.tanh() does and z.tanh_() does not"
# Makers of gates that have passed. Weak, so that a gate which nobody uses any more can be freed.
_passed: "weakref.WeakSet[Callable[[], nn.Module]]" = weakref.WeakSet()


class _Refusal(Exception):
    """What is wrong with a gate: the end of a sentence that begins with its name."""


def require_elementwise(build: Callable[[], nn.Module], name: str) -> None:
    """Try the gates that `build` makes, on the CPU, in training and evaluation mode.

    Parameters are tried at their initial values, and moved. The global random state stays as it is. A maker that has
    passed is not tried again.

    Raises:
        UsageError: values or gradients are not elementwise, deterministic, pure and stateless; or the code fails,
            perhaps only for some shapes.
    """
    if _has_passed(build):
        return
    try:
        with _undisturbed():
            _try_all(build)
    except _Refusal as refusal:
        raise UsageError(f"gate {name!r} {refusal}") from refusal.__cause__
    with contextlib.suppress(TypeError):  # not every callable can be hashed or weakly referenced
        _passed.add(build)


def _has_passed(build: Callable[[], nn.Module]) -> bool:
    try:
        return build in _passed
    except TypeError:
        return False


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the trial and its caller apart: generator, device, gradient mode, precision and warnings."""
    # Eager, as a compiled gate would be compiled anew for each of the shapes. torch._dynamo takes seconds to import, so
    # it is asked only if it is loaded: otherwise nothing has been compiled.
    compiled = "torch._dynamo" in sys.modules
    # To enter a device context costs time for every tensor that is made, so only if there is something to change.
    elsewhere = torch.get_default_device().type != "cpu"
    with (
        torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext(),
        drawing_from(0),
        torch.device("cpu") if elsewhere else contextlib.nullcontext(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def _try_all(build: Callable[[], nn.Module]) -> None:
    first = _made(build)
    # A plain function cannot know whether the network is training.
    modes = (True,) if isinstance(first, Elementwise) else (True, False)
    starts: list[Callable[[nn.Module], nn.Module]] = [lambda module: module]
    starts += [moved] if any(True for _ in first.parameters()) else []
    for training in modes:
        for start in starts:
            try:
                _try(start(_made(build).train(training)), large=start is starts[-1])
            except _Refusal as refusal:
                raise _Refusal(f"{refusal}{'' if training else ' (in evaluation mode)'}") from refusal.__cause__
    _one_function(_made(build), _made(build))


def _made(build: Callable[[], nn.Module]) -> nn.Module:
    """One module of the gate. Each is built from the same state of the generator."""
    try:
        with drawing_from(0):
            module = build()
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise _Refusal(f"fails on a {SHAPES[0]} tensor: {one_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise _Refusal(f"must be built as an nn.Module, got {type(module).__name__}")
    tensors = [*module.parameters(), *module.buffers()]
    if any(is_lazy(tensor) for tensor in tensors):
        raise _Refusal(f"has a lazy parameter, whose shape depends on its first input; {RULE}")
    return module


def _one_function(one: nn.Module, other: nn.Module) -> None:
    """Compare two modules of a gate; the first has seen one more input, with other logits."""
    z = _logits(SHAPES[0], 5).to(torch.get_default_dtype())
    _value(one, _logits(SHAPES[1], 6).to(z.dtype))
    if not torch.equal(_value(one, z).nan_to_num(), _value(other, z).nan_to_num()):
        raise _Refusal(f"is a different function in each module that is built, or depends on its first input; {RULE}")


def _try(module: nn.Module, *, large: bool) -> None:
    """Try one module in one mode; `large` adds maps as large as those of real networks."""
    larger = LARGE_SHAPES if large else ()
    draws = _generators()
    state = [tensor.detach().clone() for tensor in _state(module)]
    like = torch.get_default_dtype()
    start = _logits(SHAPES[0], 0).to(like)
    before = _value(module, start)
    _same_state(module, state)
    numbers = _numbers(module)
    for shape in SHAPES:
        z = _logits(shape, 0).to(like)
        # In both memory layouts, as a view or a reshape may fail or mix in one of them.
        for layout in (z, z.contiguous(memory_format=torch.channels_last)):
            _same(_value(module, layout), _value(module, layout))
    for shape in (*MIXED_SHAPES, *larger):
        _refuse_mixing(module, shape, dtype=like)
    # In double precision, in which a dependence on neighbours is not hidden by rounding.
    module.double()
    alone = [_alone(module, value) for value in VALUES]
    g, slopes = (torch.stack(part) for part in zip(*alone, strict=True))
    for shape in MIXED_SHAPES:
        _refuse_mixing(module, shape)
    for shape in (*SHAPES, *larger):
        _as_if_alone(module, shape, g, slopes)
    module.to(like)
    _same(before, _value(module, start))
    _same_state(module, state)
    if _numbers(module) != numbers:
        raise _Refusal(f"keeps count of its calls or inputs; {RULE}")
    if _generators() != draws:
        raise _Refusal(f"draws random numbers when it is called; {RULE}")


def _numbers(module: nn.Module) -> dict[tuple[str, str], object]:
    """Plain numbers that its modules hold besides parameters and buffers: counters, for example."""
    own = {(path, name): value for path, part in module.named_modules() for name, value in vars(part).items()}
    held = {
        key: value.item() if isinstance(value, Tensor) and value.numel() == 1 else value for key, value in own.items()
    }
    return {key: repr(value) for key, value in held.items() if isinstance(value, int | float | complex)}


def _generators() -> list[bytes]:
    """The states of the global generators: of torch, Python and, if it is loaded, numpy."""
    drawn = [torch.random.get_rng_state().numpy().tobytes(), repr(random.getstate()).encode()]
    numpy = sys.modules.get("numpy")
    return [*drawn, repr(numpy.random.get_state()).encode()] if numpy is not None else drawn


def _state(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


@functools.cache
def _logits(shape: tuple[int, ...], key: int) -> Tensor:
    """A map filled with VALUES, at random but always the same places."""
    return VALUES[_places(shape, key)]


@functools.cache
def _places(shape: tuple[int, ...], key: int) -> Tensor:
    places = hashed_integers(key, torch.arange(torch.Size(shape).numel()), len(VALUES))
    return places.view(shape)


def _value(module: nn.Module, z: Tensor) -> Tensor:
    """g(z) without a gradient; refuses a gate that changes its input."""
    given = z.clone(memory_format=torch.preserve_format)
    with torch.no_grad():
        g = _called(module, given)
    if not torch.equal(given, z):
        raise _Refusal(_IN_PLACE)
    return g


def _called(module: nn.Module, z: Tensor) -> Tensor:
    # torch counts changes in place in _version; a value that is written back as it was shows only there.
    shape, version = tuple(z.shape), z._version
    try:
        g = module(z)
    except (Exception, SystemExit) as error:
        kind = "" if z.dtype == torch.get_default_dtype() else f" {str(z.dtype).removeprefix('torch.')}"
        raise _Refusal(f"fails on a {shape}{kind} tensor: {one_line(error)}") from error
    if not isinstance(g, Tensor):
        raise _Refusal(f"must return a tensor, got {type(g).__name__}")
    if g.shape != z.shape:
        raise _Refusal(f"must keep the shape: got {tuple(g.shape)} for {shape}")
    if g.dtype != z.dtype and z.dtype == torch.get_default_dtype():
        raise _Refusal(f"must keep the dtype: got {g.dtype} for {z.dtype}")
    if z._version != version:
        raise _Refusal(_IN_PLACE)
    return g.to(z.dtype)


def _same(before: Tensor, now: Tensor) -> None:
    # nan_to_num, since NaN is not equal to itself. Values that are not finite are judged elsewhere.
    if not torch.equal(before.nan_to_num(), now.nan_to_num()):
        raise _Refusal(f"gives different values for the same input; {RULE}")


def _same_state(module: nn.Module, state: list[Tensor]) -> None:
    now = _state(module)
    if len(now) != len(state) or any(not torch.equal(one, other) for one, other in zip(now, state, strict=True)):
        raise _Refusal(f"changes its own state (a buffer or parameter) when it is called; {RULE}")


def _pulled(module: nn.Module, z: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """g(z), and the gradient at z for the gradient `upstream` at g."""
    z = z.clone().requires_grad_()
    # z * 1, as in a network, where z is the output of a layer: on a leaf an operation in place raises an error of
    # torch's.
    g = _called(module, z * 1)
    gradient = None
    if g.requires_grad:
        try:
            (gradient,) = torch.autograd.grad(g, z, upstream, allow_unused=True)
        except Exception as error:
            raise _Refusal(f"fails in its gradient: {one_line(error)}") from error
    return g.detach(), torch.zeros_like(z) if gradient is None else gradient


def _alone(module: nn.Module, value: Tensor) -> tuple[Tensor, Tensor]:
    g, slope = _pulled(module, value.view(1, 1, 1, 1), torch.ones(1, 1, 1, 1, dtype=value.dtype))
    return g.view(()), slope.view(())


@functools.cache
def _upstream(shape: tuple[int, ...], key: int) -> Tensor:
    return (_places(shape, key + 1000) - 18.5).double() / 16  # never 0


def _as_if_alone(module: nn.Module, shape: tuple[int, ...], g: Tensor, slopes: Tensor) -> None:
    """Compare each value and gradient in a map with those of its logit alone."""
    places, upstream = _places(shape, 1), _upstream(shape, 1)
    z = VALUES[places]
    found, gradient = _pulled(module, z, upstream)
    if _differ(found, g[places], z, slopes[places]).any():
        raise _Refusal(f"gives a value that depends on more than its logit, for a {shape} tensor; {RULE}")
    near = z.abs() <= NEAR
    if _differ(gradient, upstream * slopes[places], z)[near].any():
        raise _Refusal(f"gives a gradient that depends on more than its logit, for a {shape} tensor; {RULE}")


def _differ(found: Tensor, expected: Tensor, z: Tensor, slopes: Tensor | None = None) -> Tensor:
    """Where two values differ by more than rounding.

    Rounding z by a relative error e moves g by about e |z g'(z)|, so the tolerance grows with the slope.
    """
    tolerance = 1e-6 * (1 + expected.abs())
    if slopes is not None:
        tolerance = tolerance + 1e-10 * (z * slopes).abs().nan_to_num()
    # eq() for infinities, whose difference is NaN.
    return ~(found.eq(expected) | ((found - expected).abs() <= tolerance) | (found.isnan() & expected.isnan()))


_PARTS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "depends on the rest of the batch": lambda map, at: map[at],
    "mixes channels": lambda map, at: map[:, at],
    "mixes positions": lambda map, at: map[:, :, at, at],
}


def _refuse_mixing(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> None:
    """Change all images, channels or positions but one: at that one, neither value nor gradient may change."""
    z, moderate, signs = (_logits(shape, key).to(dtype) for key in (2, 3, 4))
    upstream, other_upstream = (_upstream(shape, key).to(dtype) for key in (2, 3))
    g, gradient = _pulled(module, z, upstream)
    extremes = torch.where(signs > 0, EXTREME, -EXTREME).to(dtype)
    is_large = shape in LARGE_SHAPES
    for problem, part in _PARTS.items():
        # Reported last, since a gate that mixes values mixes gradients too.
        in_gradient = False
        for at in (-1,) if is_large else (0, -1):
            keep = torch.zeros(shape, dtype=torch.bool)
            part(keep, at).fill_(True)
            for others in (extremes,) if is_large else (moderate, extremes):
                # The gradients from above change too: a gate may mix in its backward pass alone.
                pulls = torch.where(keep, upstream, other_upstream)
                found, pulled = _pulled(module, torch.where(keep, z, others), pulls)
                if _differ(found, g, z, gradient / upstream)[keep].any():
                    raise _Refusal(f"{problem}; {RULE}")
                in_gradient |= bool(_differ(pulled, gradient, z)[keep & (z.abs() <= NEAR)].any())
        if in_gradient:
            raise _Refusal(f"{problem} in its gradient; {RULE}")
