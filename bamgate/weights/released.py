"""Read and write checkpoints of the authors' code, with their names for the parts of a network.

Their training script stores {"epoch", "arch", "state_dict", "best_prec1", "optimizer"}; every name starts with
"module.", from DataParallel. The backbone has the names of torchvision's ResNet v1.5. The BAM after stage k is called
`bam{k}` there and `layer{k}.attention` here. Source: the released code, github.com/Jongchan/attention-module
(MODELS/bam.py, MODELS/model_resnet.py).
"""

import io
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bamgate.config import AttentionConfig
from bamgate.data import MEAN, STD
from bamgate.errors import DataError, UsageError
from bamgate.gates import fingerprint, load_gate
from bamgate.networks import Size
from bamgate.record.storage import write_atomic
from bamgate.weights.files import plain
from bamgate.weights.network import Network
from bamgate.weights.state_dict import shown, state_dict_of
from bamgate.weights.strict import shape

PREFIX = "module."
# Our name of each part of a BAM -> theirs.
PARTS = {
    "channel.reduce": "channel_att.gate_c.gate_c_fc_0",
    "channel.norm": "channel_att.gate_c.gate_c_bn_1",
    "channel.expand": "channel_att.gate_c.gate_c_fc_final",
    "spatial.hidden.0": "spatial_att.gate_s.gate_s_conv_reduce0",
    "spatial.hidden.1": "spatial_att.gate_s.gate_s_bn_reduce0",
    "spatial.hidden.3": "spatial_att.gate_s.gate_s_conv_di_0",
    "spatial.hidden.4": "spatial_att.gate_s.gate_s_bn_di_0",
    "spatial.hidden.6": "spatial_att.gate_s.gate_s_conv_di_1",
    "spatial.hidden.7": "spatial_att.gate_s.gate_s_bn_di_1",
    "spatial.final": "spatial_att.gate_s.gate_s_conv_final",
}
_OURS = {theirs: ours for ours, theirs in PARTS.items()}
_THEIR_KEY = re.compile(r"bam(?P<stage>[123])\.(?P<part>.+)\.(?P<leaf>\w+)")
_OUR_KEY = re.compile(r"layer(?P<stage>[123])\.attention\.(?P<part>.+)\.(?P<leaf>\w+)")

# Numbers of blocks in the four stages, whether a block has a third convolution, and the input width of the first
# block's second convolution -> network. Names and shapes do not show where the stride is; in the authors' code it is in
# the 3x3.
_MODELS: dict[tuple[tuple[int, ...], bool, int], str] = {
    ((2, 2, 2, 2), False, 64): "resnet18",
    ((3, 4, 6, 3), False, 64): "resnet34",
    ((3, 4, 6, 3), True, 64): "resnet50-v1.5",
    ((3, 4, 23, 3), True, 64): "resnet101-v1.5",
    ((3, 4, 6, 3), True, 4): "resnext50-32x4d-v1.5",
}
AUTHORS_MODELS = ("resnet18", "resnet34", "resnet50-v1.5", "resnet101-v1.5")
_LANDMARKS = ("conv1.weight", *(f"layer{k}.0.conv2.weight" for k in (1, 2, 3, 4)), "fc.weight")


def our_key(theirs: str) -> str:
    """Our name of a parameter or buffer. Outside a BAM, or if it is unknown, the name stays, without "module."."""
    key = theirs.removeprefix(PREFIX)
    match = _THEIR_KEY.fullmatch(key)
    if match is None or match["part"] not in _OURS:
        return key
    return f"layer{match['stage']}.attention.{_OURS[match['part']]}.{match['leaf']}"


def their_key(ours: str) -> str:
    """The authors' name of a parameter or buffer of ours."""
    match = _OUR_KEY.fullmatch(ours)
    if match is None:
        return PREFIX + ours
    return f"{PREFIX}bam{match['stage']}.{PARTS[match['part']]}.{match['leaf']}"


def read_released(content: Mapping[str, Any], path: Path, model: str | None) -> tuple[Network, dict[str, Tensor]]:
    """Network and weights, by our names, from a checkpoint of the authors' code or of torchvision's ResNets.

    Args:
        content: what torch.load returned: a dictionary as training scripts write it, or its state_dict alone.
        path: the file, for errors.
        model: the network; if it is None, it is found by the keys, with the stride in the 3x3.

    Raises:
        DataError: it is not such a checkpoint.
    """
    theirs = state_dict_of(content, path)
    _refuse_cbam(theirs, path)
    state = _by_our_names(theirs, path)
    _check_landmarks(state, path)
    has_bam = any(name.removeprefix(PREFIX).startswith("bam") for name in theirs)
    attention = AttentionConfig(layout="released") if has_bam else AttentionConfig(name="none", gate="none")
    channels = state["conv1.weight"].shape[1]
    network = Network(
        model=model or _model(state, path),
        attention=attention,
        num_classes=len(state["fc.weight"]),
        in_channels=channels,
        image_size=_image_size(state["conv1.weight"], path),
        gate_fingerprint=fingerprint(load_gate(attention.gate)),
        mean=_of_photographs(MEAN, channels),
        std=_of_photographs(STD, channels),
    )
    return network, _with_counters(state)


def _of_photographs(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """ImageNet's figures on the scale 0 to 255; for images that are not RGB, their mean over the channels."""
    of_each = values if channels == len(values) else (sum(values) / len(values),) * channels
    return tuple(round(255 * value, 3) for value in of_each)


def _refuse_cbam(theirs: Mapping[str, Tensor], path: Path) -> None:
    cbam = [name for name in theirs if ".cbam." in name]
    if cbam:
        raise DataError(f"{path} holds the authors' CBAM ({cbam[0]}); bamgate reads only their BAM and plain networks")


def _by_our_names(theirs: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        if our_key(name) in state:
            raise DataError(f"{path} holds {our_key(name)} twice, once as {name}")
        state[our_key(name)] = tensor
    return state


def _check_landmarks(state: Mapping[str, Tensor], path: Path) -> None:
    """DataError unless the tensors that show the depth and the widths of a ResNet are there."""
    absent = [name for name in _LANDMARKS if name not in state]
    if absent:
        raise DataError(
            f"{path} is not a ResNet with torchvision's names, as in the authors' code: it has no {', '.join(absent)}; "
            f"its keys: {shown(state)}"
        )
    for name in _LANDMARKS:
        if state[name].ndim != (2 if name == "fc.weight" else 4) or 0 in state[name].shape:
            raise DataError(f"{path}: {name} is {shape(state[name])}, which is not the shape of a ResNet's weight")


def _model(state: Mapping[str, Tensor], path: Path) -> str:
    blocks = tuple(len({key.split(".")[1] for key in state if _is_block(key, stage)}) for stage in (1, 2, 3, 4))
    deep, width = "layer1.0.conv3.weight" in state, state["layer1.0.conv2.weight"].shape[1]
    if (blocks, deep, width) not in _MODELS:
        kind = "three" if deep else "two"
        raise DataError(
            f"{path} has {'-'.join(map(str, blocks))} blocks of {kind} convolutions, the second {width} channels wide, "
            "which fits no known network; name one (--model)"
        )
    return _MODELS[blocks, deep, width]


def _is_block(key: str, stage: int) -> bool:
    return re.match(rf"layer{stage}\.\d+\.", key) is not None


def _image_size(stem: Tensor, path: Path) -> Size:
    sizes = {7: (224, 224), 3: (32, 32)}
    if stem.shape[2] not in sizes:
        raise DataError(f"{path}: conv1.weight is {shape(stem)}; bamgate knows stems of 7x7 and 3x3")
    return sizes[stem.shape[2]]


def _with_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """PyTorch before 0.4.1 counted no batches: if no norm has a counter, give each one that is 0."""
    if any(name.endswith(".num_batches_tracked") for name in state):
        return state
    norms = [name.removesuffix("running_var") for name in state if name.endswith(".running_var")]
    return state | {f"{norm}num_batches_tracked": torch.tensor(0) for norm in norms}


def write_released(path: Path, network: Network, state: Mapping[str, Tensor]) -> None:
    """Write a checkpoint that the authors' code loads. Epoch and best_prec1 are 0, and there is no optimizer.

    Raises:
        UsageError: their code has no such network.
    """
    check_released(network)
    theirs = {their_key(name): tensor for name, tensor in plain(state).items()}
    buffer = io.BytesIO()
    torch.save({"epoch": 0, "arch": "resnet", "state_dict": theirs, "best_prec1": 0.0}, buffer)
    write_atomic(path, buffer.getvalue())


def check_released(network: Network) -> None:
    """UsageError unless the authors' code has this network."""
    name, attention = network.model, network.attention
    if f"{name}-v1.5" in _MODELS.values():
        raise UsageError(
            f"{name} has its strides in other layers than the authors' code, under the same keys; train {name}-v1.5"
        )
    if name not in AUTHORS_MODELS:
        raise UsageError(f"the authors' code has no {name} (allowed: {', '.join(AUTHORS_MODELS)})")
    if attention.name == "none":
        return
    # gate_init may differ: how the weights were initialised no longer matters.
    wanted = AttentionConfig(layout="released", gate_init=attention.gate_init)
    for item in fields(AttentionConfig):
        given, theirs = getattr(attention, item.name), getattr(wanted, item.name)
        if given != theirs:
            hint = "; convert with --layout released" if item.name == "layout" else ""
            what = "attention" if item.name == "name" else item.name
            raise UsageError(f"the authors' code has only {what} {theirs!r}, this network has {given!r}{hint}")
