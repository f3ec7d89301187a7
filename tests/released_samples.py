"""Checkpoints as the authors' code writes them, made from the list of its names, and what its networks compute."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import models

WIDTHS = {"resnet18": (64, 128, 256), "resnet50": (256, 512, 1024)}


def norm_entries(name: str, m: int) -> dict[str, tuple[int, ...]]:
    statistics = {f"{name}.{part}": (m,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**statistics, f"{name}.num_batches_tracked": ()}


def bam_entries(k: int, c: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a BAM on c channels, in the order in which the authors' modules are made."""
    m = c // 16
    channel, spatial = f"module.bam{k}.channel_att.gate_c.", f"module.bam{k}.spatial_att.gate_s."
    return {
        f"{channel}gate_c_fc_0.weight": (m, c),
        f"{channel}gate_c_fc_0.bias": (m,),
        **norm_entries(f"{channel}gate_c_bn_1", m),
        f"{channel}gate_c_fc_final.weight": (c, m),
        f"{channel}gate_c_fc_final.bias": (c,),
        f"{spatial}gate_s_conv_reduce0.weight": (m, c, 1, 1),
        f"{spatial}gate_s_conv_reduce0.bias": (m,),
        **norm_entries(f"{spatial}gate_s_bn_reduce0", m),
        f"{spatial}gate_s_conv_di_0.weight": (m, m, 3, 3),
        f"{spatial}gate_s_conv_di_0.bias": (m,),
        **norm_entries(f"{spatial}gate_s_bn_di_0", m),
        f"{spatial}gate_s_conv_di_1.weight": (m, m, 3, 3),
        f"{spatial}gate_s_conv_di_1.bias": (m,),
        **norm_entries(f"{spatial}gate_s_bn_di_1", m),
        f"{spatial}gate_s_conv_final.weight": (1, m, 1, 1),
        f"{spatial}gate_s_conv_final.bias": (1,),
    }


def drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Any values that keep the maps at their size; nothing at the value that it starts with."""
    if name.endswith("num_batches_tracked"):
        return torch.randint(1, 10_000, shape, generator=generator)
    if name.endswith("running_var"):
        return 0.5 + torch.rand(shape, generator=generator)
    x = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return x * (2 / x[0].numel()) ** 0.5
    return 1 + 0.2 * x if name.endswith("weight") else 0.2 * x


def authors_checkpoint(arch: str, *, small_stem: bool = False, bam: bool = True, seed: int = 0) -> dict[str, Any]:
    """What the authors' script leaves of `arch` (torchvision's name) with 10 classes, but for the optimiser."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        net = models.get_model(arch, num_classes=10)
    shapes = {f"module.{name}": tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    if small_stem:
        shapes["module.conv1.weight"] = (64, 3, 3, 3)
    if bam:
        for k, c in enumerate(WIDTHS[arch], start=1):
            shapes |= bam_entries(k, c)
    state = {name: drawn(name, shape, generator) for name, shape in shapes.items()}
    return {"epoch": 90, "arch": "resnet", "state_dict": state, "best_prec1": torch.tensor(76.86)}


def bam_of_the_authors(x: Tensor, state: dict[str, Tensor], k: int) -> Tensor:
    """att F with att = 1 + sigmoid(channel_att * spatial_att), in evaluation mode."""

    def norm(z: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        by_channel = [1, -1] + [1] * (z.ndim - 2)
        scaled = (z - mean.view(by_channel)) / (var.view(by_channel) + 1e-5).sqrt()
        return (scaled * weight.view(by_channel) + bias.view(by_channel)).clamp(min=0)

    def linear(z: Tensor, name: str) -> Tensor:
        return z @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def conv(z: Tensor, name: str, **options: int) -> Tensor:
        return F.conv2d(z, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    c, s = f"module.bam{k}.channel_att.gate_c.gate_c_", f"module.bam{k}.spatial_att.gate_s.gate_s_"
    channel = linear(norm(linear(x.mean((2, 3)), f"{c}fc_0"), f"{c}bn_1"), f"{c}fc_final")
    spatial = norm(conv(x, f"{s}conv_reduce0"), f"{s}bn_reduce0")
    for i in (0, 1):
        spatial = norm(conv(spatial, f"{s}conv_di_{i}", padding=4, dilation=4), f"{s}bn_di_{i}")
    spatial = conv(spatial, f"{s}conv_final")
    return x * (1 + torch.sigmoid(channel[:, :, None, None] * spatial))


def forward_of_the_authors(arch: str, checkpoint: dict[str, Any], x: Tensor) -> Tensor:
    """Class logits in float64: torchvision's stages, with BAM by the formula after the first three."""
    state = {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint["state_dict"].items()
    }
    net = models.get_model(arch, num_classes=10).double()
    if state["module.conv1.weight"].shape[2] == 3:
        net.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False).double()
        net.maxpool = torch.nn.Identity()
    backbone = {name.removeprefix("module."): tensor for name, tensor in state.items() if ".bam" not in name}
    net.load_state_dict(backbone)
    net.eval()
    with torch.no_grad():
        x = net.maxpool(net.relu(net.bn1(net.conv1(x.double()))))
        for k in (1, 2, 3, 4):
            x = getattr(net, f"layer{k}")(x)
            if f"module.bam{k}.spatial_att.gate_s.gate_s_conv_final.bias" in state:
                x = bam_of_the_authors(x, state, k)
        logits: Tensor = net.fc(x.mean((2, 3)))
    return logits
