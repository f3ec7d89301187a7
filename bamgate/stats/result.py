"""The result of every statistic: plain numbers, or a code that says why there are none."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from bamgate.stats.status import NOT_FINITE, OK

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of all results. A missing number is None, never NaN or infinite.

    Attributes:
        status: "ok", or a code that says why numbers are missing (bamgate.stats.status).
        about: the names or numbers to which the code refers.
        call: the library call or rule that gives the numbers.
    """

    status: str = OK
    about: tuple[str | int, ...] = ()
    call: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Replace a number that is not finite by None, and name it in the status."""
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
    """What a library call returns, and the first line of each warning that it gave. The warnings go no further."""
    with warnings.catch_warnings(record=True) as caught:
        # By default Python shows a repeated warning once per line of code: a second fit would seem to have none.
        warnings.simplefilter("always")
        value = call()
    return value, [f"{warning.message}\n".strip().partition("\n")[0] for warning in caught]
