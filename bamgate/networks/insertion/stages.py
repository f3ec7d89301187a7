"""Find where a network halves its map: BAM is placed just before (BAM paper, Section 3)."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.networks.insertion.dry_run import Call, calls, dry_run

# Going from 3 rows to 2 is a halving; going from 111 to 109 is a convolution without padding.
SMALLEST_STEP = 1.5
LARGEST_STEP = 4  # a map that shrinks by more than this at once is pooled for the classifier


class _Step(NamedTuple):
    """A call of a module of the trunk, and the calls around it, outermost first."""

    call: Call
    above: tuple[Call, ...]


def find_stages(model: nn.Module, example: Tensor | None = None) -> list[str]:
    """Names of the last modules before each halving of the map.

    Modules at one resolution with fewer than two convolutions are a stem, not a stage. A halving that no convolution
    follows belongs to the classifier. Norms and activations in one Sequential with the down-sampling convolution belong
    to that convolution.

    Args:
        example: an input of the network; by default one image of 224 x 224.

    Raises:
        UsageError: no stages are found.
    """
    root = dry_run(model, example)
    steps = [step for step in _trunk(root, ()) if step.call.after is not None]
    found, start = [], 0
    for i in range(len(steps) - 1):
        if not _halves(steps[i].call, steps[i + 1].call):
            continue
        # At this resolution, and after it.
        run, rest = steps[start : i + 1], steps[i + 1 :]
        if _convolutions(run) >= 2 and _convolutions(rest) >= 1:
            found.append(_outermost(steps[_last_of_stage(steps, start, i)]))
        start = i + 1
    if not found:
        raise UsageError(_nothing_found(model, root))
    return found


def _trunk(call: Call, above: tuple[Call, ...]) -> Iterator[_Step]:
    """The modules that the map passes through in turn.

    Chains are opened. Blocks are not: inside, branches run beside one another.
    """
    # A module that shrinks the map more than threefold holds several stages: a whole network, wrapped.
    if call.parts and (not above or _is_chain(call.module) or _reduction(call) > 3):
        for part in call.parts:
            yield from _trunk(part, (*above, call))
    else:
        yield _Step(call, above)


def _is_chain(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _reduction(call: Call) -> float:
    """By what factor the map becomes less high; infinite if the output is not a map."""
    if call.before is None:
        return 1.0
    return math.inf if call.after is None else call.before[2] / max(call.after[2], 1)


def _halves(before: Call, after: Call) -> bool:
    assert before.after is not None
    assert after.after is not None
    height, next_height = before.after[2], after.after[2]
    return SMALLEST_STEP <= height / next_height <= LARGEST_STEP


def _convolutions(steps: list[_Step]) -> int:
    return sum(step.call.convolutions for step in steps)


def _last_of_stage(steps: list[_Step], start: int, last: int) -> int:
    """Step back over the norms and activations at the start of the Sequential that halves the map."""
    # Such as DenseNet's transition: norm, ReLU, 1x1, pooling. BAM belongs before all of it.
    chain = steps[last + 1].above
    first = last + 1
    while first > start and len(chain) > 1 and steps[first - 1].above == chain:
        first -= 1
    return first - 1 if first > start and not _convolutions(steps[first : last + 1]) else last


def _outermost(step: _Step) -> str:
    """The name of the largest chain that ends with this module."""
    call = step.call
    for around in reversed(step.above[1:]):
        if around.parts[-1] is not call or around.after != call.after:
            break
        call = around
    return call.name


def _nothing_found(model: nn.Module, root: Call) -> str:
    names = [call.name for call in calls(root) if call.name and call.after is not None and call.name.count(".") < 2]
    if not names:
        return f"no stages found in {type(model).__name__}: the output of none of its modules has shape B, C, H, W"
    some = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return (
        f"no stages found in {type(model).__name__}: a stage has at least two convolutions; name sites "
        f"(modules whose outputs are maps: {some})"
    )
