"""`bamgate run --dry-run`: the resolved configuration, what it costs, and how long it would take here."""

import datetime
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bamgate.cli.console import out, print_json
from bamgate.config import TrainingConfig
from bamgate.data import DataSet, Split, find_dataset, make_loader
from bamgate.devices import cpu_threads, resolve_device
from bamgate.errors import DataError
from bamgate.experiment import Execution, make_trainer
from bamgate.models import cost
from bamgate.probes import gate_sites
from bamgate.runlog import check_design, read_json
from bamgate.studies.plan import Plan

MEASURE_S = 2.0
DECODED = 32  # files that the time of decoding is measured on


def show(plan: Plan, execution: Execution, folder: Path, *, as_json: bool) -> None:
    """Print the plan; nothing is written, and no data set is needed unless it is a folder of the user's own."""
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
    data = find_dataset(config.dataset, execution.root).at(config.image_size)
    device = resolve_device(execution.device)
    # Random images stand in for files, so the network is timed alone.
    timed = replace(config, training=replace(config.training, augment="none")) if data.files else config
    trainer = make_trainer(timed, gate, data, _random_splits(data, config.training.batch_size, device), 0)
    counted = cost(trainer.model, data.image_shape)
    images = min(config.training.train_limit or data.train, data.train)
    steps = images // config.training.batch_size * config.training.epochs
    step_s, test_s = _measure(trainer, data)
    decode_s = _decoding_s(config.training, data, execution.root) if data.files else None
    step_s, test_s = (
        _with_decoding(seconds, images * (decode_s or 0.0), execution.workers_for(data))
        for seconds, images in ((step_s, config.training.batch_size), (test_s, data.test))
    )
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
        **({"decoding_ms_an_image": decode_s and round(1000 * decode_s, 2)} if data.files else {}),
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


def _decoding_s(training: TrainingConfig, data: DataSet, root: Path) -> float | None:
    """Seconds in which one process decodes and cuts an image; None where the files are not here."""
    try:
        train, test = data.load(root)
    except DataError:
        return None
    count = min(DECODED, len(train))
    few: Any = (train.first(count), test.first(count))
    loader = make_loader(data, few, replace(training, batch_size=count), seed=0, workers=0)
    for _ in range(2):  # what is loaded first is loaded once
        start = time.perf_counter()
        next(loader.training_batches(0))
    return (time.perf_counter() - start) / count


def _with_decoding(network_s: float, decoding_s: float, workers: int) -> float:
    """Processes decode while the network computes; without any the two take turns."""
    return max(network_s, decoding_s / workers) if workers else network_s + decoding_s


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
    if value is None:
        return "not measured, the files are not here"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if name.startswith("seconds"):
        return f"{value:,.0f}, about {datetime.timedelta(seconds=round(value))}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)
