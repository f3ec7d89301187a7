"""The one place where numbers become texts: points with a sign, p never zero, a real minus, a dash for none."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MINUS = "−"
NBSP = "\u00a0"
NONE = "–"
POINTS = "points"  # of percentages
_SMALLEST_P = 0.0001


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; one that rounds to zero has no sign."""
    if value is None:
        return NONE
    text = f"{abs(value):.{digits}f}"
    return (MINUS if value < 0 and float(text) else "") + text


def points(value: float | None, digits: int = 2) -> str:
    """A difference in points, always with its sign unless it rounds to zero."""
    text = number(value, digits)
    return "+" + text if value is not None and value > 0 and float(text) else text


def points_of(value: float | None, *, exact: bool = False, digits: int = 2, unit: str = POINTS) -> str:
    """+0.29 points; exactly: with as many digits as it has, up to six."""
    if value is None:
        return NONE
    sign = "+" if value > 0 else MINUS if value < 0 else ""
    return with_unit(f"{sign}{abs(value):.6g}" if exact else points(value, digits), unit)


def significant(value: float, digits: int = 2) -> str:
    """0.29, 1.2, 31: so many digits that count, never as a power of ten."""
    if not value:
        return "0"
    return number(value, max(0, digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))))


def with_unit(text: str, unit: str) -> str:
    """A number with its unit; a pure number has none."""
    return f"{text}{NBSP}{unit}" if unit and text != NONE else text


def amount(value: float, unit: str = POINTS) -> str:
    """0.5 points, 1 point, 2 px: a margin or a size, with no more digits than it has."""
    return with_unit(f"{value:g}", "point" if unit == POINTS and value == 1 else unit)


def margin(rope: float, unit: str = POINTS) -> str:
    """±0.5 points: the range of differences too small to matter."""
    return f"±{amount(rope, unit)}"


def percent(value: float | None, digits: int = 2) -> str:
    """A number that is in percent already."""
    return NONE if value is None else f"{number(value, digits)}{NBSP}%"


def share(value: float | None, digits: int = 1) -> str:
    """A share of 1 in percent."""
    return NONE if value is None else percent(100 * value, digits)


def percent_bounded(value: float) -> str:
    """A chance in whole percent; never a 0 or 100 that is not one."""
    if 0 < value < 0.01:
        return f"under 1{NBSP}%"
    return f"over 99{NBSP}%" if 0.99 < value < 1 else share(value, 0)


def interval(low: float | None, high: float | None, *, signed: bool = True, digits: int = 2) -> str:
    """[low, high]; a dash where a limit is missing."""
    if low is None or high is None:
        return NONE
    write = points if signed else number
    return f"[{write(low, digits)}, {write(high, digits)}]"


def interval_words(result: Mapping[str, Any], digits: int = 2) -> str:
    """+0.16 to +0.43: the interval of a result, in a sentence."""
    if result["low"] is None or result["high"] is None:
        return NONE
    return f"{points(result['low'], digits)} to {points(result['high'], digits)}"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def p_cell(value: float | None) -> str:
    """A p-value for a column of them."""
    if value is None:
        return NONE
    return f"<{NBSP}{_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.4f}"


def p_value(value: float | None, name: str = "p") -> str:
    """p = 0.0039, or p < 0.0001."""
    if value is None:
        return f"no {name}"
    text = p_cell(value)
    return f"{name}{NBSP}{text}" if text.startswith("<") else f"{name}{NBSP}={NBSP}{text}"


def probability(value: float | None) -> str:
    """Three decimals; never a 0 or 1 that is not one."""
    if value is None:
        return NONE
    if 0 < value < 0.001:
        return f"<{NBSP}0.001"
    return f">{NBSP}0.999" if 0.999 < value < 1 else f"{value:.3f}"


def ratio(value: float | None) -> str:
    """A Bayes factor: three digits that count, bounds where it is huge or tiny."""
    if value is None:
        return NONE
    if value >= 10_000:
        return f">{NBSP}10{NBSP}000"
    if value < 0.001:
        return f"<{NBSP}0.001"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def count(n: int, one: str, many: str | None = None) -> str:
    """1 seed, 5 seeds."""
    return f"{n}{NBSP}{one if n == 1 else many or one + 's'}"


def whole(value: float | None) -> str:
    """A large whole number in groups of three."""
    return NONE if value is None else f"{round(value):,}".replace(",", NBSP)


def seeds(values: list[int]) -> str:
    """0–4, 7: runs of seeds as ranges."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs) or "none"


def seeds_text(ns: Iterable[float]) -> str:
    """5 seeds; 3 to 5 seeds; 1 seed."""
    counts = sorted({int(n) for n in ns})
    if not counts:
        return "no seeds"
    span = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    return f"{span} seed{'' if counts[-1] == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def ascii_signs(text: str) -> str:
    """For the terminal: a hyphen for the minus and plain spaces, so that what is copied can be computed with."""
    return text.replace(MINUS, "-").replace(NBSP, " ").replace(NONE, "-")
