"""Output of a command whose work must not depend on anybody reading it: a screen that is lost is written to no more."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from bamgate.errors import UsageError, one_line


class _Lasting:
    """A text stream that falls silent for good once a write has failed: the reader left, the disk is full."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")

    def write(self, text: str) -> int:
        with self._until_lost():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._until_lost():
            self._stream.flush()

    @contextlib.contextmanager
    def _until_lost(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if isinstance(error, UnicodeError):
                raise
            self._lose()

    def _lose(self) -> None:
        """What is still in buffers, and whatever else writes to the same descriptor, goes nowhere from here on."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """In here a lost terminal, a dead pipe and a full disk under stdout or stderr stop nothing.

    Raises:
        UsageError: code of the user's has asked the process to end, or met a dead pipe of its own. Neither must pass
            for the end of the work.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Lasting(sys.stdout), _Lasting(sys.stderr)
    try:
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    except (SystemExit, BrokenPipeError) as error:
        raise UsageError(f"code that was run for a gate has failed: {one_line(error)}") from error
    finally:
        for lasting in (sys.stdout, sys.stderr):
            lasting.flush()
        sys.stdout, sys.stderr = before


def last_word(line: str) -> None:
    """A line on stderr, if anybody is there; the exit code does not depend on it."""
    stderr = _Lasting(sys.stderr)
    stderr.write(f"{line}\n")
    stderr.flush()
