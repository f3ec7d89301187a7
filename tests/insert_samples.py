"""Networks of other libraries to put attention into, and little ones with what can go wrong."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from bamgate.config import AttentionConfig

# Module -> channels, read off each network: the last before each halving of the map.
FOUND: dict[str, dict[str, int]] = {
    "resnet50": {"layer1": 256, "layer2": 512, "layer3": 1024},
    "mobilenet_v3_small": {"features.1": 16, "features.3": 24, "features.8": 48},
    "efficientnet_b0": {"features.1": 16, "features.2": 24, "features.3": 40, "features.5": 112},
    "convnext_tiny": {"features.1": 96, "features.3": 192, "features.5": 384},
    "squeezenet1_1": {"features.4": 128, "features.7": 256},
    "vgg16": {"features.3": 64, "features.8": 128, "features.15": 256, "features.22": 512},
    "densenet121": {f"features.transition{i}.conv": 64 << i for i in (1, 2, 3)},
    "shufflenet_v2_x0_5": {"stage2": 48, "stage3": 96},
    "googlenet": {"conv3": 192, "inception3b": 480, "inception4e": 832},
    "inception_v3": {"Conv2d_2b_3x3": 64, "Conv2d_4a_3x3": 192, "Mixed_5d": 288, "Mixed_6e": 768},
}
FOUND_IN_TIMM: dict[str, dict[str, int]] = {
    "resnet50": {"layer1": 256, "layer2": 512, "layer3": 1024},
    "regnety_004": {"s1": 48, "s2": 104, "s3": 208},
    "convnext_atto": {"stages.0": 40, "stages.1": 80, "stages.2": 160},
}
# Small enough to run, and one for each way of standing in a network: after a Sequential, after a module, in a chain.
SMALL: dict[str, Callable[..., nn.Module]] = {
    "resnet18": models.resnet18,
    "mobilenet_v3_small": models.mobilenet_v3_small,
    "squeezenet1_1": models.squeezenet1_1,
    "shufflenet_v2_x0_5": models.shufflenet_v2_x0_5,
}
BAM_4, SE_4, CBAM_4 = (AttentionConfig(name=name, reduction=4, gate="tanh") for name in ("bam", "se", "cbam"))


def network(name: str) -> nn.Module:
    """A small network in evaluation mode, its batch norms as if it had been trained: no two layers alike."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(4)
        net = SMALL[name](num_classes=7)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
                nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return net.eval()


class Odd(nn.Module):
    """Each of its parts is a site that cannot be."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.twice = nn.Conv2d(8, 8, 3, padding=1)
        self.never = nn.Conv2d(8, 8, 3, padding=1)
        self.listed = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)])
        self.named = nn.ModuleDict({"one": nn.Conv2d(8, 8, 3, padding=1)})
        self.flat = nn.Flatten()
        self.pair = Pair()
        self.last = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(self.first(x)))
        for part in self.listed:
            x = part(x)
        x, _ = self.pair(self.named["one"](x))
        return self.last(self.flat(x.mean((2, 3), keepdim=True)))  # type: ignore[no-any-return]


class Pair(nn.Module):
    """Puts out two maps."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def image(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tensors(net: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in net.state_dict().items()}


def hooks(net: nn.Module) -> int:
    """How many forward hooks there are in a network."""
    parts: list[Any] = list(net.modules())
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in parts)
