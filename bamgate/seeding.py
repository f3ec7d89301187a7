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
_MASK_32 = (1 << 32) - 1
_WORDS, _OFFSET = 624, 24  # of the Mersenne twister's state, in 64 bits each, within the state that torch gives


def stream_key(seed: int, name: str, *counters: int) -> int:
    """A 63-bit key for the stream `name` of `seed`, for instance ("order", epoch)."""
    text = "/".join([str(seed), name, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & _MASK_63


def init_key(seed: int, place: int) -> int:
    """The key of the initial weights at one place of a network. It has 32 bits: the weights of runs on record."""
    return stream_key(seed, "init", place) & _MASK_32


def generator(seed: int, name: str, *counters: int) -> torch.Generator:
    """A CPU generator for the stream `name` of `seed`; torch takes the lower 32 bits of its key."""
    return torch.Generator().manual_seed(stream_key(seed, name, *counters))


@contextlib.contextmanager
def drawing_from(key: int, device: torch.device | None = None) -> Iterator[None]:
    """What is drawn inside, weights or dropout, comes from `key`; torch's own generators are as before afterwards.

    All 63 bits count; a key of 32 bits gives what torch gives for that seed.

    Args:
        device: the CPU, or a GPU whose generator is meant too. No other GPU's is touched.

    Raises:
        UsageError: a kind of device whose generator would not be seeded.
    """
    if device is not None and device.type not in ("cpu", "cuda"):
        raise UsageError(f"what is drawn on {str(device)!r} cannot be seeded (allowed: cpu, cuda, cuda:N)")
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        _seed_cpu(key)
        for gpu in devices:
            with torch.cuda.device(gpu):  # manual_seed speaks of the current GPU
                torch.cuda.manual_seed(key)
        yield


def state_key(name: str) -> int:
    """A 63-bit key that no stream shares, from where torch's CPU generator stands; it is not drawn from."""
    state = torch.random.get_rng_state().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(name.encode() + state).digest()[:8], "big") & _MASK_63


def _seed_cpu(key: int) -> None:
    """Seed torch's CPU generator, which takes 32 bits for a seed: what is above fills the state by a hash instead.

    The Mersenne twister may start from any 624 words (Matsumoto, Nishimura 1998).
    """
    torch.default_generator.manual_seed(key & _MASK_32)
    if key >> 32:
        state = torch.random.get_rng_state()
        words = state[_OFFSET : _OFFSET + 8 * _WORDS].view(torch.int64)
        assert int(words[0]) == key & _MASK_32, "torch keeps its generator's state in another form"
        drawn = hashlib.shake_256(key.to_bytes(8, "big")).digest(4 * _WORDS)
        words.copy_(torch.frombuffer(bytearray(drawn), dtype=torch.int32).long() & _MASK_32)
        torch.random.set_rng_state(state)


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
