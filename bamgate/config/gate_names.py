"""The names that gates go by: which of them lead to code, and what is said where that is refused."""

import os
from pathlib import Path
from typing import NamedTuple

from bamgate.errors import UsageError, printable


class CodeName(NamedTuple):
    """`file.py:attr` or `pkg.mod:attr`, taken apart.

    Args:
        place: path of the file, or name of the module.
    """

    place: str
    attribute: str
    is_file: bool


def is_code(spec: str) -> bool:
    """Whether a gate's name leads to code that would be run: neither a built-in, a formula nor a plug-in."""
    spec = spec.strip()
    return not spec.startswith("expr:") and (":" in spec or spec.endswith(".py"))


def split_code(spec: str) -> CodeName:
    """The parts of a name that `is_code`; UsageError for a file without the name of something in it."""
    spec = spec.strip()
    if spec.endswith(".py"):
        raise UsageError(f"gate {spec!r}: name the function or class in it, as in {spec}:NAME")
    if ".py:" in spec:
        place, _, attribute = spec.rpartition(":")
        return CodeName(place, attribute, True)
    place, _, attribute = spec.partition(":")
    return CodeName(place, attribute, False)


def short_name(spec: str) -> str:
    """How records name it. There is no folder in it: the same file elsewhere is the same gate."""
    parts = split_code(spec)
    return f"{Path(parts.place).name}:{parts.attribute}" if parts.is_file else spec.strip()


def beside(spec: str, folder: Path) -> str:
    """A name in a file of `folder` as it is elsewhere: the path of a gate's file leads from there."""
    if not is_code(spec) or ".py:" not in spec:
        return spec
    parts = split_code(spec)
    return f"{os.path.join(folder.absolute(), parts.place)}:{parts.attribute}"


def refuse_unprintable(what: str, text: str) -> None:
    """UsageError for control characters: they would drive the terminal of whoever reads the record."""
    if printable(text) != text:
        raise UsageError(f"{what} {text!r} has control characters or line breaks in it; leave them out")


def code_refusal(source: object, spec: str, other_way: str, where: object = None) -> UsageError:
    """The error for a gate that a file names, and that would be run.

    Args:
        source: the file.
        other_way: what can be done besides saying --allow-code.
        where: path of the code, if it is known.
    """
    lies = f" ({where})" if where else ""
    return UsageError(
        f"{source}: gate {spec!r} is code{lies}, and nothing of it was run; say --allow-code if you trust it, "
        f"or {other_way}"
    )
