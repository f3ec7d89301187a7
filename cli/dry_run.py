"""`bamgate run --dry-run`: the resolved configuration, what it costs, and how long it would take here."""

import datetime
import json
from functools import partial
from pathlib import Path
from typing import Any

from bamgate.cli.console import out, print_json
from bamgate.config.gate_names import split_code
from bamgate.data import find_dataset
from bamgate.devices import cpu_threads, exact_arithmetic, resolve_device
from bamgate.engines import Execution
from bamgate.gates import Gate, gate_facts, path_from
from bamgate.networks.build import cost
from bamgate.networks.sites import sites
from bamgate.record.runlog import check_design, require_one_gate
from bamgate.record.sealed import read_json
from bamgate.run.resolve import Plan
from bamgate.study.measure import measure, steps_an_epoch, trainer_to_time


def show(plan: Plan, execution: Execution, folder: Path, *, as_json: bool) -> None:
    """Print the plan; nothing is written, and no data set is needed unless it is a folder of the user's own."""
    with cpu_threads(execution.threads), exact_arithmetic(resolve_device(execution.device)):
        facts = _facts(plan, execution, folder)
    if as_json:
        print_json(facts)
        return
    print_plain = partial(out().print, markup=False)
    print_plain(_as_toml(facts, [_from_here(gate) for gate in plan.gates]))
    for name, value in facts.items():
        if name not in ("config", "gates", "seeds"):
            print_plain(f"# {name.replace('_', ' '):<20} {_text(name, value)}")


def _facts(plan: Plan, execution: Execution, folder: Path) -> dict[str, Any]:
    config, gate = plan.cells[0]
    check_design(folder, config)
    for one in plan.gates:
        require_one_gate(folder, gate_facts(one))
    data = find_dataset(config.dataset, execution.root).at(config.image_size)
    trainer = trainer_to_time(config, gate, data, execution)
    counted = cost(trainer.model, data.image_shape)
    speed = measure(trainer, config.training, data, execution)
    cell_s = speed.cell_s(config.training, data)
    missing = [c for c, _ in plan.cells if read_json(folder / "cells" / c.cell / "result.json") is None]
    return {
        "config": config.to_dict(),
        "gates": [gate.name for gate in plan.gates],
        "seeds": plan.seeds,
        "cells": len(plan.cells),
        "cells_missing": len(missing),
        "out": str(folder),
        "sites": sites(trainer.model),
        "parameters": counted.params,
        "gmacs_an_image": counted.macs / 1e9,
        "steps_a_cell": steps_an_epoch(config.training, data) * config.training.epochs,
        **({"decoding_ms_an_image": speed.decode_s and round(1000 * speed.decode_s, 2)} if data.files else {}),
        "step_ms": round(1000 * speed.step_s, 2),
        "seconds_a_cell": round(cell_s, 1),
        "seconds_missing": round(cell_s * len(missing), 1),
    }


def _from_here(gate: Gate) -> str:
    """The gate's name for a file of the working folder."""
    if gate.origin is None or not gate.origin.is_file():
        return gate.name
    return f"{path_from(gate.origin, Path())}:{split_code(gate.name).attribute}"


def _as_toml(facts: dict[str, Any], gates: list[str]) -> str:
    """The plan as a file that --config takes; what it would cost stands below in comments."""
    config = facts["config"]
    config["attention"]["gate"] = gates
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
