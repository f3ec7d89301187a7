"""Configurations and their errors."""

from typing import Any

from bamgate.config import RunConfig, TrainingConfig
from bamgate.config.recipes import RECIPES

DEFAULT_CONFIG: dict[str, Any] = {
    "dataset": "cluttered-digits",
    "model": "resnet8",
    "seed": 0,
    "attention": {
        "name": "bam",
        "gate": "sigmoid",
        "branches": "both",
        "combine": "sum",
        "reduction": 16,
        "dilation": 4,
        "residual": True,
        "placement": "bottleneck",
        "layout": "paper",
        "gate_init": "default",
    },
    "training": {
        "epochs": 4,
        "batch_size": 64,
        "lr": 0.2,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 0.0005,
        "attention_weight_decay": 0.0005,
        "schedule": "one-cycle",
        "warmup_epochs": 1.0,
        "milestones": [],
        "gamma": 0.2,
        "label_smoothing": 0.0,
        "augment": "none",
        "crop_padding": 4,
        "train_limit": None,
        "precision": "fp32",
        "channels_last": True,
        "compile": "off",
    },
}


def default_config() -> RunConfig:
    return RunConfig(training=RECIPES.get("quick"))


def training(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{"schedule": "constant", **changes})
