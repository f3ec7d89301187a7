"""Networks described, and filled with weights that no part starts with."""

from typing import Any

import torch
from torch import nn

from bamgate.config import AttentionConfig
from bamgate.gates import fingerprint, load_gate
from bamgate.weights import Network, build

MEAN, STD = (120.5, 110.0, 100.0), (60.25, 61.0, 62.0)  # of each channel's bytes


def described(attention: AttentionConfig | None = None, *, model: str = "resnet8", **changes: Any) -> Network:
    attention = attention or AttentionConfig()
    values: dict[str, Any] = {"num_classes": 10, "in_channels": 3, "image_size": (32, 32)}
    values |= changes
    values = {"mean": MEAN[: values["in_channels"]], "std": STD[: values["in_channels"]], **values}
    values["gate_fingerprint"] = fingerprint(load_gate(attention.gate))
    return Network(**{"model": model, "attention": attention, **values})


def filled(network: Network, *, seed: int = 0) -> nn.Module:
    """Every parameter and statistic is drawn anew; in evaluation mode."""
    net = build(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                statistics: Any = (module.weight, module.bias, module.running_mean, module.running_var)
                for tensor in statistics[:3]:
                    tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
                statistics[3].copy_(0.5 + torch.rand(statistics[3].shape, generator=generator))
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return net.eval()
