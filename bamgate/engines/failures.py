"""Whose an exception is that ends a run: the gate's, the task's, the machine's, or ours."""

import contextlib
import errno
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import torch

from bamgate.errors import GateError, OutOfMemoryError, TaskError, one_line
from bamgate.gates import GATES, Gate
from bamgate.tasks import Task

_SCALE = "bamgate.attention.scale"  # the one caller of gates in a network
_ASKED = "bamgate.tasks.asked"  # the one caller of tasks
_ANSWERING = ("bamgate.engines.trainer", "bamgate.observe.gate_figures")  # what a task calls for answers and batches
_OURS = ("bamgate", "torch", "contextlib")
_OUR_FOLDERS = (Path(__file__).parents[1], Path(torch.__file__).parent)
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


@contextlib.contextmanager
def failures_named(gate: Gate, seed: int, was_interrupted: Callable[[], bool]) -> Iterator[None]:
    """Turn what the gate raises while it is trained, and memory that has run out, into one line. The rest is ours.

    Args:
        was_interrupted: whether somebody asked for a stop, so that a KeyboardInterrupt is theirs.

    Raises:
        GateError: also for a SystemExit, a BrokenPipeError or a KeyboardInterrupt of the gate's.
        OutOfMemoryError: whoever asked for the memory.
    """
    try:
        yield
    except BaseException as error:
        if _is_lack_of_memory(error):
            raise OutOfMemoryError(
                f"the memory was too small for gate {gate.name!r} with seed {seed} ({one_line(error)}); "
                "what was logged is whole, the same command goes on from there"
            ) from error
        place = None if _is_of_user(error, was_interrupted) else _place_in_gate(gate, error)
        if place is None:
            raise
        raise GateError(f"gate {gate.name!r} failed in training with seed {seed}: {one_line(error)}{place}") from error


@contextlib.contextmanager
def task_failures_named(task: Task, seed: int, was_interrupted: Callable[[], bool]) -> Iterator[None]:
    """Turn what a task that is not ours raises while it is asked into one line; the gate's and our own pass.

    Raises:
        TaskError: as for gates, also for a SystemExit or a KeyboardInterrupt of the task's.
    """
    try:
        yield
    except BaseException as error:
        passes = isinstance(error, TaskError) or _is_lack_of_memory(error) or _is_of_user(error, was_interrupted)
        place = None if passes else _place_in_task(task, error)
        if place is None:
            raise
        raise TaskError(f"task {task.name!r} failed in training with seed {seed}: {one_line(error)}{place}") from error


def _is_of_user(error: BaseException, was_interrupted: Callable[[], bool]) -> bool:
    return isinstance(error, KeyboardInterrupt) and (was_interrupted() or _ctrl_c_raises())


def _is_lack_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in one_line(error) for words in _NO_MEMORY)


def _ctrl_c_raises() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _place_in_gate(gate: Gate, error: BaseException) -> str | None:
    """Where in the gate's code it arose, in brackets, empty if that has no source; None if it arose elsewhere."""
    if gate.name in GATES or gate.name.startswith("expr:"):
        return None
    frames = _frames(error)
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in frames]
    home = _home(gate)
    at_home = [frame.f_code.co_filename == home for frame, _ in frames]
    if _SCALE not in modules and not any(at_home):
        return None
    inner = modules.index(_SCALE) if _SCALE in modules else 0
    own = [
        (frame, line)
        for (frame, line), module, own in list(zip(frames, modules, at_home, strict=True))[inner:]
        if own or module.split(".")[0] not in _OURS
    ]
    if not own:
        return ""
    return _shown(own[-1])


def _place_in_task(task: Task, error: BaseException) -> str | None:
    """As `_place_in_gate`. What a task calls of ours again, the network and the batches, is not its own."""
    kind = type(task)
    if kind.__module__.split(".")[0] == "bamgate":
        return None
    home = getattr(sys.modules.get(kind.__module__), "__file__", "") or ""
    frames = _frames(error)
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in frames]
    asked = len(modules) - 1 - modules[::-1].index(_ASKED) if _ASKED in modules else None
    if asked is not None and not set(_ANSWERING) & set(modules[asked:]):
        inner = frames[asked + 1 :]
    else:  # a backward pass of the task's own is called by nobody of ours
        inner = [] if asked is not None else [one for one in frames if one[0].f_code.co_filename == home]
        if not inner:
            return None
    own = [one for one in inner if str(one[0].f_globals.get("__name__", "")).split(".")[0] not in _OURS]
    return _shown(own[-1]) if own else ""


def _shown(place: tuple[FrameType, int]) -> str:
    frame, line = place
    return f" ({Path(frame.f_code.co_filename).name}, line {line})"


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return frames


def _home(gate: Gate) -> str:
    """The file that the gate's code stands in; a backward pass of its own is called by nobody of ours."""
    try:
        module = gate.sample()
    except Exception:  # it is the user's code that fails
        return ""
    code = getattr(getattr(module, "function", type(module).forward), "__code__", None)  # of what is in C there is none
    home = getattr(code, "co_filename", "")
    return "" if any(home.startswith(str(folder)) for folder in _OUR_FOLDERS) else home
