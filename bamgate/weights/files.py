"""Weights as files: safetensors that say what they belong to, and torch's own, read without running code."""

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
    """The weights with the network's description in the metadata; the same content is the same bytes."""
    about = {"format": FORMAT, "version": __version__, "network": network.to_dict(), **_code_location(network, path)}
    # One entry: safetensors keeps several in no fixed order.
    metadata = {METADATA: json.dumps(about, sort_keys=True)}
    write_atomic(path, save(plain(state), metadata))


def _code_location(network: Network, path: Path) -> dict[str, Any]:
    """Where the code of the gate is, seen from the file; empty for a gate that is not code."""
    there = [place for place in network.gate_places if place.exists()]
    return {"gate": {"location": path_from(there[0], path.parent)}} if there and is_code(network.attention.gate) else {}


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU in the plain memory layout, sorted by name."""
    return {
        "".join(list(name)): state[name].detach().cpu().clone(memory_format=torch.contiguous_format)
        for name in sorted(state)
    }


def read_safetensors(path: Path) -> tuple[Network, dict[str, Tensor]]:
    """What `write_safetensors` wrote; DataError where it is damaged or came from elsewhere."""
    data = _bytes(path)
    try:
        state = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no whole safetensors file: {_told(data, error)}") from None
    network = _network(header.get("__metadata__") or {}, path)
    _require_widths(network, state, path)
    return network, state


def _require_widths(network: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Before memory is asked for: a network of its widths has tensors that are as wide."""
    widest = max((max(tensor.shape, default=1) for tensor in state.values()), default=0)
    for name in ("num_classes", "in_channels"):
        if getattr(network, name) > widest:
            raise DataError(f"{path}: {name} is {getattr(network, name)}, and no tensor beside it is as wide")


def _told(data: bytes, error: Exception) -> str:
    """What the file is instead, or the reader's own words."""
    kind = kind_of(data) if not is_safetensors(data) else None
    if kind is None and data.startswith(b"PK\x03\x04"):
        kind = "a checkpoint of torch; give it a name that ends in .pth"
    return f"it is {kind}" if kind else one_line(error)


def _bytes(path: Path) -> bytes:
    """Read here, not mapped: a disk that fails while it is read is an error, not the end of the process."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _network(metadata: Mapping[str, str], path: Path) -> Network:
    if METADATA not in metadata:
        raise DataError(f"{path} does not say what network it belongs to: bamgate convert did not write it")
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
    """The dictionary that torch.save wrote: tensors and plain types only.

    Raises:
        DataError: the hash is another one, the file is damaged or no such file, or it wants code of its own to run.
    """
    data = _bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path} is damaged (its sha256 is not the one that was saved)")
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles fail in any way
        raise _unreadable(path, data, error) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, no weights by name")
    return content


_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def _unreadable(path: Path, data: bytes, error: Exception) -> DataError:
    """In words of ours: torch's own propose to read such a file without its guard."""
    kind, found = kind_of(data), _GLOBAL.search(str(error))
    if kind is None and found is not None:
        return DataError(
            f"{path} holds objects that would run code of their own when they are read ({found[1]}); where it was "
            "made, save the weights alone: torch.save(model.state_dict(), NEW)"
        )
    said = f"it is {kind}" if kind else "torch.save did not write it, or it is damaged"
    return DataError(f"{path} is no whole checkpoint: {said}")
