"""What a field of a CSV file may hold, for every reader alike: what bamgate writes, or plainly the same.

Python and pandas each read more than that, and not the same: "1_000", " 7 ", "1e3" or digits of another script.
"""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

Columns = Mapping[str, type]

SCALE_EDGES = tuple(step / 20 for step in range(41))  # of the histogram of s; below 0 and from 2 on are bins too
LARGEST = {"seed": 2**31 - 1}  # of whole numbers; of the others 2^63 - 1, which every reader of a CSV file can hold
NEVER_NEGATIVE = frozenset(
    {"lr", "images_per_s", "wall_s", "sd", "logit_sd", "channel_sd", "spatial_sd"}
    | {"gradient_attention", "gradient_trunk", "mean_se", "attenuated_se"}
)
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|(?i:nan|inf))"
_DECIMAL = re.compile(rf"-?{_NUMBER}")
_PLAIN_NAME = r'[^;=,"\r\0]'
_TEXTS = {  # column -> what its text looks like, and what that is
    "histogram": (re.compile(rf"(?:[0-9]+ ){{{len(SCALE_EDGES)}}}[0-9]+"), f"{len(SCALE_EDGES) + 1} counts"),
    "metric_better": (re.compile("higher|lower"), "higher or lower"),
    "learned": (re.compile(rf"[^;=]+=-?{_NUMBER}(?:;[^;=]+=-?{_NUMBER})*"), "a list of NAME=NUMBER"),
}


def value(name: str, kind: type, text: str) -> Any:
    """What a field says, None where it is empty; ValueError that says what it is not."""
    if text == "":
        return None
    return _READERS[kind](name, text)


def _whole(name: str, text: str) -> int:
    if re.fullmatch(r"-[0-9]+", text):
        raise ValueError("is negative")
    if not re.fullmatch(r"0|[1-9][0-9]*", text):
        raise ValueError("is not a whole number")
    largest = LARGEST.get(name, 2**63 - 1)
    if len(text) > 19 or int(text) > largest:
        raise ValueError(f"is too large (at most {largest})")
    return int(text)


def _decimal(name: str, text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        has_comma = re.fullmatch(r"-?[0-9]+,[0-9]+", text)
        hint = f" (decimal comma? write {text.replace(',', '.')})" if has_comma else ""
        raise ValueError(f"is not a number{hint}")
    number = float(text)
    if math.isinf(number) and text[-1] not in "fF":
        raise ValueError("is too large")
    if number < 0 and name in NEVER_NEGATIVE:
        raise ValueError("is negative")
    return number


def _text(name: str, text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character in it")
    pattern, what = _TEXTS.get(name, (None, ""))
    if pattern is not None and not pattern.fullmatch(text):
        raise ValueError(f"is not {what}")
    return text


_READERS: Mapping[type, Any] = {int: _whole, float: _decimal, str: _text}


def regular(columns: Columns, text: str, newest: int) -> bool:
    """Whether `value` certainly takes every field of a CSV text, header first; where not, somebody must look closer.

    Args:
        newest: the highest version that the column "schema" may hold.

    A tenth of the time of a look at each field.
    """
    lines = text.split("\n")
    fits = _row(tuple(columns.items()), newest).fullmatch
    return lines[0] == ",".join(columns) and lines.pop() == "" and all(map(fits, lines[1:]))


@functools.lru_cache
def _row(columns: tuple[tuple[str, type], ...], newest: int) -> "re.Pattern[str]":
    """A row on a line of its own. No number here is so long that it could be too large."""
    return re.compile(",".join(_field(name, kind, newest) for name, kind in columns))


def _field(name: str, kind: type, newest: int) -> str:
    if name == "schema":
        return f"(?:{'|'.join(map(str, range(1, newest + 1)))})"
    if name in _TEXTS:
        return f"(?:{_TEXTS[name][0].pattern.replace('[^;=]', _PLAIN_NAME)})?"
    if kind is str:
        return r'(?:[^",\r\0]*|"(?:[^"\r\0]|"")*")'
    if kind is int:
        return f"(?:0|[1-9][0-9]{{0,{8 if name in LARGEST else 17}}})?"
    sign = "" if name in NEVER_NEGATIVE else "-?"
    return rf"(?:{sign}[0-9]{{1,20}}(?:\.[0-9]{{1,30}})?(?:e(?:\+?[0-9]{{1,2}}|-[0-9]{{1,3}}))?|{sign}inf|nan)?"
