"""The errors that a user can meet. Each is one line for the terminal and one exit code."""

import difflib
from collections.abc import Iterable


class BamgateError(Exception):
    """A fault that is not ours: the message says what was given, what is allowed and what to do."""

    exit_code = 1


class UsageError(BamgateError, ValueError):
    """Wrong usage or configuration."""

    exit_code = 2


class DataError(BamgateError):
    """Data that is missing or damaged."""

    exit_code = 4


class TryAgainError(BamgateError):
    """Nothing is wrong with the request, but it cannot go on now; the same command resumes later."""

    exit_code = 75


class BusyError(TryAgainError):
    """Another process is at work there."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """The hint "; did you mean 'x'?", or nothing where no name is near."""
    matches = difflib.get_close_matches(given.lower(), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def unknown(kind: str, given: object, allowed: Iterable[str]) -> UsageError:
    """The error for a name that is not in a list."""
    names = list(allowed)
    return UsageError(f"unknown {kind} {str(given)!r}{nearest(str(given), names)} (allowed: {', '.join(names)})")


def one_line(error: BaseException) -> str:
    """Type and first line of any exception."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
