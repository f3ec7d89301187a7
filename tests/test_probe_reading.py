"""Which values of a large map the probes read, against the whole map and against the hash in plain integers."""

import contextlib
import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import Scale
from bamgate.config import AttentionConfig
from bamgate.gates import GATES
from bamgate.networks import BACKBONES
from bamgate.networks.build import build_model
from bamgate.networks.sites import gate_sites
from bamgate.observe import gate_figures as probes
from bamgate.observe.gate_figures import Figures, probe_gates, read_places
from bamgate.seeding import stream_key

MASK = (1 << 64) - 1


class Map(nn.Module):
    """A network whose only map is its input, so that the whole of it is known."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale(GATES.get("tanh").build, residual=True)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(x * self.weight).mean(dim=(2, 3))


def figures(z: Tensor) -> Figures:
    (row,) = probe_gates(Map(), z, torch.zeros(len(z), dtype=torch.long), None, autocast=contextlib.nullcontext())
    return row


def stripes(*shape: int) -> Tensor:
    """Logits whose first column, first row and first channel stand far out."""
    z = 0.5 * torch.randn(*shape, generator=torch.Generator().manual_seed(5))
    z[:, :, :, 0] += 2 if shape[3] > 1 else 0
    z[:, :, 0] += 1
    z[:, 0] -= 2
    return z


@pytest.mark.parametrize("shape", [(8, 16, 32, 32), (4, 8, 48, 20), (4, 8, 20, 48), (2, 24, 7, 64), (32, 64, 8, 1)])
@pytest.mark.parametrize("most", [256, 1000, 4096])
def test_a_part_of_a_map_has_the_figures_of_the_whole(
    shape: tuple[int, ...], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = stripes(*shape)
    monkeypatch.setattr(probes, "MAX_VALUES", most)
    found, s = figures(z), 1 + torch.tanh(z.double())
    assert found["map_values"] == z.numel()
    assert found["values"] <= most < 2 * found["values"] + 2
    share = float((s < 1).double().mean())
    assert 0 < found["mean_se"] < 0.06
    assert abs(found["mean"] - float(s.mean())) < 4 * found["mean_se"]
    assert abs(found["attenuated"] / found["values"] - share) < 4 * found["attenuated_se"]
    assert sum(map(int, found["histogram"].split())) == found["values"]


def test_a_small_map_is_read_whole_and_without_an_error() -> None:
    z = stripes(2, 3, 4, 5)
    found, s = figures(z), 1 + torch.tanh(z.double())
    assert (found["values"], found["map_values"], found["mean_se"], found["attenuated_se"]) == (120, 120, 0, 0)
    assert found["mean"] == pytest.approx(float(s.mean()), abs=1e-6)
    assert found["attenuated"] == int((s < 1).sum())


def test_resnet50_at_32_pixels_is_read_in_all_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """128 x 256 x 32 x 32 values were once read at every 32nd: in one column, at the padded edge."""
    monkeypatch.setattr(probes, "MAX_VALUES", 1 << 12)
    model = build_model(
        "resnet50",
        AttentionConfig(gate="tanh"),
        GATES.get("tanh"),
        num_classes=10,
        in_channels=3,
        image_size=(32, 32),
        seed=0,
    )
    whole: list[Tensor] = []
    gate_sites(model)["layer1"].register_forward_hook(lambda m, i, s: whole.append(s.detach().double()))
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    rows = probe_gates(model, x, torch.arange(4), None, autocast=contextlib.nullcontext(), batch_statistics=True)
    found, s = rows[0], whole[0]
    assert (found["site"], found["map_values"], s.numel()) == ("layer1", 4 * 256 * 32 * 32, 4 * 256 * 32 * 32)
    mean, share = float(s.mean()), float((s < 1).double().mean())
    assert abs(found["mean"] - mean) < 4 * found["mean_se"] < 0.06
    assert abs(found["attenuated"] / found["values"] - share) < 4 * found["attenuated_se"] < 0.06
    # What a stride in step with the width reads is far from it: the test can tell.
    assert abs(float(s[..., 0].mean()) - mean) > 4 * found["mean_se"]


def test_figures_do_not_depend_on_how_the_map_lies_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MAX_VALUES", 500)
    z = stripes(4, 8, 10, 12)
    lying = [z, z.contiguous(memory_format=torch.channels_last), z.transpose(0, 3).contiguous().transpose(0, 3)]
    places = read_places("here", z.numel())
    for other in lying:
        assert torch.equal(probes._read("here", other), z.flatten()[places])


def hashed(key: int, counter: int, below: int) -> int:
    """SplitMix64 (Steele, Lea, Flood 2014) in unbounded integers: the upper 31 bits of output key + counter."""
    z = (key + counter) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return ((z ^ (z >> 31)) >> 33) % below


@pytest.mark.parametrize("count", [999, 1000, 1001, 1999, 2000, 2001, 64_000, 99_997])
def test_places_are_those_of_the_hash_in_plain_integers(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MAX_VALUES", 1000)
    block = -(-count // 1000)
    key = stream_key(0, "probe of layer2")
    expected = [i * block + hashed(key, i, block) for i in range(-(-count // block))]
    assert read_places("layer2", count).tolist() == [place for place in expected if place < count]
    assert (read_places("layer2", count).tolist() == read_places("layer1", count).tolist()) == (count <= 1000)


def test_every_value_has_the_same_chance_in_the_last_block_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MAX_VALUES", 4)
    read = torch.zeros(14)  # blocks of 4, the last one cut to 2
    for i in range(2000):
        read[read_places(f"site {i}", 14)] += 1
    assert ((read - 500).abs() < 5 * (2000 * 0.25 * 0.75) ** 0.5).all()


@pytest.mark.parametrize("kind", ["noise", "alternating", "slope"])
def test_the_stated_error_is_that_of_reading_again_elsewhere(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MAX_VALUES", 512)
    count = torch.arange(1024 if kind == "alternating" else 5000)
    values = {
        "noise": torch.randn(len(count), generator=torch.Generator().manual_seed(1)),
        "alternating": (count % 2).float(),
        "slope": count.float() / len(count),
    }[kind]
    read = [values[read_places(f"site {i}", len(values))] for i in range(400)]
    spread = float(torch.stack([part.mean() for part in read]).double().std())
    stated = sum(probes._standard_error(part, len(values)) for part in read) / len(read)
    # Never too small. Between blocks that differ it is larger: here by (2 / 12 + 1) / (2 / 12) = 7 in the variance.
    factor = 7**0.5 if kind == "slope" else 1
    assert stated == pytest.approx(factor * spread, rel=0.12)


def site_shapes(model: str) -> dict[str, torch.Size]:
    """Site -> channels, height and width of its map at 32 pixels; nothing is computed."""
    attention = AttentionConfig(branches="full")
    with torch.device("meta"):
        network = build_model(
            model, attention, GATES.get("tanh"), num_classes=10, in_channels=3, image_size=(32, 32), seed=0
        ).eval()
        shapes: dict[str, torch.Size] = {}
        for name, scale in gate_sites(network).items():
            scale.register_forward_hook(lambda m, i, s, name=name: shapes.update({name: s.shape[1:]}))
        network(torch.empty(1, 3, 32, 32))
    return shapes


def assert_even(shape: torch.Size) -> None:
    """Images, channels, rows and columns of 128 such maps are each read about equally often."""
    places = read_places("layer1", 128 * shape.numel())
    assert probes.MAX_VALUES / 2 <= len(places) <= probes.MAX_VALUES
    for values, size in zip(torch.unravel_index(places, (128, *shape)), (128, *shape), strict=True):
        counts, expected = torch.bincount(values, minlength=size), len(places) / size
        assert len(counts) == size
        assert ((counts - expected).abs() < 6 * expected**0.5 + 2).all(), shape


@pytest.mark.parametrize("shape", [(256, 32, 32), (128, 32, 32), (216, 15, 32), (256, 56, 56)])
def test_large_maps_are_read_evenly(shape: tuple[int, int, int]) -> None:
    assert_even(torch.Size(shape))


@pytest.mark.slow
def test_the_maps_of_every_network_are_read_evenly() -> None:
    shapes = {shape for model in BACKBONES.names() for shape in site_shapes(model).values()}
    large = [shape for shape in sorted(shapes) if 128 * shape.numel() > probes.MAX_VALUES]
    assert len(large) > 10
    for shape in large:
        assert_even(shape)


def test_strides_in_step_with_the_map_would_be_seen() -> None:
    """The evenness above fails for every k-th value, k a power of 2 as the sides are."""
    places = torch.arange(0, 128 * 256 * 32 * 32, 32)
    columns = torch.unravel_index(places, (128, 256, 32, 32))[3]
    assert len(set(columns[:1000].tolist())) == 1
    assert all(a == b for a, b in itertools.pairwise(columns[:100].tolist()))
    assert F.one_hot(columns[:64], 32).sum(dim=0).max() == 64
