"""Weights as files: safetensors with a description of the network, and torch's format, read without running code."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bamgate._version import __version__
from bamgate.config.gate_names import is_code
from bamgate.errors import DataError, one_line
from bamgate.gates import path_from, places_of
from bamgate.record.storage import write_atomic
from bamgate.weights.kinds import is_safetensors, kind_of
from bamgate.weights.network import Network

METADATA, FORMAT = "bamgate", 1


def write_safetensors(path: Path, network: Network, state: Mapping[str, Tensor]) -> None:
    """Write weights, with the network's description in the metadata. Equal content gives equal bytes."""
    about = {"format": FORMAT, "version": __version__, "network": network.to_dict(), **_code_location(network, path)}
    # One entry that holds everything: safetensors writes several entries in no fixed order.
    metadata = {METADATA: json.dumps(about, sort_keys=True)}
    write_atomic(path, save(plain(state), metadata))


def _code_location(network: Network, path: Path) -> dict[str, Any]:
    """Where the code of the gate is, relative to the file; empty for a gate that is not code."""
    there = [place for place in network.gate_places if place.exists()]
    return {"gate": {"location": path_from(there[0], path.parent)}} if there and is_code(network.attention.gate) else {}


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU, sorted by name."""
    return {
        # A new text for each name. torch interns some, and pickle writes equal texts that are one object as a
        # reference, so the bytes of a file would depend on who made the names.
        "".join(list(name)): state[name].detach().cpu().clone(memory_format=torch.contiguous_format)
        for name in sorted(state)
    }


def read_safetensors(path: Path) -> tuple[Network, dict[str, Tensor]]:
    """Read what `write_safetensors` wrote; DataError if the file is damaged or was written by another program."""
    data = _bytes(path)
    try:
        state = load(data)
        # The format: 8 bytes with the length of the header, then the header as JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not an intact safetensors file: {_what_it_is(data, error)}") from None
    network = _network(header.get("__metadata__") or {}, path)
    _require_widths(network, state, path)
    return network, state


def _require_widths(network: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """DataError if the description needs wider tensors than there are, before memory is allocated for the network."""
    widest = max((max(tensor.shape, default=1) for tensor in state.values()), default=0)
    for name in ("num_classes", "in_channels"):
        if getattr(network, name) > widest:
            raise DataError(f"{path}: {name} is {getattr(network, name)}, but no tensor in the file is as wide")


def _what_it_is(data: bytes, error: Exception) -> str:
    """What the file is instead; if that is unknown, the reader's own message."""
    kind = kind_of(data) if not is_safetensors(data) else None
    if kind is None and data.startswith(b"PK\x03\x04"):
        kind = "a checkpoint of torch; give it a name that ends in .pth"
    return f"it is {kind}" if kind else one_line(error)


def _bytes(path: Path) -> bytes:
    """The content of a file. It is read, not mapped: if the disk fails, a mapped file kills the process (SIGBUS)."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _network(metadata: Mapping[str, str], path: Path) -> Network:
    if METADATA not in metadata:
        raise DataError(f"{path} does not say to which network it belongs: bamgate convert did not write it")
    try:
        about = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} has damaged metadata: {one_line(error)}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else None
        raise DataError(f"{path} has format {found}, this bamgate reads format {FORMAT}")
    network = Network.from_dict(about.get("network"), str(path))
    gate = about.get("gate")
    record = {**(gate if isinstance(gate, dict) else {}), "name": network.attention.gate}
    return replace(network, gate_places=tuple(places_of(record, path.parent)))


def read_torch(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """The dictionary that torch.save wrote, with tensors and plain types only.

    Raises:
        DataError: the sha256 differs, the file is damaged or of another kind, or reading it would run its own code.
    """
    data = _bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path} is damaged (its sha256 is not the one that was saved)")
    try:
        # weights_only: an ordinary pickle may execute any code when it is read.
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        raise _unreadable(path, data, error) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, not weights by name")
    return content


_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def _unreadable(path: Path, data: bytes, error: Exception) -> DataError:
    """An error with a message of our own: torch's message suggests to read such a file with weights_only=False."""
    kind, found = kind_of(data), _GLOBAL.search(str(error))
    if kind is None and found is not None:
        return DataError(
            f"{path} contains objects that would run their own code when they are read ({found[1]}); save the weights "
            "alone, with the program that wrote it: torch.save(model.state_dict(), NEW)"
        )
    reason = f"it is {kind}" if kind else "torch.save did not write it, or it is damaged"
    return DataError(f"{path} is not an intact checkpoint: {reason}")
