"""Workers as processes: how one is started, heard and ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from bamgate.study.worker import Message


class End(NamedTuple):
    """How a worker ended that knew why: exit code, in words, and whether it was asked to."""

    code: int
    why: str
    stopped: bool


class Worker:
    """A process that runs `bamgate study work`. What it says goes to files without a name, so that nothing is left.

    Its messages come by its standard output, which it keeps from the user's code: an exit code alone may be that
    code's doing, and is not believed.

    Args:
        arguments: after `bamgate study work`.
        environment: on top of this process's own.

    Raises:
        OSError: the system has no room for one more process, file or thread.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.cell = ""  # the one that it is at
        self.finished = 0  # cells that it has seen to the end, or that failed under it
        self.end: End | None = None
        self._died = ""
        self._heard = 0
        with contextlib.ExitStack() as opened:
            self._output = opened.enter_context(tempfile.TemporaryFile())
            self._errors = opened.enter_context(tempfile.TemporaryFile())
            # A session of its own: Ctrl-C on the terminal reaches the parent alone, which tells its workers once.
            self._process = subprocess.Popen(
                [sys.executable, "-c", program(), "study", "work", *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=self._errors,
                start_new_session=True,
            )
            self._files = opened.pop_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    def heard(self) -> list[Message]:
        """What it has said since the last call; keeps `cell`, `finished` and `end` up to date."""
        messages = [json.loads(line) for line in self._lines()]
        for message in messages:
            self._note(message)
        return messages

    def _lines(self) -> Iterator[bytes]:
        # Not read(): the position in the file is the worker's own.
        while text := os.pread(self._output.fileno(), 1 << 20, self._heard):
            whole = text[: text.rfind(b"\n") + 1]
            if not whole:
                return
            self._heard += len(whole)
            yield from whole.splitlines()

    def _note(self, message: Message) -> None:
        if "cell" in message:
            self.cell = message["cell"]
        elif "left" in message or "failed" in message:
            self.cell = ""
            self.finished += message.get("ended", True)
        elif "end" in message:
            self.end = End(message["end"], message.get("why", ""), message.get("stopped", False))
        elif "died" in message:
            self._died = message["died"]

    def has_ended(self) -> bool:
        if self._process.poll() is None:
            return False
        self._close_input()
        return True

    def last_words(self) -> str:
        """Why it died: its own word, the signal that ended it, or the line of its errors that says it."""
        code = self._process.returncode
        assert code is not None
        if code < 0:
            names = {number.value: number.name for number in signal.Signals}
            return names.get(-code, f"signal {-code}")
        if self.end is not None and self.end.stopped:
            return "somebody asked it to stop"
        said = self._died or error_line(self.errors())
        return said or f"exit code {code}, and nothing said"

    def errors(self) -> str:
        """The end of what it has written to stderr."""
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), 1 << 16, max(0, size - (1 << 16))).decode(errors="replace")

    @property
    def failed_unexpectedly(self) -> bool:
        """Whether it ended by an exception that nobody foresaw; `errors` has the traceback."""
        return bool(self._died) and "Traceback (most recent call last)" in self.errors()

    def skip(self, cell: str) -> None:
        """Have it leave a cell alone from now on."""
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(f"{cell}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended

    def stop(self) -> None:
        """Ask it to save and end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Until it has ended; it is killed if this wait is interrupted."""
        try:
            self._process.wait()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._close_input()

    def close(self) -> None:
        """Forget what it said; of a worker that has ended."""
        self._files.close()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass


def program() -> str:
    """A program that is `bamgate`, with this process's path for modules.

    `python -m` would look in the working folder first, whose files may be anybody's.
    """
    return f"import sys; sys.path[:] = {sys.path!r}; from bamgate.cli.app import main; main()"


def error_line(text: str) -> str:
    """The line of a program's last words that says what was wrong: a message may have several."""
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    after = lines[starts[-1] + 1 :] if starts else []
    said = [line for line in after if not line.startswith(" ")]
    said += [line for line in lines if line.startswith("bamgate: ")] + lines[-1:]
    return said[0].removeprefix("bamgate: ") if said else ""


def arguments_of(
    out: Path, *, device: str, data_dir: Path | None, workers: int | None, code: bool, skipped: set[str]
) -> list[str]:
    """The command line of a worker of this process."""
    words = [str(out), "--device", device, "--parent", str(os.getpid())]
    words += ["--data-dir", str(data_dir)] if data_dir else []
    words += ["--workers", str(workers)] if workers is not None else []
    words += ["--allow-code"] if code else []
    return words + [word for cell in sorted(skipped) for word in ("--skip", cell)]


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to be for each of the GPUs that this process sees."""
    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in given.split(",")] if given else [str(number) for number in range(count)]
    return names[:count]


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
