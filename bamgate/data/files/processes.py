"""The decoders, which are processes that decode images: how they start and end, and what happens if they fail.

They end with their run, however it ends: the run tells them, multiprocessing ends them at its exit, or they notice that
the run is gone.
"""

import contextlib
import errno
import io
import multiprocessing
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing.queues import Queue
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from bamgate.errors import TryAgainError

# Signals that reach a whole process group at once: Ctrl-C, a closed terminal, a scheduler's warning and its kill.
_OF_GROUPS = {getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGTERM") if hasattr(signal, name)}
# What a machine may run short of: open files, processes, threads, memory, shared memory.
_SHORT = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC}
# torch passes some of these on as a RuntimeError with the text alone. "received 0 items of ancdata" is what
# multiprocessing says if a file descriptor cannot be received because too many are open.
_SHORT_TEXTS = (*map(os.strerror, sorted(_SHORT)), "can't start new thread", "ancdata")
_LOOK_S = 1.0  # seconds between checks that the run is still alive
_PATIENCE_S = 5.0  # seconds that a process which was told to end may take
_WAY_OUT = "use fewer --workers, or raise the limit (ulimit -n, ulimit -u, memory, /dev/shm)"


def shortage(error: BaseException) -> str:
    """What the machine has run short of, if `error` says so; empty for any other error."""
    if isinstance(error, MemoryError):
        return os.strerror(errno.ENOMEM)
    if isinstance(error, OSError) and error.errno in _SHORT:
        return os.strerror(error.errno)
    if isinstance(error, OSError | RuntimeError):
        return next((text for text in _SHORT_TEXTS if text in str(error)), "").replace("ancdata", "Too many open files")
    return ""


def answers(processes: "DataLoader[Any]") -> Iterator[Any]:
    """Yield what the decoders make, in order; start them if they do not run yet.

    Raises:
        TryAgainError: not all decoders can be started (those that run are ended), or they cannot hand over their
            images.
    """
    running = _started(processes)
    while True:
        try:
            answer = next(running)
        except StopIteration:
            return
        except (OSError, EOFError, RuntimeError) as error:
            if str(error).startswith("DataLoader worker"):
                raise  # a decoder was killed: `dead_workers_named` makes the message
            reason = shortage(error)
            if isinstance(error, RuntimeError) and not reason:
                raise
            why = reason or f"{type(error).__name__}: {error}"
            _end(running._workers)  # type: ignore[attr-defined]
            raise TryAgainError(f"the processes that decode images have failed ({why}); {_WAY_OUT}") from error
        yield answer


def _started(processes: "DataLoader[Any]") -> Iterator[Any]:
    # To tell the decoders from other children of this process, should only some of them start.
    before = set(multiprocessing.active_children())
    try:
        with _signals_held_back(), unadvised():
            return iter(processes)
    except (OSError, RuntimeError) as error:
        begun = set(multiprocessing.active_children()) - before
        _end(begun)
        _leave_alone(error)
        if not (reason := shortage(error)):
            raise
        number = processes.num_workers
        raise TryAgainError(
            f"{number} processes that decode images cannot be started ({reason}); {_WAY_OUT}"
        ) from error


def _end(begun: Iterable[Any]) -> None:
    # All are told before any is waited for, so that together they take as long as the slowest.
    for end in ("terminate", "kill"):
        for process in begun:
            with contextlib.suppress(RuntimeError):  # torch's signal handler reports a dead decoder at any moment
                getattr(process, end)()
        for process in begun:
            with contextlib.suppress(RuntimeError):
                process.join(_PATIENCE_S)


def _leave_alone(error: BaseException) -> None:
    """Keep torch's half-made iterator from shutting down processes that it never started, which prints a traceback."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, _BaseDataLoaderIter):
            made._shutdown = True  # type: ignore[attr-defined]


@contextlib.contextmanager
def unadvised() -> Iterator[None]:
    """Hide torch's warning that there are more decoders than cores: their number is the user's choice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Block signals in processes that start inside this context, until `begin` has set their handlers.

    A child inherits the handlers of the run, which would save a checkpoint, and the blocked set.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_GROUPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(number: int) -> None:
    """The first thing that a decoder does: set up signals and errors.

    Signals to the whole process group are meant for the run, which saves and then ends its decoders.
    """
    Queue._on_queue_feeder_error = staticmethod(_give_up)  # type: ignore[attr-defined]
    sys.stderr = io.StringIO()  # the run reports what goes wrong here, in one line
    sys.excepthook = lambda kind, error, trace: _give_up(error, None)  # for threads of multiprocessing
    for one in _OF_GROUPS - {signal.SIGTERM}:
        signal.signal(one, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    heard = _OF_GROUPS
    try:
        if hasattr(signal, "sigtimedwait"):
            threading.Thread(target=_watch_the_run, daemon=True).start()
            # SIGTERM stays blocked: the thread takes it with sigtimedwait, which also says who sent it.
            heard = _OF_GROUPS - {signal.SIGTERM}
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)


def _watch_the_run() -> None:
    """End this process if the run tells it to, or is gone. SIGTERM from any other sender is for the whole group."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A fork server stands between: its children have the server as parent, which ends with the run.
    above = os.getppid() if multiprocessing.get_start_method() == "forkserver" else parent.pid
    while os.getppid() == above:
        told = signal.sigtimedwait({signal.SIGTERM}, _LOOK_S)
        if told is not None and told.si_pid == parent.pid:
            break
    os._exit(0)


def _give_up(error: BaseException, batch: object) -> None:
    """End this process if a batch cannot be sent: the run would wait for it for ever, but it notices a dead decoder.

    The exit code carries the reason.
    """
    os._exit(error.errno if isinstance(error, OSError) and error.errno in _SHORT else 1)


@contextlib.contextmanager
def dead_workers_named() -> Iterator[None]:
    """Turn torch's error for a decoder that died, which may come at any moment, into one line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise TryAgainError(
            f"a process that decodes images has died ({_how(str(error))}); if the machine ran short of something, "
            f"{_WAY_OUT}. The same command resumes from the last checkpoint"
        ) from error


def _how(text: str) -> str:
    """The first sentence of torch's error, with the meaning of an exit code of `_give_up`."""
    sentence = text.splitlines()[0].split(". ")[0].strip(" .")
    code = re.search(r"exit code (\d+)$", sentence)
    short = code is not None and int(code[1]) in _SHORT
    return f"{sentence}: {os.strerror(int(code[1]))}" if code and short else sentence


def default_workers() -> int:
    """One decoder for each core that this process may use, except the one that trains; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
