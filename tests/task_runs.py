"""Runs of a made-up task that an installed package brings."""

from dataclasses import replace
from pathlib import Path

import pytest
from task_samples import SHADES, Brightness, install

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.data import DATASETS
from bamgate.tasks import TASKS

TRAINING = TrainingConfig(epochs=2, batch_size=16, lr=0.02)
CONFIG = RunConfig(dataset="shades-brightness", attention=AttentionConfig(gate="tanh"), training=TRAINING)


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with the task is installed; nobody has imported it."""
    folder = install(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(str(folder))
    for registry in (TASKS, DATASETS):
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
        monkeypatch.setattr(registry, "_plugged", {})
    return folder


def added(task: Brightness) -> RunConfig:
    """The configuration of a cell with this task, which the test itself registers."""
    TASKS.register(task.name, task)
    DATASETS.register(f"shades-{task.name}", replace(SHADES, name=f"shades-{task.name}", task=task.name))
    return replace(CONFIG, dataset=f"shades-{task.name}")


def cell(out: Path, config: RunConfig = CONFIG) -> Path:
    return out / "cells" / config.cell
