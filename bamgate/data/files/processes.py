"""The processes that decode images: how they are started, when they end, and what is said if they cannot go on.

They end with their run, however it ends: told by it, by multiprocessing at its exit, or because it is gone.
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

# Signals that reach a whole group of processes at once: Ctrl-C, a closed terminal, a scheduler's warning, its end.
_OF_GROUPS = {getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGTERM") if hasattr(signal, name)}
# What a machine may be short of: open files, processes, threads, memory, shared memory.
_SHORT = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC}
_SHORT_TEXTS = (*map(os.strerror, sorted(_SHORT)), "can't start new thread", "ancdata")
_LOOK_S = 1.0  # between looks at whether the run is still there
_PATIENCE_S = 5.0  # for a process that was told to end
_WAY_OUT = "use fewer --workers, or raise the limit (ulimit -n, ulimit -u, memory, /dev/shm)"


def shortage(error: BaseException) -> str:
    """What the machine is short of, as `error` says it; empty for any other error."""
    if isinstance(error, MemoryError):
        return os.strerror(errno.ENOMEM)
    if isinstance(error, OSError) and error.errno in _SHORT:
        return os.strerror(error.errno)
    if isinstance(error, OSError | RuntimeError):
        return next((text for text in _SHORT_TEXTS if text in str(error)), "").replace("ancdata", "Too many open files")
    return ""


def answers(processes: "DataLoader[Any]") -> Iterator[Any]:
    """What `processes` make, one after the other; they are started where they do not run yet.

    Raises:
        TryAgainError: they cannot all be started (those that could are ended), or cannot hand over what they made.
    """
    running = _begun(processes)
    while True:
        try:
            answer = next(running)
        except StopIteration:
            return
        except (OSError, EOFError, RuntimeError) as error:
            if str(error).startswith("DataLoader worker"):
                raise  # see `dead_workers_named`
            reason = shortage(error)
            if isinstance(error, RuntimeError) and not reason:
                raise
            why = reason or f"{type(error).__name__}: {error}"
            _end(running._workers)  # type: ignore[attr-defined]
            raise TryAgainError(f"the processes that decode images cannot go on ({why}); {_WAY_OUT}") from error
        yield answer


def _begun(processes: "DataLoader[Any]") -> Iterator[Any]:
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
    for end in ("terminate", "kill"):
        for process in begun:
            with contextlib.suppress(RuntimeError):  # torch's word of a process that has ended
                getattr(process, end)()
        for process in begun:
            with contextlib.suppress(RuntimeError):
                process.join(_PATIENCE_S)


def _leave_alone(error: BaseException) -> None:
    """Torch's half-made iterator would end what it has not begun, and complain."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, _BaseDataLoaderIter):
            made._shutdown = True  # type: ignore[attr-defined]


@contextlib.contextmanager
def unadvised() -> Iterator[None]:
    """Without torch's advice on how many processes there should be: that is the user's choice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """A process that is started in here gets no signal before `begin` has said what it does with them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_GROUPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(number: int) -> None:
    """The first thing that a decoding process does.

    Signals that reach a whole group of processes are for the run, which saves and then ends these.
    """
    Queue._on_queue_feeder_error = staticmethod(_give_up)  # type: ignore[attr-defined]
    sys.stderr = io.StringIO()  # what goes wrong here is the run's to say, in one line
    sys.excepthook = lambda kind, error, trace: _give_up(error, None)  # of multiprocessing's own threads
    for one in _OF_GROUPS - {signal.SIGTERM}:
        signal.signal(one, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    heard = _OF_GROUPS
    try:
        if hasattr(signal, "sigtimedwait"):
            threading.Thread(target=_watch_the_run, daemon=True).start()
            heard = _OF_GROUPS - {signal.SIGTERM}  # the thread waits for it
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)


def _watch_the_run() -> None:
    """End this process if the run says so or is gone. SIGTERM from anybody else is meant for the whole group."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    above = os.getppid() if multiprocessing.get_start_method() == "forkserver" else parent.pid
    while os.getppid() == above:
        told = signal.sigtimedwait({signal.SIGTERM}, _LOOK_S)
        if told is not None and told.si_pid == parent.pid:
            break
    os._exit(0)


def _give_up(error: BaseException, batch: object) -> None:
    """A batch that cannot be sent would be waited for for ever: end, so that the run hears of it."""
    os._exit(error.errno if isinstance(error, OSError) and error.errno in _SHORT else 1)


@contextlib.contextmanager
def dead_workers_named() -> Iterator[None]:
    """Turn torch's word of a killed worker, which comes at any moment, into one line that says how to go on."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise TryAgainError(
            f"a process that decodes images has died ({_how(str(error))}); if something was short, {_WAY_OUT}. "
            "The same command goes on from the last checkpoint"
        ) from error


def _how(text: str) -> str:
    """The first sentence of torch's word, and what an exit code of `_give_up` means."""
    sentence = text.splitlines()[0].split(". ")[0].strip(" .")
    code = re.search(r"exit code (\d+)$", sentence)
    short = code is not None and int(code[1]) in _SHORT
    return f"{sentence}: {os.strerror(int(code[1]))}" if code and short else sentence


def default_workers() -> int:
    """One for each core of this process but the one that trains; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
