"""The errors that a user can see. Each is one line on the terminal and one exit code."""

import contextlib
import difflib
import errno
import os
import unicodedata
from collections.abc import Iterable, Iterator
from types import TracebackType

# Marks that reorder text, so that one name looks like another; and the byte order mark, which is invisible.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def printable(text: str) -> str:
    """Text on one line that is safe for a terminal.

    Control characters, line breaks, reordering marks and lone surrogates become the escapes that Python writes for
    them. Printable characters of any script stay.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    return character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


# Errors that say something about the machine, whichever line of the code they come from. By name, as not every system
# has all of them.
_LACKS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ESTALE", "ENOMEM", "EMFILE", "ENFILE", "EAGAIN")
_OF_MACHINE = {getattr(errno, name) for name in _LACKS if hasattr(errno, name)}


class BamgateError(Exception):
    """An error that is not a bug of ours. Its one line says what was given, what is allowed and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(BamgateError, ValueError):
    """Wrong usage or configuration."""

    exit_code = 2


class GateError(UsageError):
    """A user's gate raised an exception during training."""


class TaskError(UsageError):
    """A task that is not ours raised an exception, or answered what no task may."""


class DataError(BamgateError):
    """Data are missing or damaged."""

    exit_code = 4


class TryAgainError(BamgateError):
    """The request is fine, but cannot be completed now; the same command resumes it later."""

    exit_code = 75


class BusyError(TryAgainError):
    """Another process is working there."""


class OutOfMemoryError(TryAgainError):
    """The machine or the device ran out of memory."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """The hint "; did you mean 'x'?", or an empty text if no name is close."""
    matches = difflib.get_close_matches(given.lower(), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def unknown(kind: str, given: object, allowed: Iterable[str]) -> UsageError:
    """The error for a name that is not in a list: it names the closest one and all that are allowed."""
    names = list(allowed)
    return UsageError(f"unknown {kind} {str(given)!r}{nearest(str(given), names)} (allowed: {', '.join(names)})")


def one_line(error: BaseException) -> str:
    """Type and first line of any exception, even of one whose text cannot be read."""
    try:
        lines = str(error).strip().splitlines()
    except (Exception, SystemExit):  # __str__ may be a user's code
        lines = []
    return printable(f"{type(error).__name__}: {lines[0] if lines else 'no message'}")


def machine_fault(error: BaseException) -> BamgateError | None:
    """The error to show for an exception that the machine or the user caused; None if it may be a bug of ours."""
    name = f" {str(error.filename)!r}" if isinstance(error, OSError) and error.filename is not None else ""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return UsageError(f"the name{name} is too long for a file or folder on this file system")
    if isinstance(error, OSError) and error.errno in _OF_MACHINE:
        why = os.strerror(error.errno or 0)
        return TryAgainError(f"{why}{':' if name else ''}{name}; the same command resumes once that is fixed")
    # CPython raises a plain RuntimeError for a thread that cannot be started, so the text has to tell.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't start new thread" in str(error)):
        what = "there is no memory left" if isinstance(error, MemoryError) else "no thread can be started"
        return TryAgainError(f"{what}; the same command resumes once there is more (ulimit -a shows the limits)")
    return None


@contextlib.contextmanager
def blamed(kind: str, name: str, part: object) -> Iterator[None]:
    """If a part from outside bamgate fails, say so in one line that names it; errors of our own parts pass unchanged.

    Raises:
        UsageError: an unexpected exception came out of the module that defines `part`.
    """
    try:
        yield
    except BamgateError:
        raise
    except (Exception, SystemExit) as error:
        home = type(part).__module__
        is_ours = home.partition(".")[0] == "bamgate"
        if is_ours or machine_fault(error) is not None or home not in _modules(error.__traceback__):
            raise
        kept = "what was saved is kept, and the same command resumes from there"
        raise UsageError(f"{kind} {name!r} failed: {one_line(error)}; {kept}") from error


def _modules(trace: TracebackType | None) -> Iterator[str]:
    """The modules of the functions that an exception passed through."""
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
