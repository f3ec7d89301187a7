"""JSON files of a record. From version SEALED on, a file carries the hash of its own bytes: any change to it shows."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from bamgate.config import SCHEMA
from bamgate.errors import DataError
from bamgate.record.storage import require_file, write_atomic

SEALED = 2  # files of version SCHEMA carry no hash: bamgate wrote them before there was one


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that needs no hash of its own, because result.json lists it."""
    write_atomic(path, _text(content, sort_keys=True).encode())


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write `content` in its own order, as version SEALED, with the hash of the rest of the file as its last entry."""
    write_atomic(path, sealed_text(content).encode())


def sealed_text(content: dict[str, Any]) -> str:
    """What `write_sealed` writes."""
    whole = {**content, "schema": SEALED}
    return _text({**whole, "sha256": _digest(whole)})


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, without its hash; None if there is nothing by that name.

    Raises:
        DataError: the file cannot be read, has been changed since it was written, or has another version; or what is
            there is not a file.
    """
    if not os.path.lexists(path):
        return None
    require_file(path)
    try:
        data = path.read_bytes()
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{path} is damaged: {why}; put it right or move {path.parent} away") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    version = content.get("schema") if isinstance(content, dict) else None
    if version not in (SCHEMA, SEALED) or type(version) is not int:
        raise DataError(f"{path} has schema version {version}, this bamgate reads versions {SCHEMA} and {SEALED}")
    if version == SEALED or "sha256" in content:
        _require_seal(path, content, data)
    content.pop("sha256", None)
    return dict(content)


def is_sealed(content: dict[str, Any]) -> bool:
    """Whether what `read_json` returned came with a hash, which was right."""
    return content.get("schema") == SEALED


def _require_seal(path: Path, content: dict[str, Any], data: bytes) -> None:
    """DataError if a byte of the file is not as it was written."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    # The bytes are compared, not the values: a space more is a change too.
    if content.get("sha256") != _digest(rest) or _text(content).encode() != data:
        raise DataError(
            f"{path} is damaged: it is not as bamgate wrote it (its sha256 differs); "
            f"put it right or move {path.parent} away"
        )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(_text(content).encode()).hexdigest()


def _text(content: dict[str, Any], *, sort_keys: bool = False) -> str:
    return json.dumps(content, indent=2, sort_keys=sort_keys) + "\n"
