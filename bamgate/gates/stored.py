"""Load a gate that a file names: a built-in, a formula or a plug-in; code only if the user allows it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bamgate.config.gate_names import code_refusal, is_code, split_code
from bamgate.errors import UsageError
from bamgate.gates.code import Code, find_code
from bamgate.gates.gate import Gate
from bamgate.gates.load import gate_of, load_gate


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a file says about a gate.

    Args:
        source: the file, for messages.
        name: name of the gate.
        sha256: of the code's source; None if the file does not hold it.
        places: where the code may be: its file, or the folder of its module; the first one that has it counts.
        other_way: what the user can do instead of passing --allow-code.
    """

    source: str
    name: str
    sha256: str | None = None
    places: Sequence[Path] = ()
    other_way: str = "name the code yourself: --gate FILE.py:NAME (in Python, gate=)"


def stored_gate(stored: Stored, *, allow_code: bool) -> Gate:
    """The gate that a file names.

    Code is compared with the stored sha256 before any of it is executed.

    Raises:
        UsageError: the name is unknown; or it is code that is not allowed, not found, or has changed.
    """
    if not is_code(stored.name):
        return load_gate(stored.name)
    if not allow_code:
        raise code_refusal(stored.source, stored.name, stored.other_way, _first_there(stored))
    code = _found(stored)
    if stored.sha256 is None:
        raise UsageError(
            f"{stored.source}: gate {stored.name!r} is code, and the sha256 of its source is not stored, so none of it "
            f"was run; {stored.other_way}"
        )
    if code.sha256 != stored.sha256:
        raise UsageError(
            f"{stored.source}: gate {stored.name!r} has changed: the sha256 of "
            f"{str(code.origin or code.main)!r} is not the stored one, and none of it was run; restore the file, "
            f"or {stored.other_way}"
        )
    return gate_of(code)


def named_gate(name: str) -> Gate:
    """The gate of that name; UsageError if it is code: to use code from Python, pass the gate itself."""
    if is_code(name):
        raise UsageError(f"gate {name!r} is code, and none of it was run; pass the gate itself: load_gate({name!r})")
    return load_gate(name)


def gate_location(gate: Gate, folder: Path) -> dict[str, str]:
    """Where the code of a gate is, as it is stored: {"location": path relative to `folder`}; empty for other gates."""
    return {} if gate.origin is None else {"location": path_from(gate.origin, folder)}


def path_from(path: Path, folder: Path) -> str:
    """The path relative to `folder`, as a file of that folder stores it, so that both can be moved together."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # on Windows there is no relative path to another drive
        return str(path)


def places_of(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Where the code of a gate may be: where the record, in a file of `folder`, says, and in `folder` itself."""
    location = record.get("location")
    recorded = [Path(os.path.normpath(folder.resolve() / location))] if isinstance(location, str) else []
    name = record.get("name")
    beside = split_code(name).place if isinstance(name, str) and is_code(name) and ".py:" in name else ""
    return [*recorded, folder / Path(beside).name]


def _found(stored: Stored) -> Code:
    """The code with the stored sha256, at any of the places; otherwise the code at the first place that has some."""
    found = [code for place in stored.places if (code := _at(stored.name, place)) is not None]
    if found:
        return next((code for code in found if code.sha256 == stored.sha256), found[0])
    if not split_code(stored.name).is_file:
        return find_code(stored.name)
    looked = " nor ".join(dict.fromkeys(str(place.absolute()) for place in stored.places)) or "anywhere"
    raise UsageError(
        f"{stored.source}: the code of gate {stored.name!r} is not at {looked}; restore it, or {stored.other_way}"
    )


def _at(name: str, place: Path) -> Code | None:
    parts = split_code(name)
    if not parts.is_file:
        code = find_code(name, place)
        return code if code.origin is not None else None
    return find_code(f"{place.absolute()}:{parts.attribute}") if place.is_file() else None


def _first_there(stored: Stored) -> Path | None:
    if not split_code(stored.name).is_file:
        return None
    return next((place.absolute() for place in stored.places if place.is_file()), None)
