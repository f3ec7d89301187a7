"""A table of named parts: register, look up, list."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from bamgate.errors import UsageError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Named parts of one kind, in the order in which they were registered."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str, part: T) -> T:
        """Add `part` and return it; UsageError if the name is taken: nothing is ever overridden."""
        if name in self._parts:
            raise UsageError(f"{self.kind} {name!r} is already registered; choose another name")
        self._parts[name] = part
        return part

    def get(self, name: str) -> T:
        """Look up `name`; if there is none, UsageError with the closest name and the whole list."""
        if name not in self._parts:
            raise unknown(self.kind, name, self._parts)
        return self._parts[name]

    def names(self) -> list[str]:
        return list(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[T]:
        return iter(self._parts.values())
