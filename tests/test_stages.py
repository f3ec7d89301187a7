"""Where a network's map is halved, found in little networks that are made for one rule each."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from bamgate.errors import UsageError
from bamgate.networks.insertion import channels_at, find_stages


def conv(c_in: int, c_out: int, stride: int = 1, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, size, stride=stride, padding=size // 2)


def chain(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(*parts)


class Block(nn.Module):
    """x + f(x), or f(x) where the shape changes: no chain, so it is one piece."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first, self.second = conv(c_in, c_out, stride), conv(c_out, c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x).relu())
        return x + y if x.shape == y.shape else y


class Norm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean()) / 2


HEAD = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3))
X = torch.zeros(1, 3, 32, 48)
CASES: dict[str, tuple[nn.Module, list[str]]] = {
    "a stem of one convolution is no stage": (chain(conv(3, 4, 2), conv(4, 4, 2), conv(4, 4), conv(4, 8, 2)), ["2"]),
    "a pooling stem is no stage": (
        chain(conv(3, 4), nn.ReLU(), nn.MaxPool2d(2), conv(4, 4), nn.ReLU(), conv(4, 4), nn.ReLU(), nn.MaxPool2d(2))
        + chain(conv(4, 8)),
        ["6"],
    ),
    "two convolutions before the pooling are a stage": (
        chain(conv(3, 4), nn.ReLU(), conv(4, 4), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), conv(4, 8)),
        ["4"],
    ),
    "a strided block": (
        chain(conv(3, 4), chain(Block(4, 4), Block(4, 4)), chain(Block(4, 8, 2), Block(8, 8)), Block(8, 16, 2)),
        ["1", "2"],
    ),
    "a block alone is the stage, not its last part": (chain(Block(3, 4), Block(4, 8, 2), Block(8, 8, 2)), ["0", "1"]),
    "norm and convolution that halve together": (
        chain(
            conv(3, 4, 4, 5),
            chain(Block(4, 4), Block(4, 4)),
            chain(nn.BatchNorm2d(4), conv(4, 8, 2)),
            chain(Block(8, 8)),
            chain(nn.BatchNorm2d(8), nn.ReLU(), conv(8, 16, 2)),
            chain(Block(16, 16)),
        ),
        ["1", "3"],
    ),
    "halved in the middle of a chain within a chain": (
        chain(chain(chain(conv(3, 4), conv(4, 4), nn.ReLU()), chain(conv(4, 8, 2), conv(8, 8))), chain(conv(8, 8, 2))),
        ["0.0", "0"],
    ),
    "the largest chain that ends there gives the name": (
        chain(chain(conv(3, 4), chain(conv(4, 4), chain(nn.ReLU()))), conv(4, 8, 2)),
        ["0"],
    ),
    "a pooling before the classifier is none": (
        chain(conv(3, 4), conv(4, 4), nn.MaxPool2d(2), conv(4, 4), conv(4, 4), nn.MaxPool2d(2), *HEAD),
        ["1"],
    ),
    "a pooling to one position before a convolution is none": (
        chain(conv(3, 4), conv(4, 4), conv(4, 8, 2), conv(8, 8), nn.AdaptiveAvgPool2d(1), conv(8, 9, size=1)),
        ["1"],
    ),
    "a convolution without padding does not halve": (
        chain(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3))
        + chain(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)),
        ["1", "4"],
    ),
    "a wrapped network is looked into": (
        chain(Norm(), chain(chain(conv(3, 4), conv(4, 4)), conv(4, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
        ["1.0"],
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_stages_of_a_little_network(rule: str) -> None:
    net, expected = CASES[rule]
    assert find_stages(net.eval(), X) == expected


class InForward(nn.Module):
    """Down-sampling that no module does, and parts that are called in another order than they were made."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.c, self.b, self.a = conv(8, 8), conv(4, 8), conv(4, 4), conv(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.b(self.a(x).relu()).relu()
        x = self.c(F.max_pool2d(x, 2)).relu()
        return self.last(x[:, :, ::2, ::2]).mean((2, 3))  # type: ignore[no-any-return]


def test_pooling_in_forward_is_seen_by_the_maps_on_both_its_sides() -> None:
    assert find_stages(InForward(), X) == ["b"]


class Wrapped(nn.Module):
    """A network within a network: what comes out is no map."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = chain(chain(conv(3, 4), conv(4, 4)), conv(4, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))  # type: ignore[no-any-return]


def test_a_network_within_a_network_is_looked_into() -> None:
    assert find_stages(Wrapped(), X) == ["backbone.0"]
    resnet = nn.Sequential(Norm(), models.resnet18())
    assert find_stages(resnet, torch.zeros(1, 3, 64, 64)) == ["1.layer1", "1.layer2", "1.layer3"]


def test_a_branch_is_no_stage_of_its_own() -> None:
    """The shortcut's convolution is called last in its block, as torchvision's downsample is."""
    net = models.resnet18().eval()
    assert find_stages(net, torch.zeros(1, 3, 64, 96)) == ["layer1", "layer2", "layer3"]
    assert channels_at(net, ["layer1", "layer3.0.conv1"]) == {"layer1": 64, "layer3.0.conv1": 256}


@pytest.mark.parametrize("height", [32, 33, 36, 41, 47, 64, 65])
def test_any_size_of_the_example_gives_the_same_stages(height: int) -> None:
    net = chain(conv(3, 4), Block(4, 4), Block(4, 8, 2), Block(8, 16, 2), Block(16, 32, 2))
    assert find_stages(net, torch.zeros(1, 3, height, height + 7)) == ["1", "2", "3"]


def refused(net: nn.Module, *example: Any) -> str:
    with pytest.raises(UsageError) as caught:
        find_stages(net, *example)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_that_halves_nothing_is_one_line_with_the_maps_to_choose_from() -> None:
    assert refused(chain(conv(3, 4), nn.ReLU(), chain(conv(4, 4))), X) == (
        "no stages found in Sequential: a stage has at least two convolutions; name sites "
        "(modules whose outputs are maps: 0, 1, 2, 2.0)"
    )


def test_a_transformer_and_a_network_without_convolutions_are_one_line() -> None:
    with torch.device("meta"):
        assert refused(models.vit_b_16()) == (
            "no stages found in VisionTransformer: a stage has at least two convolutions; name sites "
            "(modules whose outputs are maps: conv_proj)"
        )
        assert refused(chain(nn.Flatten(), nn.Linear(12, 2))) == (
            "Sequential has no 2-d convolution; pass an input that it takes as `example`"
        )
    assert refused(chain(nn.Flatten(), nn.Linear(12, 2)), torch.zeros(1, 3, 2, 2)) == (
        "no stages found in Sequential: the output of none of its modules has shape B, C, H, W"
    )


def test_an_example_that_the_network_cannot_take_is_one_line() -> None:
    assert refused(conv(3, 4), torch.zeros(1, 5, 8, 9)).startswith(
        "Conv2d cannot take an input of shape 1x5x8x9 (RuntimeError: Given groups=1, weight of size [4, 3, 3, 3], "
    )
