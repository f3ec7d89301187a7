"""Workers as processes: how one is started, heard and ended."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from bamgate.studies.worker import CELL, NOTE


class Worker:
    """A process that runs `bamgate study work`. What it says goes to files without a name, so that nothing is left.

    Args:
        arguments: after `bamgate study work`.
        environment: on top of this process's own.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.cell = ""  # the one that it is at, or was
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._heard = 0
        # A session of its own: Ctrl-C on the terminal reaches the parent alone, which tells its workers once.
        self._process = subprocess.Popen(
            [sys.executable, "-c", program(), "study", "work", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int:
        """Exit code, below 0 for a signal; of a worker that has ended."""
        assert self._process.returncode is not None
        return self._process.returncode

    def notes(self) -> list[str]:
        """What there is to know since the last call; keeps `cell` up to date."""
        # Not read(): the position in the file is the worker's own.
        text = os.pread(self._output.fileno(), 1 << 20, self._heard)
        whole = text[: text.rfind(b"\n") + 1]
        self._heard += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        for line in lines:
            if line.startswith(CELL):
                self.cell = line.removeprefix(CELL)
        return [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]

    def has_ended(self) -> bool:
        if self._process.poll() is None:
            return False
        self.notes()
        self._close_input()
        return True

    def last_words(self) -> str:
        """The last line of its errors, or the signal that ended it."""
        text = os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        if self.code < 0:
            return signal.Signals(-self.code).name
        return lines[-1].removeprefix("bamgate: ") if lines else f"exit code {self.code}"

    def skip(self, cell: str) -> None:
        """Have it leave a cell alone from now on."""
        assert self._process.stdin is not None
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
        """Until it has ended; it is killed where this wait is interrupted."""
        try:
            self._process.wait()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._close_input()

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
