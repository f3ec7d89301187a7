"""What is computed here is typed; stats.json holds it as plain types."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bamgate.stats import Result


class Typed:
    """Base of the frozen dataclasses of this folder: numbers, names and codes."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types only; the key of a field is its name."""
        return {name: plain(value) for name, value in parts(self).items()}


def parts(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by their names."""
    return {item.name: getattr(value, item.name) for item in fields(value)}


def plain(value: Any) -> Any:
    """Dictionaries, lists, texts, numbers and None."""
    if isinstance(value, Result | Typed):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(part) for name, part in parts(value).items()}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value
