"""One seed becomes named, independent streams of randomness; the global state is never touched.

Order and initial weights come from generators, augmentation from a hash of (key, sample): a sample's
crop then depends on seed, epoch and index alone, not on batch, worker or interruption.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import torch

from bamgate.errors import UsageError

_MASK_63 = (1 << 63) - 1


def stream_key(seed: int, name: str, *counters: int) -> int:
    """A 63-bit key for the stream `name` of `seed`, for instance ("order", epoch)."""
    text = "/".join([str(seed), name, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & _MASK_63


def generator(seed: int, name: str, *counters: int) -> torch.Generator:
    """A CPU generator for the stream `name` of `seed`."""
    return torch.Generator().manual_seed(stream_key(seed, name, *counters))


@contextlib.contextmanager
def drawing_from(key: int, device: torch.device | None = None) -> Iterator[None]:
    """What is drawn inside, weights or dropout, comes from `key`; torch's own generators are as before afterwards.

    Args:
        device: the CPU, or a GPU whose generator is meant too. No other GPU's is touched.

    Raises:
        UsageError: a kind of device whose generator would not be seeded.
    """
    if device is not None and device.type not in ("cpu", "cuda"):
        raise UsageError(f"what is drawn on {str(device)!r} cannot be seeded (allowed: cpu, cuda, cuda:N)")
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(key)
        for gpu in devices:
            with torch.cuda.device(gpu):  # manual_seed speaks of the current GPU
                torch.cuda.manual_seed(key)
        yield


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_GAMMA, _MIX_1, _MIX_2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift_right(bits: torch.Tensor, n: int) -> torch.Tensor:
    return (bits >> n) & ((1 << (64 - n)) - 1)


def hashed_integers(key: int, counters: torch.Tensor, below: int) -> torch.Tensor:
    """Uniform integers in [0, below), one for each entry of `counters` (int64, any shape).

    SplitMix64 (Steele, Lea, Flood 2014) in wrapping int64 arithmetic: the same numbers on every
    device and machine. `below` is small (< 2**20), so the bias of the remainder is under 1e-3 of 1/below.
    """
    bits = (counters + key) * _GAMMA
    bits = (bits ^ _shift_right(bits, 30)) * _MIX_1
    bits = (bits ^ _shift_right(bits, 27)) * _MIX_2
    return _shift_right(bits ^ _shift_right(bits, 31), 33) % below
