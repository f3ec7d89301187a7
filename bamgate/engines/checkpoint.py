"""Checkpoints: tensors and plain types, whole or not at all, checked by sha256, with one to fall back to."""

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from bamgate.engines.trainer import Position
from bamgate.record.storage import keep_as, remove, write_atomic

CURRENT, PREVIOUS, HASHES = "checkpoint.pt", "checkpoint.previous.pt", "checkpoint.sha256"

_FORMER = "checkpoint.new.pt"  # what earlier versions left if they were killed in a save


class CheckpointStore:
    """The checkpoints of one cell: the newest and the one before it.

    `checkpoint.sha256` lists the hashes of both and is written first, so a file whose hash it does not list
    is damaged, and at every moment at least one listed file is there once the first has been saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, tensors: dict[str, Tensor], position: Position) -> None:
        data = _encode(tensors, position)
        listed, current = self._hashes(), self._digest(CURRENT)
        held = [digest for digest in listed if digest in (current, self._digest(PREVIOUS))]
        self._write_hashes([*held, hashlib.sha256(data).hexdigest()])
        if current in held:
            keep_as(self.folder / CURRENT, self.folder / PREVIOUS)
        write_atomic(self.folder / CURRENT, data)

    def load(self) -> tuple[dict[str, Tensor], Position, str] | None:
        """(tensors, position, warning) of the newest whole checkpoint; None where there is none.

        The warning is empty, or says which file was damaged and what was done; the file is set aside as `.damaged`.
        """
        known, warning = self._hashes(), ""
        for name in (CURRENT, PREVIOUS):
            path = self.folder / name
            if not path.is_file():
                continue
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() in known:
                tensors, position = _decode(data)
                return tensors, position, warning and f"{warning}; going on from epoch {position.epoch}"
            warning = f"{path} is damaged (its sha256 is not the one that was saved)"
            keep_as(path, path.with_name(name + ".damaged"))
            remove(path)
        return ({}, Position(), f"{warning}; starting from the beginning") if warning else None

    def finish(self) -> str:
        """Keep only the last checkpoint, of a run that has ended; its sha256."""
        for stale in (PREVIOUS, CURRENT + ".damaged", PREVIOUS + ".damaged", _FORMER):
            remove(self.folder / stale)
        digest = self._digest(CURRENT)
        self._write_hashes([digest])
        return digest

    def _digest(self, name: str) -> str:
        path = self.folder / name
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def _hashes(self) -> list[str]:
        path = self.folder / HASHES
        return path.read_text(errors="replace").split() if path.is_file() else []

    def _write_hashes(self, digests: list[str]) -> None:
        write_atomic(self.folder / HASHES, "".join(f"{digest}\n" for digest in digests).encode())


def _encode(tensors: dict[str, Tensor], position: Position) -> bytes:
    """The same content gives the same bytes, whatever objects held it: fresh keys, plain layout, one JSON text."""
    content: dict[str, object] = {}
    for name, tensor in _on_cpu(tensors).items():
        content["".join(list(name))] = tensor
    # A time has no place in the final bytes; between two epochs none is running.
    plain = {name: value for name, value in asdict(position).items() if name != "seconds" or position.step}
    content["position"] = json.dumps(plain)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of their own, plainly laid out, in the same order; they leave the device together, a wait a dtype."""
    copies: dict[str, Tensor] = {}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors.values()):
        held = {name: tensor.detach() for name, tensor in tensors.items() if tensor.dtype == dtype}
        flat = torch.cat([tensor.flatten() for tensor in held.values()]).cpu()
        parts = torch.split(flat, [tensor.numel() for tensor in held.values()])
        copies |= {name: part.view(held[name].shape).clone() for name, part in zip(held, parts, strict=True)}
    return {name: copies[name] for name in tensors}


def _decode(data: bytes) -> tuple[dict[str, Tensor], Position]:
    content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    position = Position(**json.loads(content.pop("position")))
    return content, position
