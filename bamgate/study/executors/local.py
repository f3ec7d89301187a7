"""The executor `local`: trainer processes on this machine, each of them `bamgate study work`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from bamgate.study.executors.executor import EXECUTORS
from bamgate.study.work import End, Message, Work


class Local:
    """Starts a trainer process for each job."""

    name = "local"
    side_by_side = True

    def start(self, work: Work, tell: Callable[[Message], None]) -> "LocalJob":
        """See `bamgate.study.executors.executor.Executor`."""
        return LocalJob(work, tell)


class LocalJob:
    """A trainer process. What it says goes to files without a name, so that nothing is left.

    Its messages come by its standard output, which it keeps from the user's code: an exit code alone may be that
    code's doing, and is not believed. Two are kept: `end`, with the exit code of one that knows why it ends, and `died`
    of one that does not.

    Raises:
        OSError: the system has no room for one more process, file or thread.
    """

    def __init__(self, work: Work, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._said: Message = {}  # its last message of how it ended
        self._heard = 0
        environment = {"CUDA_VISIBLE_DEVICES": work.gpu} if work.gpu else {}
        with contextlib.ExitStack() as opened:
            self._output = opened.enter_context(tempfile.TemporaryFile())
            self._errors = opened.enter_context(tempfile.TemporaryFile())
            # A session of its own: Ctrl-C on the terminal reaches the parent alone, which tells its jobs once.
            self._process = subprocess.Popen(
                [sys.executable, "-c", program(), "study", "work", *_arguments(work)],
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

    def has_ended(self) -> bool:
        """Tells what it has said since the last call."""
        has_ended = self._process.poll() is not None  # asked first: what it said last is there now
        for line in self._lines():
            message = json.loads(line)
            if "end" in message or "died" in message:
                self._said = message
            else:
                self._tell(message)
        if has_ended:
            self._close_input()
        return has_ended

    def _lines(self) -> Iterator[bytes]:
        # Not read(): the position in the file is the trainer process's own.
        while text := os.pread(self._output.fileno(), 1 << 20, self._heard):
            whole = text[: text.rfind(b"\n") + 1]
            if not whole:
                return
            self._heard += len(whole)
            yield from whole.splitlines()

    def end(self) -> End:
        """By its own word; else by the signal that ended it, or the line of its errors that says why."""
        said, code = self._said, self._process.returncode
        why = said.get("why", "")
        if "end" in said and not said.get("stopped"):
            return End(said["end"], why)
        assert code is not None
        if code < 0:
            names = {number.value: number.name for number in signal.Signals}
            return End(None, names.get(-code, f"signal {-code}"))
        if "end" in said:
            return End(said["end"], why, stopped=True)
        why = said.get("died") or error_line(self._last_errors()) or f"exit code {code}, and nothing said"
        return End(None, why, traceback=said.get("traceback", ""))

    def _last_errors(self) -> str:
        """The end of what it has written to stderr."""
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), 1 << 16, max(0, size - (1 << 16))).decode(errors="replace")

    def skip(self, cell: str) -> None:
        """Told by its standard input."""
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(f"{cell}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended

    def stop(self) -> None:
        """By a signal, which it answers by saving."""
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
        """Forget what it said."""
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


def _arguments(work: Work) -> list[str]:
    """The command line of a trainer process of this one."""
    words = [str(work.out), "--device", work.device, "--threads", str(work.threads), "--parent", str(os.getpid())]
    words += ["--data-dir", str(work.data_root)] if work.data_root else []
    words += ["--workers", str(work.decoders)] if work.decoders is not None else []
    words += ["--allow-code"] if work.allow_code else []
    return words + [word for cell in sorted(work.skipped) for word in ("--skip", cell)]


EXECUTORS.register(Local.name, Local())
