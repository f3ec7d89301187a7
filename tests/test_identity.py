"""A cell's id and the hash of its design: what changes them and what does not."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from config_samples import DEFAULT_CONFIG, default_config

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.config.options import options_of

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("", {"dataset": "digits"}),
    ("", {"model": "resnet20"}),
    ("", {"image_size": 64}),
    ("", {"seed": 1}),
    ("attention", {"name": "se", "combine": None, "residual": None, "placement": None}),
    ("attention", {"gate": "tanh"}),
    ("attention", {"branches": "spatial"}),
    ("attention", {"combine": "max"}),
    ("attention", {"reduction": 8}),
    ("attention", {"dilation": 2}),
    ("attention", {"residual": False}),
    ("attention", {"placement": "block"}),
    ("attention", {"layout": "counted"}),
    ("attention", {"gate_init": "zero"}),
    ("training", {"epochs": 10}),
    ("training", {"batch_size": 32}),
    ("training", {"lr": 0.1}),
    ("training", {"momentum": 0.8}),
    ("training", {"nesterov": False}),
    ("training", {"weight_decay": 1e-4}),
    ("training", {"attention_weight_decay": 0.0}),
    ("training", {"schedule": "cosine"}),
    ("training", {"warmup_epochs": 0.5}),
    ("training", {"schedule": "step", "milestones": (2,)}),
    ("training", {"schedule": "step", "milestones": (3,)}),
    ("training", {"schedule": "step", "milestones": (3,), "gamma": 0.1}),
    ("training", {"label_smoothing": 0.1}),
    ("training", {"augment": "crop"}),
    ("training", {"augment": "crop", "crop_padding": 2}),
    ("training", {"train_limit": 100}),
    ("training", {"precision": "bf16"}),
    ("training", {"channels_last": False}),
    ("training", {"compile": "default"}),
]


def changed(section: str, fields: dict[str, Any]) -> RunConfig:
    base = default_config()
    if not section:
        return dataclasses.replace(base, **fields)
    return dataclasses.replace(base, **{section: dataclasses.replace(getattr(base, section), **fields)})


def test_every_field_changes_the_cell_and_all_but_gate_and_seed_the_design() -> None:
    configs = [default_config(), *(changed(section, fields) for section, fields in CHANGES)]
    assert len({config.cell for config in configs}) == len(CHANGES) + 1
    kinds = {"": RunConfig, "attention": AttentionConfig, "training": TrainingConfig}
    all_fields = {(section, name) for section, kind in kinds.items() for name, *_ in options_of(kind)}
    assert {(section, name) for section, fields in CHANGES for name in fields} == all_fields
    same_design = [fields for section, fields in CHANGES if changed(section, fields).design_sha256 == base_design()]
    assert same_design == [{"seed": 1}, {"gate": "tanh"}]


def base_design() -> str:
    return default_config().design_sha256


def test_the_design_is_the_configuration_without_gate_and_seed() -> None:
    expected = json.loads(json.dumps(DEFAULT_CONFIG))
    del expected["seed"], expected["attention"]["gate"]
    assert default_config().design() == expected


def test_a_configuration_cannot_be_changed() -> None:
    config = default_config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "module",
    [
        *("config", "config.options", "config.recipes", "config.settings", "errors", "registry", "record.tables"),
        *("record.storage", "record.environment", "record.runlog", "record.collect", "reports.frames"),
        "reports.summary",
    ],
)
def test_who_reads_a_record_needs_no_torch(module: str) -> None:
    code = f"import sys, bamgate.{module}; print(sorted({{'torch', 'torchvision'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
