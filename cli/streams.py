"""stdout and stderr that accept any text and never interrupt a command; at the end it says if stdout lost something.

A terminal may close while a network trains, and a disk may be full. Neither is a reason to stop in the middle.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

PLAIN = {  # replacements for terminals that can show only ASCII or Latin letters
    "±": "+-", "×": "x", "−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "≈": "~",
    "·": "*", "•": "*", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
LOST = 75  # exit code if everything is done, but could not be printed


class _Stream(io.RawIOBase):
    """Writes to a file descriptor and keeps the first error instead of raising it.

    Args:
        lost: the first error; None if everything was written.
    """

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
        # As if written: the buffer above must not keep it and try again.
        return len(data)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Replace stdout and stderr inside this context. Exit code 0 becomes `LOST` if data could not be printed.

    A reader that has left (`bamgate ... | head`) has seen what it wanted: that counts as success.
    """
    codecs.register_error("bamgate", _plainly)
    out, err = _Stream(1, _occupied(1)), _Stream(2, _occupied(2))
    _occupied(0)
    # If the caller has replaced a stream, as pytest does, it stays as it is.
    ours = [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__]
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
    """The error if a descriptor is closed; None if it is open.

    A closed one is opened on /dev/null. Otherwise the next file that is opened would get its number, and with it all
    that is printed.
    """
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
    """An error handler for encodings: what to print for characters that the encoding does not have."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing), error.end
