"""A table of named parts: register, look up, list. Installed packages may bring parts of their own as plug-ins."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from bamgate.errors import UsageError, one_line, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9_.-]+")


class Registry(Generic[T]):
    """Named parts of one kind, in the order in which they were registered, then those of plug-ins.

    Args:
        kind: for messages.
        group: of the entry points by which installed packages bring parts; None if there are no plug-ins of this kind.
            A plug-in is imported when its part is looked up, in whatever process that is.
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind, self.group = kind, group
        self._parts: dict[str, T] = {}
        self._plugged: dict[str, T] = {}

    def register(self, name: str, part: T) -> T:
        """Add `part` and return it; UsageError if the name is taken: nothing is ever overridden."""
        if name in self._parts:
            raise UsageError(f"{self.kind} {name!r} is already registered; choose another name")
        self._parts[name] = part
        return part

    def get(self, name: str) -> T:
        """Look up `name`; if there is none, UsageError with the closest name and the whole list."""
        if name in self._parts:
            return self._parts[name]
        points = self._points()
        if name not in points:
            raise unknown(self.kind, name, [*self._parts, *points])
        if name not in self._plugged:
            self._plugged[name] = self._loaded(points[name])
        return self._plugged[name]

    def names(self) -> list[str]:
        return [*self._parts, *self._points()]

    def __contains__(self, name: object) -> bool:
        return name in self._parts or name in self._points()

    def __iter__(self) -> Iterator[T]:
        return map(self.get, self.names())

    def _points(self) -> dict[str, "EntryPoint"]:
        """Entry points by name, none of them imported; UsageError if one takes a name that is taken."""
        if self.group is None:
            return {}
        from importlib.metadata import entry_points

        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            what = f"plug-in {self.kind} {point.name!r}"
            if not _NAME.fullmatch(point.name):
                raise UsageError(f"{what}: a name may hold a-z 0-9 _ . - only")
            if point.name in self._parts:
                raise UsageError(f"{what} ({point.value}) takes the name of a built-in {self.kind}")
            if found.setdefault(point.name, point).value != point.value:
                raise UsageError(f"two plug-ins bring a {self.kind} {point.name!r}: one is {point.value}")
        return found

    def _loaded(self, point: "EntryPoint") -> T:
        what = f"plug-in {self.kind} {point.name!r} ({point.value})"
        try:
            part: Any = point.load()
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way
            raise UsageError(f"{what} cannot be imported: {one_line(error)}") from error
        if isinstance(part, type) or getattr(part, "name", None) != point.name:
            found = "a class" if isinstance(part, type) else f"{type(part).__name__} {getattr(part, 'name', '')!r}"
            raise UsageError(f"{what} must be an object whose name is {point.name!r}, got {found}")
        return cast(T, part)
