"""Fields that describe and check themselves: the one source for configuration files, options and help."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from bamgate.errors import UsageError, nearest

KEY = "option"


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a configuration field may hold, and how the command line speaks of it."""

    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above_low: bool = False


def option(default: Any, help: str, **limits: Any) -> Any:
    """A dataclass field with its help text, its choices or its range. None: filled in from the other fields."""
    return field(default=default, metadata={KEY: Option(help=help, **limits)})


def options_of(config_type: type) -> Iterator[tuple[str, type, Any, Option]]:
    """(name, plain type, default, option) of each field that was declared by `option`."""
    hints = get_type_hints(config_type)
    for item in fields(config_type):
        if KEY in item.metadata:
            yield item.name, _plain_type(hints[item.name]), item.default, item.metadata[KEY]


def _plain_type(hint: Any) -> Any:
    """The type behind `T | None`; `tuple` for any tuple."""
    if get_origin(hint) in (Union, UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    return get_origin(hint) or hint


def check_fields(config: Any) -> None:
    """Check type, choices and range of every field of a frozen dataclass; whole numbers become floats.

    Raises UsageError that names the field, the value, what is allowed and the nearest choice.
    """
    for name, kind, _, rule in options_of(type(config)):
        value = getattr(config, name)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
            object.__setattr__(config, name, value)
        if value is not None:
            _check_value(name, value, kind, rule)


def _check_value(name: str, value: Any, kind: type, rule: Option) -> None:
    if type(value) is not kind:
        raise UsageError(f"{name} must be {_noun(kind)}, got {value!r}")
    if rule.choices and value not in rule.choices:
        hint = nearest(str(value), rule.choices)
        raise UsageError(f"unknown {name} {value!r}{hint} (allowed: {', '.join(rule.choices)})")
    numbers: Any = value if kind is tuple else (value,)
    for number in numbers:
        if kind is tuple and type(number) is not int:
            raise UsageError(f"{name} must be whole numbers, got {number!r}")
        if isinstance(number, int | float) and not isinstance(number, bool):
            _check_range(name, number, rule)


def _check_range(name: str, number: float, rule: Option) -> None:
    too_low = rule.low is not None and (number <= rule.low if rule.above_low else number < rule.low)
    too_high = rule.high is not None and number > rule.high
    if too_low or too_high or not math.isfinite(number):
        raise UsageError(f"{name} must be {_range_text(rule)}, got {number!r}")


def _range_text(rule: Option) -> str:
    parts = []
    if rule.low is not None:
        parts.append(f"{'above' if rule.above_low else 'at least'} {rule.low:g}")
    if rule.high is not None:
        parts.append(f"at most {rule.high:g}")
    return " and ".join(parts) or "a finite number"


def _noun(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", tuple: "a list of numbers"}
    return names[kind]
