"""One frozen, self-validating description of a run. It is stored with the run, and its hash names the cell.

Only the standard library is imported, so that a record can be read without torch.
"""

import functools
import hashlib
import json
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, ClassVar

from bamgate.config.options import check_fields, option
from bamgate.errors import UsageError

SCHEMA = 1
LARGEST_SEED = 2**31 - 1
LARGEST_FACTOR = 1e38  # of weights and gradients: fp32 overflows at 3.4e38

# Options that an attention module does not have. They are refused: otherwise a value for one would be accepted and
# ignored, and two equal networks would count as different arms.
_ABSENT = {
    "bam": (),
    "se": ("branches", "combine", "dilation", "layout"),
    "cbam": ("branches", "combine", "dilation", "layout"),
    "extra-block": ("branches", "combine", "dilation", "layout", "reduction", "residual", "placement", "gate_init"),
    "none": ("branches", "combine", "dilation", "layout", "reduction", "residual", "placement", "gate_init"),
}
WITHOUT_GATE = ("extra-block", "none")


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """The attention module at each site, and its gate. None is filled in as in the paper of that module."""

    ALWAYS_HASHED: ClassVar = frozenset(
        {"name", "gate", "branches", "combine", "reduction", "dilation", "residual", "placement", "layout", "gate_init"}
    )

    name: str = option("bam", "attention module", label="attention", choices=tuple(_ABSENT))
    gate: str = option("sigmoid", "gate: a name, expr:FORMULA, pkg.mod:attr or ./file.py:attr; several with commas")
    branches: str = option("both", "BAM: which branches", choices=("both", "channel", "spatial", "full"))
    combine: str | None = option(None, "BAM: how the branches are combined (sum)", choices=("sum", "product", "max"))
    reduction: int = option(16, "reduction ratio r: the module works on C / r channels inside", low=1)
    dilation: int = option(4, "BAM: dilation of the spatial branch", low=1)
    residual: bool | None = option(None, "scale is 1 + g instead of g (bam: yes; se, cbam: no)")
    placement: str | None = option(
        None, "at the bottlenecks or in each block (bam: bottleneck)", choices=("bottleneck", "block")
    )
    layout: str = option("paper", "BAM: where the batch norms are", choices=("paper", "counted", "released"))
    gate_init: str = option("default", "zero: every logit starts at 0", choices=("default", "zero"))

    def __post_init__(self) -> None:
        check_fields(self)
        self._refuse_inert()
        is_bam = self.name == "bam"
        # Filled in only now: `_refuse_inert` must still see which options were set.
        defaults = {
            "combine": "product" if self.layout == "released" else "sum",
            "residual": is_bam,
            "placement": "bottleneck" if self.name in ("bam", "extra-block") else "block",
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _refuse_inert(self) -> None:
        """UsageError if an option is set that cannot change the network."""
        inert = dict.fromkeys(_ABSENT[self.name], f"attention {self.name!r} has no such option")
        if self.name == "bam" and self.branches != "both":
            inert["combine"] = f"branches={self.branches!r} leaves nothing to combine"
        if self.name == "bam" and self.branches == "channel":
            inert["dilation"] = "the channel branch has no convolution"
        # "counted" widens the norm of a one-map spatial branch; these two have none.
        if self.layout == "counted" and self.branches in ("channel", "full"):
            raise UsageError(f"layout 'counted' is the same as 'paper' for branches={self.branches!r}; leave it out")
        for name, why in inert.items():
            if getattr(self, name) not in (None, *_standing_values(name, self)):
                raise UsageError(f"{name}={getattr(self, name)!r} would have no effect: {why}; leave it out")
        if self.name in WITHOUT_GATE and self.gate != "none":
            why = f"attention {self.name!r} has no gate"
            raise UsageError(f"gate={self.gate!r} would have no effect: {why}; leave it out")


def _standing_values(name: str, attention: AttentionConfig) -> tuple[Any, ...]:
    """What an inert option may hold: its default, which a stored configuration spells out."""
    resolved = {
        "combine": ("product" if attention.layout == "released" else "sum",),
        "residual": (False,),
        "placement": ("bottleneck" if attention.name == "extra-block" else "block",),
    }
    return resolved.get(name, (getattr(AttentionConfig, name),))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a network is trained. Recipes (bamgate.config.recipes) are named instances of this."""

    ALWAYS_HASHED: ClassVar = frozenset(
        {"epochs", "batch_size", "lr", "momentum", "nesterov", "weight_decay", "attention_weight_decay"}
        | {"schedule", "warmup_epochs", "milestones", "gamma", "label_smoothing", "augment", "crop_padding"}
        | {"train_limit", "precision", "channels_last", "compile"}
    )

    epochs: int = option(200, "passes over the training set", low=1)
    batch_size: int = option(128, "images per step; an incomplete last batch is dropped", low=2)
    lr: float = option(0.1, "peak learning rate", low=0, above_low=True)
    momentum: float = option(0.9, "momentum of SGD", low=0, high=1)
    nesterov: bool = option(False, "Nesterov momentum")
    weight_decay: float = option(5e-4, "weight decay of all parameters except a gate's own", low=0)
    attention_weight_decay: float | None = option(
        None, "weight decay of the attention modules (as weight-decay)", low=0
    )
    schedule: str = option("cosine", "learning rate over time", choices=("constant", "step", "cosine", "one-cycle"))
    warmup_epochs: float = option(0.0, "epochs during which the learning rate rises from 0", low=0)
    milestones: tuple[float, ...] = option(
        (), "schedule step: epochs at which the learning rate drops", low=0, above_low=True
    )
    gamma: float = option(0.2, "schedule step: factor at each drop", low=0, high=1, above_low=True)
    label_smoothing: float = option(0.0, "share of the target that is spread over all classes", low=0, high=1)
    augment: str = option("none", "augmentation", choices=("none", "crop", "crop-flip", "resized-crop-flip"))
    crop_padding: int = option(4, "pixels of zero padding around the image before it is cropped", low=1)
    train_limit: int | None = option(None, "train on N images only, to try things out", low=2)
    precision: str = option("fp32", "arithmetic of the network; gates always compute in fp32", choices=("fp32", "bf16"))
    channels_last: bool = option(True, "NHWC memory layout")
    compile: str = option("off", "torch.compile", choices=("off", "default", "cuda-graphs"))

    def __post_init__(self) -> None:
        check_fields(self)
        if self.attention_weight_decay is None:
            object.__setattr__(self, "attention_weight_decay", self.weight_decay)
        for name in ("lr", "weight_decay", "attention_weight_decay"):
            if getattr(self, name) > LARGEST_FACTOR:
                raise UsageError(f"{name} must be at most {LARGEST_FACTOR:g}, got {getattr(self, name):g}")
        self._check_schedule()

    def _check_schedule(self) -> None:
        if self.schedule == "step" and not self.milestones:
            raise UsageError("schedule 'step' needs milestones, for instance --milestones 60,120,160")
        if self.schedule != "step" and self.milestones:
            raise UsageError(f"milestones would have no effect: schedule {self.schedule!r} has none; leave them out")
        if self.schedule != "step" and self.gamma != type(self).gamma:
            raise UsageError(f"gamma would have no effect: schedule {self.schedule!r} has no drops; leave it out")
        if self.augment in ("none", "resized-crop-flip") and self.crop_padding != type(self).crop_padding:
            raise UsageError(f"crop_padding would have no effect: augment {self.augment!r} pads nothing; leave it out")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise UsageError(f"milestones must increase, got {_numbers(self.milestones)}")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise UsageError(f"milestones must be below epochs ({self.epochs}), got {_numbers(self.milestones)}")
        if self.schedule == "one-cycle" and self.warmup_epochs == 0:
            raise UsageError("schedule 'one-cycle' needs warmup_epochs above 0, the epochs of its rising part")
        if self.warmup_epochs >= self.epochs:
            raise UsageError(f"warmup_epochs must be below epochs ({self.epochs}), got {self.warmup_epochs:g}")
        if self.nesterov and self.momentum == 0:
            raise UsageError("nesterov needs momentum above 0 (or leave it out: --no-nesterov)")


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One cell: a network, its attention, a data set, a recipe and a seed. No path, device or number of processes.

    A new field, here or in a section, must not change the ids of cells on record. So a field is hashed and stored only
    if it does not hold its default, and the default of a new field can never change. ALWAYS_HASHED names the fields
    that the first version hashed; it never grows.
    """

    ALWAYS_HASHED: ClassVar = frozenset({"dataset", "model", "seed", "attention", "training"})

    dataset: str = option("cluttered-digits", "data set (bamgate data list)")
    model: str = option("resnet8", "network (bamgate models); the default depends on the data set")
    image_size: int | None = option(
        None, "image folders: pixels per side (224); up to 64, ResNets get a 3x3 stem", low=8
    )
    seed: int = option(0, "seed of initial weights, order and augmentation", low=0, high=LARGEST_SEED)
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_fields(self)
        training = self.training
        if self.attention.name == "none" and training.attention_weight_decay != training.weight_decay:
            raise UsageError(
                "attention_weight_decay would have no effect: attention 'none' has no parameters; leave it out"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as in config.json."""
        # Through JSON and back, so that what is hashed now equals what is hashed from the stored file: tuples are
        # lists.
        plain: dict[str, Any] = json.loads(json.dumps(self, default=_hashed_fields))
        return plain

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the whole resolved configuration."""
        return config_hash(self.to_dict())

    @property
    def cell(self) -> str:
        """The cell's id: the first 16 hex digits of the hash."""
        return self.sha256[:16]

    @property
    def design_sha256(self) -> str:
        """Hash without gate and seed: cells with the same one may be compared."""
        return config_hash(self.design())

    def design(self) -> dict[str, Any]:
        """The configuration without gate and seed."""
        plain = self.to_dict()
        del plain["seed"], plain["attention"]["gate"]
        return plain


def _hashed_fields(config: Any) -> dict[str, Any]:
    always: frozenset[str] = getattr(config, "ALWAYS_HASHED", frozenset())
    kept = [item for item in fields(config) if item.name in always or not _holds_default(config, item)]
    return {item.name: getattr(config, item.name) for item in kept}


def _holds_default(config: Any, item: "Field[Any]") -> bool:
    """Whether a field is what it would be if nobody had set it."""
    value = getattr(config, item.name)
    default = item.default if item.default_factory is MISSING else item.default_factory()
    if default is MISSING:
        return False
    if default is not None or value is None:
        return bool(value == default)
    # The default is None, which __post_init__ fills in from other fields: see what it would fill in here.
    try:
        return bool(value == getattr(replace(config, **{item.name: None}), item.name))
    except UsageError:
        return False


def config_hash(plain: dict[str, Any]) -> str:
    """The sha256, in hex, of a configuration or a part of one, as it is in config.json."""
    # Keys are sorted and spaces left out, so that the hash depends on the values alone.
    text = json.dumps({"schema": SCHEMA, **plain}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
