"""Gate names: which of them refer to code, how such a name is split, and the error if the code is not allowed."""

import os
from pathlib import Path
from typing import NamedTuple

from bamgate.errors import UsageError, printable


class CodeName(NamedTuple):
    """`file.py:attr` or `pkg.mod:attr`, split.

    Args:
        place: path of the file, or name of the module.
    """

    place: str
    attribute: str
    is_file: bool


def is_code(spec: str) -> bool:
    """Whether a gate's name refers to code that would be run, rather than to a built-in, a formula or a plug-in."""
    spec = spec.strip()
    # The prefix of a formula has a colon too. "x.py" alone counts as code, so that `split_code` can say what is
    # missing.
    return not spec.startswith("expr:") and (":" in spec or spec.endswith(".py"))


def split_code(spec: str) -> CodeName:
    """Split a name for which `is_code` holds.

    Raises:
        UsageError: the name gives a file, but no function or class in it.
    """
    spec = spec.strip()
    if spec.endswith(".py"):
        raise UsageError(f"gate {spec!r}: name the function or class in it, as in {spec}:NAME")
    if ".py:" in spec:
        # From the right: on Windows a path has a colon of its own (C:\gates.py:attr).
        place, _, attribute = spec.rpartition(":")
        return CodeName(place, attribute, True)
    place, _, attribute = spec.partition(":")
    return CodeName(place, attribute, False)


def short_name(spec: str) -> str:
    """The gate's name in records. It has no folder, so that the same file in another place is the same gate."""
    parts = split_code(spec)
    return f"{Path(parts.place).name}:{parts.attribute}" if parts.is_file else spec.strip()


def beside(spec: str, folder: Path) -> str:
    """Make the path in a gate's name absolute; it was written in a file of `folder` and is relative to that folder."""
    if not is_code(spec) or ".py:" not in spec:
        return spec
    parts = split_code(spec)
    return f"{os.path.join(folder.absolute(), parts.place)}:{parts.attribute}"


def refuse_unprintable(what: str, text: str) -> None:
    """UsageError for control characters: they would control the terminal on which the record is read later."""
    if printable(text) != text:
        raise UsageError(f"{what} {text!r} contains control characters or line breaks; remove them")


def code_refusal(source: object, spec: str, other_way: str, where: object = None) -> UsageError:
    """The error if a file names a gate that is code, which would be run.

    Args:
        source: the file.
        other_way: what the user can do instead of passing --allow-code.
        where: path of the code, if it is known.
    """
    location = f" ({where})" if where else ""
    return UsageError(
        f"{source}: gate {spec!r} is code{location}, and none of it was run; pass --allow-code if you trust it, "
        f"or {other_way}"
    )
