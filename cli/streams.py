"""stdout and stderr that print any text and never break off a command; what stdout lost is said at the end.

A screen may go away while a network trains, and a disk may be full: neither is a reason to stop in the middle.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

PLAIN = {  # for terminals that have ASCII or Latin letters only
    "±": "+-", "×": "x", "−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "≈": "~",
    "·": "*", "•": "*", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
LOST = 75  # exit code where all is done, and could not be printed


class _Stream(io.RawIOBase):
    """Writes to a file descriptor, and keeps the first error instead of raising it."""

    def __init__(self, descriptor: int, lost: OSError | None) -> None:
        self.descriptor, self.lost = descriptor, lost
        self.needed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    def write(self, data: "bytes | bytearray | memoryview") -> int | None:  # type: ignore[override]
        self.needed = True
        if self.lost is None:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:
                return None
            except OSError as error:
                self.lost = error
        return len(data)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """stdout and stderr as this module says. An end with exit code 0 becomes `LOST` where data could not be printed.

    A reader that has left (`bamgate ... | head`) has seen what it wanted: that is a good end.
    """
    codecs.register_error("bamgate", _plainly)
    out, err = _Stream(1, _occupied(1)), _Stream(2, _occupied(2))
    _occupied(0)
    ours = [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__]  # or somebody's who calls from Python
    if ours[0]:
        sys.stdout = _text(out, sys.stdout)
    if ours[1]:
        sys.stderr = _text(err, sys.stderr)
    try:
        yield
    except SystemExit as end:
        if ours[0]:
            sys.stdout.flush()
        if end.code or not out.needed or out.lost is None or out.lost.errno == errno.EPIPE:
            raise
        print(f"bamgate: cannot write to the standard output: {out.lost.strerror}", file=sys.stderr)
        raise SystemExit(LOST) from None


def _occupied(descriptor: int) -> OSError | None:
    """The error of a descriptor that is closed; it is taken then, since the next file that is opened would get it."""
    try:
        os.fstat(descriptor)
    except OSError as error:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
        return error
    return None


def _text(stream: _Stream, before: TextIO | None) -> io.TextIOWrapper:
    if before is not None:
        before.flush()
    encoding = "utf-8" if before is None else before.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(stream),  # type: ignore[type-var]
        encoding=encoding,
        errors="bamgate",
        line_buffering=stream.descriptor == 2 or stream.isatty(),
    )


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding has not."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing), error.end
