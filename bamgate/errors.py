"""The errors that a user can meet. Each is one line for the terminal and one exit code."""

import difflib
import errno
import os
import unicodedata
from collections.abc import Iterable

# Marks that reorder text, so that a name reads as another one; and the byte order mark, which nobody sees.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def printable(text: str) -> str:
    """Text for a terminal, in one line: control characters, line breaks, reordering marks and halves of surrogate pairs
    as the escapes that Python writes for them. What is printable stays as it is, letters of any script among it."""
    if text.isprintable():
        return text
    return "".join(_escaped(character) if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    return character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


_LACKS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ESTALE", "ENOMEM", "EMFILE", "ENFILE", "EAGAIN")
_OF_MACHINE = {getattr(errno, name) for name in _LACKS if hasattr(errno, name)}


class BamgateError(Exception):
    """A fault that is not ours: the message says what was given, what is allowed and what to do. It is one line."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(BamgateError, ValueError):
    """Wrong usage or configuration."""

    exit_code = 2


class GateError(UsageError):
    """A user's gate raised an exception while it was trained."""


class TaskError(UsageError):
    """A task that is not ours raised an exception, or answered what no task may."""


class DataError(BamgateError):
    """Data that is missing or damaged."""

    exit_code = 4


class TryAgainError(BamgateError):
    """Nothing is wrong with the request, but it cannot go on now; the same command resumes later."""

    exit_code = 75


class BusyError(TryAgainError):
    """Another process is at work there."""


class OutOfMemoryError(TryAgainError):
    """The memory of the machine or of the device was too small just now."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """The hint "; did you mean 'x'?", or nothing where no name is near."""
    matches = difflib.get_close_matches(given.lower(), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def unknown(kind: str, given: object, allowed: Iterable[str]) -> UsageError:
    """The error for a name that is not in a list."""
    names = list(allowed)
    return UsageError(f"unknown {kind} {str(given)!r}{nearest(str(given), names)} (allowed: {', '.join(names)})")


def one_line(error: BaseException) -> str:
    """Type and first line of any exception, also of one whose own text cannot be had."""
    try:
        lines = str(error).strip().splitlines()
    except (Exception, SystemExit):  # it is somebody else's code that makes the text
        lines = []
    return printable(f"{type(error).__name__}: {lines[0] if lines else 'no message'}")


def machine_fault(error: BaseException) -> BamgateError | None:
    """The line for an exception that is the machine's or the user's wherever it arises; None if it may be ours."""
    name = f" {str(error.filename)!r}" if isinstance(error, OSError) and error.filename is not None else ""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return UsageError(f"the name{name} is too long for a file or folder here")
    if isinstance(error, OSError) and error.errno in _OF_MACHINE:
        why = os.strerror(error.errno or 0)
        return TryAgainError(f"{why}{':' if name else ''}{name}; the same command goes on when that is put right")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't start new thread" in str(error)):
        what = "there is no memory left" if isinstance(error, MemoryError) else "no thread can be started"
        return TryAgainError(f"{what}; the same command goes on when there is more room (ulimit -a shows the limits)")
    return None
