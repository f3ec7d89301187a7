"""What is needed to rebuild a network, except its weights."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import nn

from bamgate.config import AttentionConfig
from bamgate.errors import DataError, UsageError, nearest
from bamgate.gates import Gate, Stored, fingerprint, has_fingerprint, stored_gate
from bamgate.networks import Size
from bamgate.networks.build import build_model
from bamgate.record.metric import FIRST_TASK

LARGEST = 1 << 14  # pixels per side: the stored size, which may be damaged, decides how much memory a trial takes


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network by its names and sizes.

    Args:
        model: name of the network.
        attention: the attention at its sites, with the name of the gate.
        num_classes: number of outputs.
        in_channels: channels of its images.
        image_size: H, W in pixels of the images it was built for, which may decide the stem; it takes any size.
        gate_fingerprint: of the gate's function (bamgate.gates.fingerprint), to notice another one of the same name.
        mean, std: of each channel of the training images, on the scale 0 to 255; images are normalised by them.
        dataset: the data set it was trained on; None if that is unknown.
        class_names: of its outputs in order, if they are names of folders.
        gate_source_sha256: of the source of a gate that is code; None for all others.
        gate_places: where that code may be.
        source: the file that holds this description, for messages.
        precision, channels_last, batch_size: how the run evaluated the test images: "fp32" or "bf16", the memory
            layout, and how many files at a time (None if they were not files). Other values round differently, so a
            count of correct answers may differ.
        task: what it was trained for.
    """

    model: str
    attention: AttentionConfig
    num_classes: int
    in_channels: int
    image_size: Size
    gate_fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str | None = None
    class_names: tuple[str, ...] | None = None
    gate_source_sha256: str | None = None
    gate_places: tuple[Path, ...] = field(default=(), compare=False)
    source: str = field(default="", compare=False)
    precision: str = "fp32"
    channels_last: bool = True
    batch_size: int | None = None
    task: str = FIRST_TASK

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, without what holds for this machine alone."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        del plain["gate_places"], plain["source"]
        if self.gate_source_sha256 is None:
            del plain["gate_source_sha256"]
        if self.task == FIRST_TASK:  # as every file was before there was another
            del plain["task"]
        return plain

    @staticmethod
    def from_dict(plain: object, source: str) -> "Network":
        """The inverse of `to_dict`; DataError, which names `source` and the key, if a value is wrong."""
        known = [item.name for item in fields(Network) if item.name not in ("gate_places", "source")]
        values = _keys(plain, known, source, "network")
        for name in ("model", "gate_fingerprint"):
            _check(values, name, isinstance(values.get(name), str), "text", source)
        for name in ("num_classes", "in_channels"):
            _check(values, name, _is_count(values.get(name)), "a whole number above 0", source)
        dataset = values.get("dataset")
        _check(values, "dataset", dataset is None or isinstance(dataset, str), "text or null", source)
        size = values.get("image_size")
        is_size = isinstance(size, list) and len(size) == 2 and all(_is_count(n) and n <= LARGEST for n in size)
        _check(values, "image_size", is_size, f"[height, width] in pixels, up to {LARGEST} each", source)
        for name in ("mean", "std"):
            _check(values, name, _is_a_number_a_channel(values, name), "a list of one number per channel", source)
        sha256 = values.get("gate_source_sha256")
        _check(values, "gate_source_sha256", sha256 is None or isinstance(sha256, str), "text", source)
        task = values.get("task", FIRST_TASK)
        _check(values, "task", isinstance(task, str), "text", source)
        names = values.get("class_names")
        is_names = (
            isinstance(names, list) and len(names) == values["num_classes"] and all(type(n) is str for n in names)
        )
        _check(values, "class_names", names is None or is_names, "null or a list of one name per class", source)
        _check_arithmetic(values, source)
        attention = read_attention(values.get("attention"), source)
        lists = {name: tuple(values[name]) for name in ("image_size", "mean", "std")}
        own = {"attention": attention, "class_names": names and tuple(names), "source": source}
        return Network(**{**values, **lists, **own})


def read_attention(plain: object, source: str) -> AttentionConfig:
    """A stored attention configuration; DataError, which names `source`, if it is not valid."""
    values = _keys(plain, [item.name for item in fields(AttentionConfig)], source, "attention")
    try:
        return AttentionConfig(**values)
    except UsageError as error:
        raise DataError(f"{source}: attention: {error}") from None


def _keys(plain: object, known: Iterable[str], source: str, what: str) -> Mapping[str, Any]:
    if not isinstance(plain, dict):
        raise DataError(f"{source}: {what} must be a table of names and values, got {plain!r}")
    names = list(known)
    for key in plain:
        if key not in names:
            raise DataError(f"{source}: {what} has an unknown key {key!r}{nearest(str(key), names)}")
    return plain


def _check(values: Mapping[str, Any], name: str, holds: bool, expected: str, source: str) -> None:
    if not holds:
        found = f"got {values[name]!r}" if name in values else "it is missing"
        raise DataError(f"{source}: {name} must be {expected}, {found}")


def _check_arithmetic(values: Mapping[str, Any], source: str) -> None:
    """Check the fields that older files do not have; a missing one has its default."""
    precision, last = values.get("precision", "fp32"), values.get("channels_last", True)
    batch = values.get("batch_size")
    _check(values, "precision", precision in ("fp32", "bf16"), "fp32 or bf16", source)
    _check(values, "channels_last", isinstance(last, bool), "true or false", source)
    _check(values, "batch_size", batch is None or _is_count(batch), "a whole number above 0 or null", source)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_a_number_a_channel(values: Mapping[str, Any], name: str) -> bool:
    numbers = values.get(name)
    if not isinstance(numbers, list) or not all(type(n) is float and math.isfinite(n) for n in numbers):
        return False
    return len(numbers) == values["in_channels"] and (name == "mean" or min(numbers) > 0)


def build(network: Network, gate: Gate | None = None, *, allow_code: bool = False) -> nn.Module:
    """The network with random weights, for `load_weights` to replace.

    Args:
        gate: the gate that the configuration names; if it is None, it is looked up by that name.
        allow_code: run the gate if it is code, provided that its source has not changed.

    Raises:
        UsageError: a name is unknown, or refers to code that must not be run; or the gate is not the function that the
            weights were trained with.
    """
    part = gate or stored_gate(_stored(network), allow_code=allow_code)
    if not has_fingerprint(part, network.gate_fingerprint):
        raise UsageError(
            f"gate {part.name!r} is not the function that these weights were trained with "
            f"({network.attention.gate!r}, fingerprint {network.gate_fingerprint}; this one is {fingerprint(part)})"
        )
    return build_model(
        network.model,
        network.attention,
        part,
        num_classes=network.num_classes,
        in_channels=network.in_channels,
        image_size=network.image_size,
        seed=0,
    )


def _stored(network: Network) -> Stored:
    return Stored(
        source=network.source or "the network",
        name=network.attention.gate,
        sha256=network.gate_source_sha256,
        places=network.gate_places,
    )
