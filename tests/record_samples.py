"""Cells on disk, made by hand."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bamgate.config import AttentionConfig, RunConfig
from bamgate.config.recipes import RECIPES
from bamgate.record.runlog import CellLog, open_cell

ENVIRONMENT: dict[str, Any] = {
    "schema": 1,
    "env_id": "0123456789ab",
    "git_commit": "c0ffee",
    "torch": "2.9.0",
    "python": "3.12.1",
    "device": "cpu",
    "device_name": "A processor",
    "threads": 1,
}


def configuration(gate: str = "sigmoid", seed: int = 0, **attention: Any) -> RunConfig:
    return RunConfig(seed=seed, attention=AttentionConfig(gate=gate, **attention), training=RECIPES.get("quick"))


def identity(config: RunConfig, fingerprint: str = "f00d") -> dict[str, Any]:
    return {
        "schema": 1,
        "cell": config.cell,
        "config": config.to_dict(),
        "config_sha256": config.sha256,
        "design_sha256": config.design_sha256,
        "gate": {"name": config.attention.gate, "source_sha256": "50ace", "fingerprint": fingerprint},
    }


def epoch_row(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "lr": 0.1 / epoch, "train_loss": 1.5, "test_correct": 10 * epoch, "wall_s": 0.25}


def gate_row(epoch: int, site: str = "layer1", **figures: Any) -> dict[str, Any]:
    return {"epoch": epoch, "site": site, "values": 200, "attenuated": 50, "q50": 1.0, **figures}


def result(correct: int = 900, status: str = "finished") -> dict[str, Any]:
    return {
        "status": status,
        "epochs": 2,
        "correct": correct,
        "total": 1000,
        "top5_correct": 990,
        "test_loss": 0.5 if status == "finished" else None,
        "params": 12,
        "macs": 34,
        "images_per_s": 100.0,
        "wall_s": 2.0,
        "checkpoint_sha256": "abc",
    }


def begun_cell(out: Path, config: RunConfig) -> CellLog:
    log = open_cell(out, config)
    log.claim(identity(config))
    log.bind(ENVIRONMENT)
    return log


def finished_cell(
    out: Path,
    config: RunConfig,
    *,
    gates: Iterable[dict[str, Any]] = (),
    **facts: Any,
) -> CellLog:
    log = begun_cell(out, config)
    log.begin()
    ended = result(**facts)
    counts = {"test_correct": "correct", "test_top5_correct": "top5_correct", "test_total": "total"}
    last = {column: ended[name] for column, name in counts.items()}
    log.append("epochs.csv", [epoch_row(1), {**epoch_row(2), **last}])
    log.append("gates.csv", gates or [gate_row(epoch) for epoch in (0, 1, 2)])
    log.finish(ended)
    return log


def without_hashes(cell: Path) -> None:
    """Turn an ended cell into one of the first versions of bamgate, which stored no hashes."""
    content = json.loads((cell / "result.json").read_text())
    kept = {name: value for name, value in content.items() if name not in ("files", "sha256")}
    (cell / "result.json").write_text(json.dumps({**kept, "schema": 1}, indent=2, sort_keys=True) + "\n")


def resealed(cell: Path) -> None:
    """An ended cell whose files were edited, as if the run itself had written them so."""
    content = json.loads((cell / "result.json").read_text())
    rest = {name: value for name, value in content.items() if name not in ("schema", "cell", "files", "sha256")}
    CellLog(cell, cell.name).finish(rest)


def message(error: type[Exception], action: Any, *arguments: Any) -> str:
    with pytest.raises(error) as caught:
        action(*arguments)
    return str(caught.value)
