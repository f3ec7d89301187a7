"""A gate that a file names: a built-in, a formula or a plug-in; code only if whoever reads the file allows it."""

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
    """What a file says of a gate.

    Args:
        source: the file, for messages.
        name: the gate's.
        sha256: of the code's source; None where the file does not hold it.
        places: where the code may be: its file, or the folder that its module lies in; the first that holds it counts.
        other_way: what can be done besides saying --allow-code.
    """

    source: str
    name: str
    sha256: str | None = None
    places: Sequence[Path] = ()
    other_way: str = "name the code yourself: --gate FILE.py:NAME (in Python, gate=)"


def stored_gate(stored: Stored, *, allow_code: bool) -> Gate:
    """The gate that a file names.

    Code is compared with the sha256 that the file holds before any of it is executed.

    Raises:
        UsageError: the name is unknown; or it is code, and that is not allowed, not found, or has changed.
    """
    if not is_code(stored.name):
        return load_gate(stored.name)
    if not allow_code:
        raise code_refusal(stored.source, stored.name, stored.other_way, _first_there(stored))
    code = _found(stored)
    if stored.sha256 is None:
        raise UsageError(
            f"{stored.source}: gate {stored.name!r} is code, and the sha256 of its source is not stored, so nothing of "
            f"it was run; {stored.other_way}"
        )
    if code.sha256 != stored.sha256:
        raise UsageError(
            f"{stored.source}: gate {stored.name!r} is not the code that it was: the sha256 of "
            f"{str(code.origin or code.main)!r} is another one, and nothing of it was run; put it back as it was, "
            f"or {stored.other_way}"
        )
    return gate_of(code)


def named_gate(name: str) -> Gate:
    """The gate of that name; UsageError where it is code: whoever wants that passes the gate."""
    if is_code(name):
        raise UsageError(f"gate {name!r} is code, and nothing of it was run; pass the gate itself: load_gate({name!r})")
    return load_gate(name)


def gate_location(gate: Gate, folder: Path) -> dict[str, str]:
    """Where the code of a gate is, as it is stored: {"location": path from `folder`}; empty for all others."""
    return {} if gate.origin is None else {"location": path_from(gate.origin, folder)}


def path_from(path: Path, folder: Path) -> str:
    """The path as it is stored in a file of `folder`: it is found again where both are moved together."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(path)


def places_of(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Where the code of a gate may be: where the record in a file of `folder` says, and in that folder itself."""
    location = record.get("location")
    recorded = [Path(os.path.normpath(folder.resolve() / location))] if isinstance(location, str) else []
    name = record.get("name")
    beside = split_code(name).place if isinstance(name, str) and is_code(name) and ".py:" in name else ""
    return [*recorded, folder / Path(beside).name]


def _found(stored: Stored) -> Code:
    """The code as it was, at whatever place; otherwise that at the first place which holds some."""
    found = [code for place in stored.places if (code := _at(stored.name, place)) is not None]
    if found:
        return next((code for code in found if code.sha256 == stored.sha256), found[0])
    if not split_code(stored.name).is_file:
        return find_code(stored.name)
    looked = " nor ".join(dict.fromkeys(str(place.absolute()) for place in stored.places)) or "anywhere"
    raise UsageError(
        f"{stored.source}: the code of gate {stored.name!r} is not at {looked}; put it back, or {stored.other_way}"
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
