"""`bamgate run --dry-run`: the resolved configuration, what it costs, and how long it would take here."""

import datetime
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bamgate.cli.console import out, print_json
from bamgate.data import DATASETS, DataSet, Split
from bamgate.devices import cpu_threads, resolve_device
from bamgate.experiment import Execution, make_trainer
from bamgate.models import cost
from bamgate.probes import gate_sites
from bamgate.runlog import check_design, read_json
from bamgate.studies.plan import Plan

MEASURE_S = 2.0


def show(plan: Plan, execution: Execution, folder: Path, *, as_json: bool) -> None:
    """Print the plan; nothing is written and no data set is needed."""
    with cpu_threads(execution.threads):
        facts = _facts(plan, execution, folder)
    if as_json:
        print_json(facts)
        return
    print_plain = partial(out().print, markup=False)
    print_plain(_as_toml(facts))
    for name, value in facts.items():
        if name not in ("config", "gates", "seeds"):
            print_plain(f"# {name.replace('_', ' '):<20} {_text(name, value)}")


def _facts(plan: Plan, execution: Execution, folder: Path) -> dict[str, Any]:
    config, gate = plan.cells[0]
    check_design(folder, config)
    data = DATASETS.get(config.dataset)
    device = resolve_device(execution.device)
    trainer = make_trainer(config, gate, data, _random_splits(data, config.training.batch_size, device), 0)
    counted = cost(trainer.model, data.image_shape)
    images = min(config.training.train_limit or data.train, data.train)
    steps = images // config.training.batch_size * config.training.epochs
    step_s, test_s = _measure(trainer, data)
    cell_s = steps * step_s + config.training.epochs * test_s
    missing = [c for c, _ in plan.cells if read_json(folder / "cells" / c.cell / "result.json") is None]
    return {
        "config": config.to_dict(),
        "gates": [gate.name for gate in plan.gates],
        "seeds": plan.seeds,
        "cells": len(plan.cells),
        "cells_missing": len(missing),
        "out": str(folder),
        "sites": list(gate_sites(trainer.model)),
        "parameters": counted.params,
        "gmacs_an_image": counted.macs / 1e9,
        "steps_a_cell": steps,
        "step_ms": round(1000 * step_s, 2),
        "seconds_a_cell": round(cell_s, 1),
        "seconds_missing": round(cell_s * len(missing), 1),
    }


def _random_splits(data: DataSet, count: int, device: torch.device) -> tuple[Split, Split]:
    """As many random images as one batch: speed does not depend on what they show."""
    channels, height, width = data.image_shape
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, height, width, channels), generator=made, dtype=torch.uint8)
    split = Split(images=images, labels=torch.arange(count) % data.classes).to(device)
    return split, split


def _measure(trainer: Any, data: DataSet) -> tuple[float, float]:
    """(seconds a step, seconds a pass over the test set), measured on this machine."""
    batch = next(iter(trainer.loader.training_batches(0)))
    trainer.model.train()
    for _ in range(3):
        trainer.step(*batch, 0)[0].item()
    start, steps = time.perf_counter(), 0
    while steps < 2 or (time.perf_counter() - start < MEASURE_S and steps < 50):
        loss, _ = trainer.step(*batch, 0)
        steps += 1
    loss.item()
    step_s = (time.perf_counter() - start) / steps
    start = time.perf_counter()
    evaluation = trainer.evaluate()
    return step_s, (time.perf_counter() - start) / evaluation.total * data.test


def _as_toml(facts: dict[str, Any]) -> str:
    """The plan as a file that --config takes; what it would cost stands below in comments."""
    config = facts["config"]
    config["attention"]["gate"] = facts["gates"]
    top = {name: value for name, value in config.items() if not isinstance(value, dict) and name != "seed"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in (top | {"seeds": facts["seeds"]}).items()]
    for section in ("attention", "training"):
        lines += ["", f"[{section}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in config[section].items() if value is not None]
    return "\n".join([*lines, ""])


def _text(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if name.startswith("seconds"):
        return f"{value:,.0f}, about {datetime.timedelta(seconds=round(value))}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)
