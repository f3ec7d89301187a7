"""What a study of many finished cells costs: python benchmarks/many_cells.py --cells 10000 --out many_cells.csv.

A study is declared and its cells' files are written as training would have left them, without any training. Then each
command runs in a process of its own, and its seconds and largest resident size are printed.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from bamgate.config import SCHEMA
from bamgate.devices import describe_device
from bamgate.record.runlog import CellLog
from bamgate.record.storage import write_atomic
from bamgate.record.tables import ATTEMPTS, EPOCHS, GATES, OUTCOMES, SCALE_EDGES, Columns, format_rows
from bamgate.run.cells import _identity
from bamgate.study.expand import StudyCell, expand
from bamgate.study.folder import open_study
from bamgate.study.study import read_study

COLUMNS: Columns = {
    "schema": int,
    "command": str,
    "cells": int,
    "seconds": float,
    "cpu_s": float,
    "peak_mib": int,
    "cores": int,
    "device_name": str,
    "torch": str,
    "git_commit": str,
}
ARMS, SEEDS, EPOCHS_EACH, SITES, IMAGES = 10, 20, 4, 3, 360
STUDY = """question = "How long do the commands take?"
cost = "none"
expected = "nothing"
reference = "sigmoid"
rope = 1.0
seeds = "0-{last}"
gates = ["sigmoid", "tanh", "hard-sigmoid", "softsign", "centred-sigmoid", {formulas}]
[settings]
dataset = "digits"
model = "resnet8"
batch_size = 32
epochs = 4
[axes]
dilation = {dilations}
weight_decay = [0.0001, 0.0002, 0.0005, 0.001, 0.002]
"""
_LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def main() -> None:
    given = _given()
    rows = []
    for cells in [size for size in (1_000, 5_000) if size < given.cells] + [given.cells]:
        with tempfile.TemporaryDirectory() as folder:
            rows += _measured(Path(folder), cells)
    if given.out:
        write_atomic(given.out, format_rows(COLUMNS, rows, header=True).encode())


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000, help=f"a multiple of {5 * ARMS * SEEDS:,}")
    parser.add_argument("--out", type=Path, help="write the figures to this CSV file")
    given = parser.parse_args()
    if given.cells < 1 or given.cells % (5 * ARMS * SEEDS):
        parser.error(f"--cells {given.cells}: choose a multiple of {5 * ARMS * SEEDS:,}")
    return given


def _measured(folder: Path, count: int) -> list[dict[str, Any]]:
    """A row for each command."""
    file = folder / "many.toml"
    file.write_text(study_text(count))
    cells = make_study(folder / "out", file)
    assert len(cells) == count
    device = describe_device(torch.device("cpu"), 1)
    facts = {"cores": os.cpu_count(), **{name: device[name] for name in ("device_name", "torch", "git_commit")}}
    rows = []
    for name, words in commands(folder / "out", file).items():
        cost = cost_of(words)
        print(
            f"{name:<24} {count:>7,} cells {cost['seconds']:>8.2f} s, {cost['cpu_s']:>6.2f} s of a core, "
            f"{cost['peak_mib']:>5,} MiB",
            flush=True,
        )
        rows.append({"command": name, "cells": count, **cost, **facts})
    return rows


def study_text(count: int) -> str:
    """A study of `count` cells: ten arms, twenty seeds, and as many contexts as it takes."""
    formulas = ", ".join(f'"expr:tanh(z/{k})"' for k in range(2, 7))
    return STUDY.format(last=SEEDS - 1, formulas=formulas, dilations=list(range(1, count // (5 * ARMS * SEEDS) + 1)))


def make_study(out: Path, file: Path) -> list[StudyCell]:
    """The folder of the study, each cell finished; not synced, which is what takes the time in training."""
    study = read_study(file)
    cells = expand(study)
    open_study(out, study, cells)
    chance = random.Random(0)
    environment = _json({"schema": SCHEMA, **describe_device(torch.device("cpu"), 1)})
    for cell in cells:
        _write_cell(out / "cells" / cell.config.cell, cell, environment, chance)
    return cells


def _write_cell(folder: Path, cell: StudyCell, environment: str, chance: random.Random) -> None:
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / "config.json").write_text(_json(_identity(cell.config, cell.gate, None)))
    (folder / "environment.json").write_text(environment)
    began = {"attempt": 1, "began": "2026-01-01T00:00:00+00:00", "epoch": 0}
    labels = [index % 10 for index in range(IMAGES)]
    answers = [label if chance.random() < 0.9 else 0 for label in labels]
    correct = sum(label == answer for label, answer in zip(labels, answers, strict=True))
    tables: dict[str, tuple[Columns, Iterable[dict[str, Any]]]] = {
        "attempts.csv": (ATTEMPTS, [began]),
        "epochs.csv": (EPOCHS, _epochs(cell.config.cell, correct, chance)),
        "gates.csv": (GATES, _gates(cell.config.cell, chance)),
    }
    for name, (columns, rows) in tables.items():
        (folder / name).write_text(format_rows(columns, rows, header=True))
    (folder / "outcomes.csv.gz").write_bytes(_outcomes(labels, answers))
    CellLog(folder, cell.config.cell).finish(_result(correct, chance))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _epochs(cell: str, correct: int, chance: random.Random) -> list[dict[str, Any]]:
    floats = [name for name, kind in EPOCHS.items() if kind is float]
    counts = {"train_correct": 1_200, "train_total": 1_408, "test_correct": correct, "test_top5_correct": 350}
    return [
        {"cell": cell, "epoch": epoch, **counts, "test_total": IMAGES, **{name: chance.random() for name in floats}}
        for epoch in range(1, EPOCHS_EACH + 1)
    ]


def _gates(cell: str, chance: random.Random) -> list[dict[str, Any]]:
    floats = [name for name, kind in GATES.items() if kind is float and name not in ("on_object", "off_object")]
    counts: dict[str, Any] = {"histogram": " ".join(str(6_000 + bin) for bin in range(len(SCALE_EDGES) + 1))}
    counts |= {"channels": 32, "height": 8, "width": 8, "values": 262_144, "attenuated": 131_072, "saturated": 9}
    return [
        {"cell": cell, "epoch": epoch, "site": f"layer{site}", **counts, **{name: chance.random() for name in floats}}
        for epoch in range(EPOCHS_EACH + 1)
        for site in range(1, SITES + 1)
    ]


def _outcomes(labels: list[int], answers: list[int]) -> bytes:
    rows = (
        {"index": index, "label": label, "predicted": answer, "correct": int(label == answer)}
        for index, (label, answer) in enumerate(zip(labels, answers, strict=True))
    )
    return gzip.compress(format_rows(OUTCOMES, rows, header=True).encode(), mtime=0)


def _result(correct: int, chance: random.Random) -> dict[str, Any]:
    counts = {"epochs": EPOCHS_EACH, "correct": correct, "top5_correct": 350, "total": IMAGES, "num_classes": 10}
    sizes = {"params": 78_000, "macs": 12_500_000, "checkpoint_sha256": "0" * 64}
    floats = {"test_loss": chance.random(), "images_per_s": 1_000 * chance.random(), "wall_s": 10 * chance.random()}
    normalisation = {"mean": [chance.random()], "std": [chance.random()]}
    ended = {"status": "finished", "normalisation": normalisation}
    return {**ended, **counts, **sizes, **floats}


def commands(out: Path, file: Path) -> dict[str, list[str]]:
    """Name -> what is run."""
    study = [sys.executable, "-m", "bamgate", "study"]
    python = [sys.executable, "-c"]
    collected = f"from pathlib import Path; from bamgate.record.collect import collect; collect(Path({str(out)!r}))"
    return {
        "study status": [*study, "status", str(out)],
        "study plan --no-measure": [*study, "plan", str(file), "--no-measure", "--out", str(out)],
        "collect": [*python, collected],
        "study run, all finished": [*study, "run", str(file), "--out", str(out), "--yes"],
    }


def cost_of(words: list[str]) -> dict[str, Any]:
    """Seconds by the clock, seconds of a core, largest resident MiB of a command."""
    # By way of a small process: a child's largest size counts from that of the process it was forked from.
    answer = subprocess.run([sys.executable, "-I", "-c", _LAUNCHER, *words], stdout=subprocess.PIPE, check=False)
    code, seconds, cpu, peak = answer.stdout.split()
    if int(code):
        raise SystemExit(f"{words} ended with exit code {int(code)}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return {
        "seconds": round(float(seconds), 2),
        "cpu_s": round(float(cpu), 2),
        "peak_mib": round(int(peak) * unit / 2**20),
    }


if __name__ == "__main__":
    main()
