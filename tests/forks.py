"""Trainer processes that are forked from whoever starts them: what takes seconds in a real one's start are its imports.

What a new program would not have from its parent is taken away: descriptors and handlers of signals. Tests that are
about starting one have `python -m bamgate` in a real process of its own, which starts real ones.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn


class Fork:
    """What a trainer process's owner uses of subprocess.Popen."""

    def __init__(
        self,
        command: list[str],
        *,
        stdin: int,
        stdout: IO[bytes],
        stderr: IO[bytes],
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        **_: Any,
    ) -> None:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: none of them holds a lock
            self.pid = os.fork()
        if not self.pid:
            if start_new_session:
                os.setsid()
            _become_trainer(command, (reading, stdout.fileno(), stderr.fileno()), env)
        os.close(reading)
        self.stdin = os.fdopen(writing, "wb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._waited(os.WNOHANG)

    def wait(self) -> int | None:
        return self._waited(0)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _waited(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def fork_trainers() -> None:
    """From now on this process forks its trainer processes, unless it has threads.

    A fork inherits the locks of threads that it does not have. Python does not know the threads of OpenMP and autograd,
    in whose pools a child would wait for ever, so the system is asked.
    """
    original: Any = subprocess.Popen

    class Popen(original):  # type: ignore[misc]
        def __new__(cls, command: Any, *args: Any, **given: Any) -> Any:
            if command[3:5] == ["study", "work"] and _has_one_thread():
                return Fork(command, **given)
            return super().__new__(cls)

    subprocess.Popen = Popen  # type: ignore[misc]


def _has_one_thread() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except FileNotFoundError:  # another system than Linux: nobody can say
        return False


def trains(number: int, out: Path) -> bool:
    """Whether the process with this number is a forked trainer process of the study in `out`, and alive."""
    try:
        name, words = (Path(f"/proc/{number}/{file}").read_bytes() for file in ("comm", "cmdline"))
    except OSError:
        return False
    return name.decode(errors="replace").strip() == _name_of(out) and bool(words)  # what is dead has no words any more


def _name_of(out: Path) -> str:
    """Of a process: at most 15 characters."""
    return "train-" + hashlib.sha256(str(out).encode()).hexdigest()[:9]


def _become_trainer(command: list[str], descriptors: tuple[int, int, int], env: Mapping[str, str] | None) -> NoReturn:
    code = 70
    try:
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(_name_of(Path(command[5])))
        _as_if_new(descriptors, env)
        sys.argv = ["bamgate", *command[3:]]
        from bamgate.cli.app import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _as_if_new(descriptors: tuple[int, int, int], env: Mapping[str, str] | None) -> None:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
