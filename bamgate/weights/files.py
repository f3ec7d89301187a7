"""Weights as files: safetensors that say what they belong to, and torch's own, read without running code."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bamgate import __version__
from bamgate.errors import DataError, one_line
from bamgate.gate_names import is_code
from bamgate.gates import path_from, places_of
from bamgate.storage import write_atomic
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
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} is no whole safetensors file ({one_line(error)})") from None
    return _network(metadata, path), state


def _network(metadata: Mapping[str, str], path: Path) -> Network:
    if METADATA not in metadata:
        raise DataError(f"{path} does not say what network it belongs to: bamgate convert did not write it")
    try:
        about = json.loads(metadata[METADATA])
    except ValueError as error:
        raise DataError(f"{path} has damaged metadata: {error}") from None
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{path} is damaged (its sha256 is not the one that was saved)")
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles fail in any way
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, no weights by name")
    return content


def _unreadable(path: Path, error: Exception) -> DataError:
    if "GLOBAL" in str(error):
        return DataError(
            f"{path} holds objects that would run code of their own when they are read; if you trust it, load it "
            "yourself, torch.load(..., weights_only=False), and save its 'state_dict' alone"
        )
    return DataError(f"{path} is no whole checkpoint ({one_line(error)})")
