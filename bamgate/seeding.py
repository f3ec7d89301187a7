"""One seed becomes named, independent streams of randomness; the global state is never touched.

Order and initial weights come from generators, augmentation from a hash of (key, sample): the crop of a
sample then depends on seed, epoch and index alone, not on batch, process or interruption.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import torch

from bamgate.errors import UsageError

_MASK_63 = (1 << 63) - 1
_MASK_32 = (1 << 32) - 1
# torch.random.get_rng_state() is a byte copy of a C struct: a header of 24 bytes, then the Mersenne twister's 624 words
# of 32 bits, each in 64.
_WORDS, _OFFSET = 624, 24


def stream_key(seed: int, name: str, *counters: int) -> int:
    """A 63-bit key for the stream `name` of `seed`, for instance ("order", epoch).

    A hash, rather than seed + epoch, so that streams of neighbouring seeds and epochs do not overlap.
    """
    text = "/".join([str(seed), name, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & _MASK_63


def init_key(seed: int, place: int) -> int:
    """The key of the initial weights at one place of a network.

    It has 32 bits, because the runs on record drew their weights so.
    """
    return stream_key(seed, "init", place) & _MASK_32


def generator(seed: int, name: str, *counters: int) -> torch.Generator:
    """A CPU generator for the stream `name` of `seed`; torch uses the lower 32 bits of the key."""
    return torch.Generator().manual_seed(stream_key(seed, name, *counters))


@contextlib.contextmanager
def drawing_from(key: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw weights or dropout masks from `key` inside this context; afterwards torch's generators are as before.

    All 63 bits of the key count. A key of 32 bits gives what torch gives for that seed.

    Args:
        device: the CPU, or a GPU whose generator is seeded too. Those of other GPUs are not touched.

    Raises:
        UsageError: bamgate cannot seed the generator of this kind of device.
    """
    if device is not None and device.type not in ("cpu", "cuda"):
        raise UsageError(f"random numbers on {str(device)!r} cannot be seeded (allowed: cpu, cuda, cuda:N)")
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        _seed_cpu(key)
        for gpu in devices:
            with torch.cuda.device(gpu):  # manual_seed seeds the current GPU only
                torch.cuda.manual_seed(key)
        yield


def state_key(name: str) -> int:
    """A 63-bit key of its own, made from the state of torch's CPU generator, from which nothing is drawn."""
    # A read-only use of the state: what is drawn next is the same, whether or not anybody asked for this key.
    state = torch.random.get_rng_state().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(name.encode() + state).digest()[:8], "big") & _MASK_63


def _seed_cpu(key: int) -> None:
    """Seed torch's CPU generator with all bits of `key`.

    torch takes 32 bits for a seed. For a longer key, a hash of it fills the state instead: the Mersenne twister may
    start from any 624 words (Matsumoto, Nishimura 1998).
    """
    torch.default_generator.manual_seed(key & _MASK_32)
    if key >> 32:
        state = torch.random.get_rng_state()
        words = state[_OFFSET : _OFFSET + 8 * _WORDS].view(torch.int64)
        # Seeding puts the seed into the first word. If it is not there, the layout is not the one assumed above, and to
        # write here would corrupt the generator.
        assert int(words[0]) == key & _MASK_32, "torch stores the state of its generator in another layout"
        drawn = hashlib.shake_256(key.to_bytes(8, "big")).digest(4 * _WORDS)
        words.copy_(torch.frombuffer(bytearray(drawn), dtype=torch.int32).long() & _MASK_32)
        torch.random.set_rng_state(state)


def _signed(value: int) -> int:
    """The int64 with the bits of this uint64: torch has no arithmetic on uint64, but int64 wraps to the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


# The constants of SplitMix64.
_GAMMA, _MIX_1, _MIX_2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift_right(bits: torch.Tensor, n: int) -> torch.Tensor:
    # >> on int64 fills with the sign bit; the mask makes it the shift of an unsigned number.
    return (bits >> n) & ((1 << (64 - n)) - 1)


def hashed_integers(key: int, counters: torch.Tensor, below: int) -> torch.Tensor:
    """Uniform integers in [0, below), one for each entry of `counters` (int64, any shape).

    SplitMix64 (Steele, Lea, Flood 2014) in wrapping int64 arithmetic: the same numbers on every
    device and machine. `below` is at most 2**20, so the bias of the remainder is under 1e-3 of 1/below.
    """
    bits = (counters + key) * _GAMMA
    bits = (bits ^ _shift_right(bits, 30)) * _MIX_1
    bits = (bits ^ _shift_right(bits, 27)) * _MIX_2
    return _shift_right(bits ^ _shift_right(bits, 31), 33) % below
