"""Seeded randomness against SplitMix64 in plain Python integers, and streams that do not meet."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from bamgate.attention import Scale
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError
from bamgate.gates import GATES, Gate
from bamgate.networks.build import build_model
from bamgate.seeding import drawing_from, generator, hashed_integers, stream_key

MASK = (1 << 64) - 1
MASK_32 = (1 << 32) - 1
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def splitmix64(state: int) -> int:
    """The mixing function of Steele, Lea, Flood 2014, figure 17, in unbounded integers."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def reference(key: int, counter: int, below: int) -> int:
    """The upper 31 bits of the generator's output number key + counter, from seed 0."""
    return (splitmix64((key + counter) * 0x9E3779B97F4A7C15) >> 33) % below


def test_the_reference_itself_gives_the_published_numbers() -> None:
    # First outputs of SplitMix64 with seed 0, as in Vigna's splitmix64.c and Java's SplittableRandom.
    outputs = [splitmix64(n * 0x9E3779B97F4A7C15) for n in (1, 2, 3)]
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_published_numbers_come_out_of_hashed_integers() -> None:
    expected = [output >> 33 for output in (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)]
    assert hashed_integers(0, torch.tensor([1, 2, 3]), 1 << 31).tolist() == expected


@given(
    key=st.integers(0, (1 << 63) - 1),
    counters=st.lists(st.integers(0, (1 << 40)), min_size=1, max_size=20),
    below=st.integers(1, 1 << 20),
)
def test_hashed_integers_are_splitmix64(key: int, counters: list[int], below: int) -> None:
    found = hashed_integers(key, torch.tensor(counters), below)
    assert found.dtype == torch.int64
    assert found.tolist() == [reference(key, counter, below) for counter in counters]


@given(counter=INT64, key=st.sampled_from([0, 1, (1 << 63) - 1]))
def test_hashed_integers_wrap_as_64_bits_do(counter: int, key: int) -> None:
    assert hashed_integers(key, torch.tensor([counter]), 1000).tolist() == [reference(key, counter, 1000)]


def test_the_shape_is_kept_and_an_entry_depends_on_its_counter_alone() -> None:
    counters = torch.arange(24).reshape(2, 3, 4)
    found = hashed_integers(5, counters, 100)
    assert found.shape == (2, 3, 4)
    assert found[1, 2, 3] == reference(5, 23, 100)
    assert hashed_integers(5, torch.empty(0, dtype=torch.int64), 100).shape == (0,)


@pytest.mark.parametrize("below", [2, 7, 9, 256])
@pytest.mark.parametrize("stride", [1, 3, 4096])
def test_every_integer_is_as_likely(below: int, stride: int) -> None:
    counters = torch.arange(20_000) * stride
    counts = np.bincount(hashed_integers(stream_key(0, "test"), counters, below).numpy(), minlength=below)
    assert len(counts) == below
    assert stats.chisquare(counts).pvalue > 1e-4


def test_neighbouring_counters_are_independent() -> None:
    values = hashed_integers(stream_key(1, "test"), torch.arange(20_000), 8).numpy()
    table = np.zeros((8, 8))
    np.add.at(table, (values[:-1], values[1:]), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_neighbouring_keys_are_independent() -> None:
    first, second = (hashed_integers(stream_key(seed, "test"), torch.arange(20_000), 8).numpy() for seed in (0, 1))
    table = np.zeros((8, 8))
    np.add.at(table, (first, second), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_key_is_the_lower_63_of_the_first_64_bits_of_a_sha256() -> None:
    digest = hashlib.sha256(b"3/order/7").hexdigest()
    assert stream_key(3, "order", 7) == int(digest[:16], 16) % (1 << 63)
    assert stream_key(3, "weights") == int(hashlib.sha256(b"3/weights").hexdigest()[:16], 16) % (1 << 63)


def test_streams_differ_by_name_epoch_and_seed() -> None:
    names = [(0, "order", 0), (0, "order", 1), (1, "order", 0), (0, "weights", 0), (0, "order"), (10, "order", 0)]
    names += [(0, "order", 1, 0), (0, "order", 10)]
    draws = {tuple(torch.randint(1 << 30, (4,), generator=generator(*name)).tolist()) for name in names}
    assert len(draws) == len(names)


def test_the_same_stream_gives_torchs_own_numbers_for_its_key() -> None:
    key = int(hashlib.sha256(b"5/order/2").hexdigest()[:16], 16) % (1 << 63)
    expected = torch.rand(6, generator=torch.Generator().manual_seed(key))
    first, second = generator(5, "order", 2), generator(5, "order", 2)
    assert torch.equal(torch.rand(6, generator=first), expected)
    assert torch.equal(torch.rand(6, generator=second), expected)


def test_the_global_state_is_left_alone() -> None:
    before_torch, before_numpy = torch.random.get_rng_state(), np.random.get_state()
    torch.rand(3, generator=generator(0, "order", 0))
    hashed_integers(stream_key(0, "augmentation", 1), torch.arange(10), 9)
    assert torch.equal(torch.random.get_rng_state(), before_torch)
    after_numpy = np.random.get_state()
    assert before_numpy[2:] == after_numpy[2:]
    assert np.array_equal(before_numpy[1], after_numpy[1])


class TwoGpus:
    """What `torch.cuda` has to say about randomness, for two GPUs that are not there. GPU 0 is the current one."""

    def __init__(self) -> None:
        self.keys: dict[int, int] = {0: 100, 1: 101}
        self.current = 0

    def index(self, device: Any) -> int:
        index = torch.device(device).index
        return self.current if index is None else index

    def get_rng_state(self, device: Any = "cuda") -> torch.Tensor:
        return torch.tensor(self.keys[self.index(device)])

    def set_rng_state(self, state: torch.Tensor, device: Any = "cuda") -> None:
        self.keys[self.index(device)] = int(state)

    def manual_seed(self, key: int) -> None:
        self.keys[self.current] = key

    @contextlib.contextmanager
    def device(self, device: Any) -> Iterator[None]:
        before, self.current = self.current, self.index(device)
        yield
        self.current = before


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> TwoGpus:
    fake = TwoGpus()
    for name in ("get_rng_state", "set_rng_state", "manual_seed", "device"):
        monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return fake


@pytest.mark.parametrize(("device", "inside"), [("cuda:1", [100, 7]), ("cuda:0", [7, 101]), ("cuda", [7, 101])])
def test_the_named_gpu_is_seeded_and_no_other_is_touched(gpus: TwoGpus, device: str, inside: list[int]) -> None:
    with drawing_from(7, torch.device(device)):
        assert list(gpus.keys.values()) == inside
        assert gpus.current == 0
        gpus.keys[torch.device(device).index or 0] = 55  # something is drawn
    assert list(gpus.keys.values()) == [100, 101]


def test_on_the_cpu_no_gpu_is_asked(gpus: TwoGpus) -> None:
    with drawing_from(7, torch.device("cpu")):
        assert list(gpus.keys.values()) == [100, 101]
        first = torch.rand(3)
    with drawing_from(7):
        assert torch.equal(torch.rand(3), first)


def test_a_device_whose_draws_cannot_be_seeded_is_refused() -> None:
    before = torch.get_rng_state()
    with pytest.raises(UsageError) as caught, drawing_from(7, torch.device("mps")):
        pass
    assert str(caught.value) == "random numbers on 'mps' cannot be seeded (allowed: cpu, cuda, cuda:N)"
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
def test_the_last_gpu_draws_the_same_from_the_same_key(cuda: torch.device) -> None:
    """With several GPUs it is not the current one."""
    last, before = torch.device("cuda", torch.cuda.device_count() - 1), torch.cuda.get_rng_state(0)
    drawn = []
    for key in (7, 7, 8):
        with drawing_from(key, last):
            drawn.append(torch.rand(8, device=last))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.cuda.get_rng_state(0), before)


def drawn(key: int, count: int = 2000) -> torch.Tensor:
    with drawing_from(key):
        return torch.rand(count)


def test_a_key_of_32_bits_draws_what_torch_draws_for_that_seed() -> None:
    for key in (0, 1, (1 << 32) - 1):
        assert torch.equal(drawn(key), torch.rand(2000, generator=torch.Generator().manual_seed(key)))


@given(key=st.integers(1 << 32, (1 << 63) - 1), bit=st.integers(0, 62))
def test_every_bit_of_a_key_counts(key: int, bit: int) -> None:
    other = key ^ (1 << bit)
    assert not (drawn(key) == drawn(other)).any()
    assert torch.equal(drawn(key), drawn(key))


def test_no_two_dropout_streams_are_equal_among_390_000() -> None:
    """Ten seeds of 39,000 steps, of which 18 pairs share the 32 bits that torch takes."""
    keys = [stream_key(seed, "dropout", step) for seed in range(10) for step in range(39_000)]
    assert len(set(keys)) == len(keys)
    by_lower_half: dict[int, int] = {}
    pairs = []
    for key in keys:
        pairs += [(by_lower_half[key & MASK_32], key)] if key & MASK_32 in by_lower_half else []
        by_lower_half[key & MASK_32] = key
    assert len(pairs) > 5
    for one, other in pairs:
        assert not (drawn(one) == drawn(other)).any()


def test_a_stream_of_63_bits_is_uniform_and_normal_and_leaves_the_state_alone() -> None:
    before = torch.get_rng_state()
    key = stream_key(7, "dropout", 1)
    assert stats.kstest(drawn(key, 50_000).numpy(), "uniform").pvalue > 1e-3
    with drawing_from(key):
        assert stats.kstest(torch.randn(50_000).numpy(), "norm").pvalue > 1e-3
        kept = torch.nn.functional.dropout(torch.ones(100_000), 0.3).count_nonzero()
    assert abs(int(kept) - 70_000) < 5 * (100_000 * 0.3 * 0.7) ** 0.5
    assert torch.equal(torch.get_rng_state(), before)


# What a gate draws at its start.


class Drawn(nn.Module):
    """A gate that starts at random."""

    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.rand(98))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.k.mean() * z)


def test_a_gate_neither_shifts_nor_repeats_what_is_drawn_after_it() -> None:
    with drawing_from(5):
        gate = Scale(Drawn, residual=True).gate
        after = torch.rand(98)
    assert torch.equal(after, drawn(5, 98))
    assert isinstance(gate, Drawn)
    assert not torch.isin(gate.k, drawn(5, 100_000)).any()


def starts(seed: int, build: Callable[[], nn.Module] = Drawn) -> dict[str, torch.Tensor]:
    attention = AttentionConfig(name="cbam", gate="mine", reduction=4)
    gate = Gate(name="mine", build=build, source="")
    model = build_model("resnet8", attention, gate, num_classes=10, in_channels=1, image_size=(12, 9), seed=seed)
    return {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}


def test_gates_start_by_seed_and_site_and_all_else_as_without_them() -> None:
    first, again, other = starts(0), starts(0), starts(1)
    gates = [name for name in first if name.endswith("gate.k")]
    assert len(gates) == 6
    assert len({tuple(first[name].tolist()) for name in gates} | {tuple(other[name].tolist()) for name in gates}) == 12
    assert all(torch.equal(first[name], again[name]) for name in first)
    plain = starts(0, nn.Tanh)
    assert plain.keys() == first.keys() - set(gates)
    assert all(torch.equal(first[name], plain[name]) for name in plain)
    for name in gates:
        conv = name.replace("channel.scale.gate.k", "spatial.conv.weight").replace("scale.gate.k", "conv.weight")
        as_drawn = (first[conv].flatten() * 98**0.5 + 1) / 2  # uniform in +-1 / sqrt(fan in)
        assert not torch.isclose(first[name], as_drawn, atol=1e-5).all()


def test_weights_of_a_seed_are_those_of_runs_on_record() -> None:
    model = build_model(
        "resnet8", AttentionConfig(), GATES.get("tanh"), num_classes=10, in_channels=1, image_size=(12, 9), seed=3
    )
    weights = model.state_dict()
    assert weights["stem.0.weight"].flatten()[:3].tolist() == pytest.approx([0.031771, -0.217638, -0.200874], abs=2e-6)
    assert weights["sites.layer2.spatial.final.weight"].flatten()[:2].tolist() == pytest.approx(
        [0.41123, 0.232053], abs=2e-6
    )
