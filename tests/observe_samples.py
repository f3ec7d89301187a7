"""A small network with two sites, and a count of hooks."""

from torch import nn

from bamgate.attention import BAM
from bamgate.gates import GATES
from bamgate.networks import Sites
from bamgate.networks.staged import Stage, StagedNet

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


def small_network() -> nn.Module:
    """Three stages of one convolution, a BAM with tanh after two of them: B, 3, H, W -> B, 4."""
    sites = Sites(bottleneck=lambda channels: BAM(channels, gate=GATES.get("tanh").build))
    stages = [Stage(f"layer{i}", nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)), 8) for i in (1, 2, 3)]
    return StagedNet(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), stages, num_classes=4, sites=sites).eval()


def hooks(model: nn.Module) -> int:
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in HOOKS)
