"""Networks that attention must tell apart, and what a dry run must not leave behind."""

import copy
import random
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from insert_samples import BAM_4, SE_4, hooks, image, network
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate import insert_attention, remove_attention
from bamgate.errors import UsageError
from bamgate.networks.insertion import channels_at

pytestmark = pytest.mark.usefixtures("seeded")


class Last(nn.Module):
    """B, 3, H, W -> a map B, H/4, W/4, C whose channels come last, as Swin's. `size`: what it insists on."""

    def __init__(self, channels: int, size: int | None = None) -> None:
        super().__init__()
        self.size = size
        self.patches = nn.Conv2d(3, channels, 4, 4)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Linear(channels, channels)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        assert self.size in (None, x.shape[2])
        return self.act(self.mix(self.norm(self.patches(x).permute(0, 2, 3, 1))))  # type: ignore[no-any-return]


class Second(nn.Module):
    """B, 3, H, W -> a map B, C, H/4, W/4, for images of one size."""

    def __init__(self, channels: int, size: int | None = None) -> None:
        super().__init__()
        self.size = size
        self.patches = nn.Conv2d(3, channels, 4, 4)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        assert self.size in (None, x.shape[2])
        return self.act(self.norm(self.patches(x)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [None, 224], ids=["any size", "one size"])
@pytest.mark.parametrize("channels", [56, 96], ids=["as many channels as rows", "more"])
def test_maps_with_channels_last_are_refused_and_others_taken(channels: int, size: int | None) -> None:
    """224 pixels are 56 rows: with 56 channels the shapes alone are alike, 1 x 56 x 56 x 56."""
    assert channels_at(Second(channels, size), ["act", "norm", "patches"]) == dict.fromkeys(
        ("act", "norm", "patches"), channels
    )
    net = Last(channels, size)
    for site in ("norm", "mix", "act"):
        with pytest.raises(UsageError) as error:
            insert_attention(net, site, SE_4)
        assert str(error.value) == (
            f"the output of site {site!r} is 1x56x56x{channels}, and the 56 are not its channels, as in B, H, W, C; "
            "attention needs maps of shape B, C, H, W"
        )
        assert not hooks(net)
    assert channels_at(net, ["patches"]) == {"patches": channels}


class Pairs(nn.Module):
    """Attention between positions: its weights B, heads, N, N are no map of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.weights, self.windows = nn.Conv2d(3, 8, 8, 8), nn.Identity(), nn.Identity()
        self.frames, self.tokens = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        tokens = self.tokens(x.flatten(2).transpose(1, 2))
        heads = tokens.unflatten(2, (2, 4)).transpose(1, 2)
        weights = self.weights(heads @ heads.transpose(2, 3))
        windows = self.windows(F.unfold(x, 2, stride=2).transpose(1, 2).reshape(-1, 8, 2, 2))
        frames = self.frames(x[:, :, None])
        return weights.mean() + windows.mean() + frames.mean()  # type: ignore[no-any-return]


def test_what_is_no_map_of_the_image_is_refused() -> None:
    net = Pairs()
    for site, what in [
        ("weights", "is 1x2x784x784, and the 2 are not its channels"),
        ("windows", "is not a map of shape B, C, H, W; choose a module that has one"),
        ("frames", "is not a map of shape B, C, H, W; choose a module that has one"),
        ("tokens", "is not a map of shape B, C, H, W; choose a module that has one"),
    ]:
        with pytest.raises(UsageError) as error:
            channels_at(net, [site])
        assert str(error.value).startswith(f"the output of site {site!r} {what}")
        assert "\n" not in str(error.value)


class Opaque(nn.Module):
    """For images of one size, with no layer that has the width of what `site` puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.site = nn.Conv2d(3, 5, 4, 4), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 32
        x = self.first(x)
        return self.site(torch.cat([x, x], dim=1)).mean()  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore")  # newer versions of torch advise against scripting
def test_a_scripted_network_or_one_with_a_scripted_part_is_refused() -> None:
    whole = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3)))
    part = nn.Sequential(nn.Conv2d(3, 4, 3), torch.jit.script(nn.ReLU()))
    for net, kind in ((whole, "RecursiveScriptModule"), (part, "Sequential")):
        with pytest.raises(
            UsageError, match=rf"^{kind} contains a TorchScript module, which takes no hooks; insert first, then"
        ):
            insert_attention(net, "0", BAM_4, torch.zeros(1, 3, 8, 8))


def test_without_evidence_a_site_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        channels_at(Opaque(), ["site"], image(1, 3, 32, 32))
    assert str(error.value) == (
        "the output of site 'site' is 1x10x8x8, and neither images of another size nor the layers around it show that "
        "the 10 are channels; name a convolution, or a block that ends with one"
    )


@pytest.mark.parametrize("pixels", [16, 33, 96])
def test_small_examples_show_channels_too(pixels: int) -> None:
    """A ShuffleNet's maps of 96 and of 82 rows have 6 rows both, and no layer is as wide as two halves."""
    assert channels_at(network("shufflenet_v2_x0_5"), ["stage2", "stage3"], image(1, 3, pixels, pixels)) == {
        "stage2": 48,
        "stage3": 96,
    }


def test_timms_swin_is_refused_and_its_neighbours_taken() -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        swin = timm.create_model("swin_tiny_patch4_window7_224")
        botnet = timm.create_model("botnet26t_256")
    with pytest.raises(
        UsageError, match=r"^the output of site 'layers\.0' is 1x56x56x96, and the 56 are not its channels"
    ):
        insert_attention(swin, ["layers.0"], SE_4)
    x = torch.zeros(1, 3, 256, 256, device="meta")
    assert channels_at(botnet, ["stages.0", "stages.3"], x) == {"stages.0": 256, "stages.3": 2048}


class Restless(nn.Module):
    """Writes to itself whenever it is called, in every way that a module can."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("ema", torch.zeros(4))
        self.plain, self.count, self.seen, self.table = torch.zeros(2), 0, [1], {"a": 1}
        self.draws = torch.Generator().manual_seed(3)
        self.frozen = nn.BatchNorm2d(4).eval()

    def train(self, mode: bool = True) -> "Restless":
        self.switched = mode
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        x = self.frozen.train()(self.conv(x))  # a network that keeps its norms training
        self.calls += 1  # in place
        self.ema = 0.9 * self.ema + x.mean((0, 2, 3))  # by another tensor
        self.plain += 1
        self.count += 1
        self.seen.append(2)
        self.table["b"] = 2
        self.cache = x
        self.conv.weight.mul_(1.5)
        self.conv.bias.requires_grad_(False)  # type: ignore[union-attr]
        self.conv.register_forward_hook(lambda *_: None)
        self.register_buffer("late", torch.zeros(1))
        noise = torch.rand(()) + random.random() + np.random.rand() + torch.rand((), generator=self.draws)
        return x + noise


def written(net: nn.Module) -> list[Any]:
    """All that can be seen of a network, and of the generators."""
    parts: list[Any] = [(name, {k: _plain(v) for k, v in vars(m).items()}) for name, m in net.named_modules()]
    states = [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]
    return [parts, states, hooks(net), [parameter.requires_grad for parameter in net.parameters()]]


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, dict | OrderedDict):
        return [(key, _plain(inner)) for key, inner in value.items()]
    return str(type(value)) if isinstance(value, nn.Module) else repr(value)


def test_the_dry_run_leaves_a_network_that_writes_to_itself_bit_by_bit() -> None:
    net = nn.Sequential(Restless(), nn.Dropout(0.5)).train()
    net[0].frozen.eval()
    before, buffers = written(net), [id(buffer) for buffer in net.buffers()]
    with torch.no_grad():
        assert channels_at(net, ["0"]) == {"0": 4}
    assert written(net) == before
    assert [id(buffer) for buffer in net.buffers()] == buffers
    with pytest.raises(UsageError, match="cannot take an input"):
        channels_at(net, ["0"], image(1, 5, 8, 8))
    assert written(net) == before


def test_a_lazy_layer_has_its_size_after_the_dry_run_and_works() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))
    insert_attention(net, "0", SE_4)
    assert net(image(2, 3, 9, 9)).shape == (2, 2)
    assert tuple(net[4].weight.shape) == (2, 4)


class TwoNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
        self.stages = nn.ModuleList([self.stem, nn.Conv2d(6, 5, 3)])
        self.alias = self.stages[1]

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


@pytest.mark.parametrize(("second", "first"), [("stages.0", "stem"), ("alias", "stages.1")])
def test_a_second_name_of_a_module_will_do(second: str, first: str) -> None:
    net, x = TwoNames(), image(1, 3, 12, 12)
    before, keys = net(x), list(net.state_dict())
    parts = insert_attention(net, second, BAM_4)
    assert list(parts) == [second]
    assert net.get_submodule(f"{first}.attention") is parts[second]
    assert not torch.equal(net.eval()(x), before)
    with pytest.raises(UsageError, match=f"^sites '{first}' and '{second}' are two names of one module; name it once$"):
        channels_at(net, [first, second])
    assert remove_attention(net) == [first]
    assert list(net.state_dict()) == keys
    assert torch.equal(net(x), before)


def counting() -> tuple[Any, list[int]]:
    """A backend of torch.compile that counts what it compiles."""
    compiled: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(1)
        return graph.forward

    return backend, compiled


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()  # type: ignore[no-any-return]


class Small(nn.Module):
    """A site of either kind."""

    def __init__(self) -> None:
        super().__init__()
        self.chain, self.block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), Block()

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.chain(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("site", ["chain", "block"], ids=["a chain", "a hook"])
@pytest.mark.parametrize("way", ["wrapped", "in place", "in a function"])
def test_a_compiled_network_notices_its_attention_and_others_stay_compiled(site: str, way: str) -> None:
    backend, compiled = counting()
    net, other, x = Small().eval(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), image(1, 3, 9, 9)
    plain = copy.deepcopy(net)
    if way == "in place":
        net.compile(backend=backend)
    call = {"wrapped": lambda: torch.compile(net, backend=backend), "in place": lambda: net}.get(
        way, lambda: torch.compile(lambda x: net(x), backend=backend)
    )()
    elsewhere = torch.compile(other, backend=backend)
    with torch.no_grad():
        assert torch.allclose(call(x), plain(x), atol=1e-5)
        elsewhere(x)
        parts = insert_attention(net, site, SE_4)
        by_hand = insert_attention(plain, site, SE_4)
        for place, part in by_hand.items():
            part.load_state_dict(parts[place].state_dict())
        assert torch.allclose(call(x), plain(x), atol=1e-5)
        count = len(compiled)
        elsewhere(x)
        assert len(compiled) == count
        remove_attention(net)
        remove_attention(plain)
        assert torch.allclose(call(x), plain(x), atol=1e-5)
    torch.compiler.reset()


def test_a_module_with_attention_is_of_its_own_kind_still() -> None:
    net = network("resnet18")
    kind = type(net.get_submodule("layer1.0.bn1"))
    insert_attention(net, "layer1.0.bn1", SE_4)
    place = net.get_submodule("layer1.0.bn1")
    assert isinstance(place, nn.BatchNorm2d)
    assert (type(place).__name__, type(place).__module__) == (kind.__name__, kind.__module__)
    remove_attention(net)
    assert type(place) is kind
