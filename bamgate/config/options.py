"""Fields that describe and check themselves: the only source for configuration files, options and help."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from bamgate.config.gate_names import refuse_unprintable
from bamgate.errors import UsageError, nearest

KEY = "option"
LARGEST = 2**53  # of whole numbers: up to here a reader of JSON that turns them into doubles loses nothing


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a configuration field may hold, and how the command line describes it.

    Args:
        help: text of the option.
        choices: allowed texts; empty if any is allowed.
        low, high: range of a number, both inclusive; None if it has no bound on that side.
        above_low: `low` itself is not allowed.
        label: the name in messages, if it is not that of the field.
    """

    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above_low: bool = False
    label: str = ""


def option(default: Any, help: str, **limits: Any) -> Any:
    """A dataclass field with its help text, choices or range. A default of None is filled in from the other fields."""
    return field(default=default, metadata={KEY: Option(help=help, **limits)})


def options_of(config_type: type) -> Iterator[tuple[str, type, Any, Option]]:
    """(name, plain type, default, option) of each field that was declared by `option`."""
    yield from _options_of(config_type)


# Cached: evaluating type hints is slow, and every RunConfig checks itself. A study of 10,000 cells makes as many.
@functools.cache
def _options_of(config_type: type) -> list[tuple[str, type, Any, Option]]:
    hints = get_type_hints(config_type)
    own = [item for item in fields(config_type) if KEY in item.metadata]
    return [(item.name, _plain_type(hints[item.name]), item.default, item.metadata[KEY]) for item in own]


def _plain_type(hint: Any) -> Any:
    """The type behind `T | None`; `tuple` for any tuple."""
    if get_origin(hint) in (Union, UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    return get_origin(hint) or hint


def check_fields(config: Any) -> None:
    """Check type, choices and range of every field of a frozen dataclass, and bring values into their normal form.

    Raises:
        UsageError: names the field, the value, what is allowed and the nearest choice.
    """
    for name, kind, default, rule in options_of(type(config)):
        value = normal(getattr(config, name), kind)
        # The dataclass is frozen, but only for its users: this is part of making it.
        object.__setattr__(config, name, value)
        if value is not None or default is not None:
            check_value(rule.label or name, value, kind, rule)


def normal(value: Any, kind: type) -> Any:
    """A value in the form in which it is hashed: whole numbers as floats in a field of floats, lists as tuples.

    So `lr = 1` and `lr = 1.0` are one cell. A value of the wrong type is returned as it is, for `check_value` to
    refuse.
    """
    if kind is tuple and isinstance(value, list | tuple):
        return tuple(normal(number, float) for number in value)
    # `type(value) is int`, since True is an int too. Beyond 2^53 two whole numbers could become one float.
    if kind is float and type(value) is int and abs(value) < 1 << 53:
        return float(value)
    return value


def check_value(name: str, value: Any, kind: type, rule: Option) -> None:
    """UsageError unless `value`, in its normal form, has the type `kind` and obeys the rule."""
    if type(value) is not kind:
        raise UsageError(f"{name} must be {_noun(kind)}, got {_shortened(value)}")
    if rule.choices and value not in rule.choices:
        hint = nearest(str(value), rule.choices)
        raise UsageError(f"unknown {name} {value!r}{hint} (allowed: {', '.join(rule.choices)})")
    if isinstance(value, str):
        refuse_unprintable(name, value)
    numbers: Any = value if kind is tuple else (value,)
    for number in numbers:
        if kind is tuple and type(number) is not float:
            raise UsageError(f"{name} must be {_noun(kind)}, got {value!r}")
        if type(number) in (int, float):
            _check_range(name, number, rule)


def _check_range(name: str, number: float, rule: Option) -> None:
    too_low = rule.low is not None and (number <= rule.low if rule.above_low else number < rule.low)
    too_high = rule.high is not None and number > rule.high
    too_large = type(number) is int and abs(number) > LARGEST
    # NaN passes every comparison above, so it needs a test of its own.
    if too_low or too_high or too_large or not math.isfinite(number):
        raise UsageError(f"{name} must be {_range_text(rule, number)}, got {_shortened(number)}")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]}... ({len(text):,} characters)"


def _range_text(rule: Option, number: float) -> str:
    if rule.high is None and type(number) is int and number > LARGEST:
        rule = replace(rule, high=LARGEST)
    parts = []
    if rule.low is not None:
        parts.append(f"{'above' if rule.above_low else 'at least'} {_number(rule.low)}")
    if rule.high is not None:
        parts.append(f"at most {_number(rule.high)}")
    return " and ".join(parts) or "a finite number"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and value < 1e16 else f"{value:.8g}"


def _noun(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", tuple: "a list of numbers"}
    return names[kind]
