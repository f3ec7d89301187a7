"""What every statistic returns: plain numbers, or a code that says why there are none."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from bamgate.stats.status import NOT_FINITE, OK

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of all results; a number that there is not is None, never NaN or infinite.

    Attributes:
        status: "ok", or the code of why numbers are missing (bamgate.stats.status).
        about: the names or numbers that the code is about.
        call: the library call or rule that the numbers come from.
    """

    status: str = OK
    about: tuple[str | int, ...] = ()
    call: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """A number that did not come out is withheld and named."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, float) and not math.isfinite(value):
                object.__setattr__(self, item.name, None)
                if self.status == OK:
                    object.__setattr__(self, "status", NOT_FINITE)
                    object.__setattr__(self, "about", (item.name,))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain types, nested results too: numbers, names and codes."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def listen(call: Callable[[], T]) -> tuple[T, list[str]]:
    """What a library call returns, and the first line of each warning it gave; none of them gets out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call()
    return value, [f"{warning.message}\n".strip().partition("\n")[0] for warning in caught]
