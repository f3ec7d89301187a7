"""A table of named parts: register, look up, list; and the line for a part of somebody else's that fails."""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

from bamgate.errors import BamgateError, UsageError, machine_fault, one_line, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Named parts of one kind, in the order in which they were registered."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str, part: T) -> T:
        """Add `part`; a name that is taken is an error, never an override."""
        if name in self._parts:
            raise UsageError(f"{self.kind} {name!r} is registered already; choose another name")
        self._parts[name] = part
        return part

    def get(self, name: str) -> T:
        """Look up `name`; UsageError with the nearest name and the list where there is none."""
        if name not in self._parts:
            raise unknown(self.kind, name, self._parts)
        return self._parts[name]

    def names(self) -> list[str]:
        return list(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[T]:
        return iter(self._parts.values())


@contextlib.contextmanager
def blamed(kind: str, name: str, part: object) -> Iterator[None]:
    """Name a part that is not ours, in a line, if it fails; what our own parts raise stays as it is.

    Raises:
        UsageError: an exception that nobody foresaw came out of the module that `part` is made in.
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
        kept = "what was saved is kept, and the same command goes on from there"
        raise UsageError(f"{kind} {name!r} failed: {one_line(error)}; {kept}") from error


def _modules(trace: TracebackType | None) -> Iterator[str]:
    """Of the functions that an exception came through."""
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
