"""What the report of a long study costs: python benchmarks/long_report.py --out benchmarks/long_report.csv.

The tables of a study of 1,000 cells with 100 epochs each (100,000 rows in epochs.csv, 303,000 in gates.csv) are made
without any training. Then `bamgate report` and `bamgate reproduce` run in processes of their own, and their seconds and
largest resident size are printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from bamgate.record.tables import EPOCHS, GATES, RUNS, SCALE_EDGES, context_text

ARMS = ["sigmoid", "tanh", "hard-sigmoid", "softsign", "centred-sigmoid", "half-sigmoid", "tanh-half", "tanh-quarter"]
ARMS += ["hardtanh", "constant-half"]
MODELS = ["resnet20", "resnet18", "wrn-16-8", "preresnet110"]
SITES = ["layer1", "layer2", "layer3"]
TOTAL, EPOCHS_EACH = 10_000, 100
_LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(time.perf_counter() - began, peak, code)
"""


def make_study(out: Path, seeds: int) -> int:
    """runs.csv, epochs.csv, gates.csv and study.json; the number of cells."""
    chance = np.random.default_rng(0)
    places = [(model, arm, seed) for model in MODELS for arm in ARMS for seed in range(seeds)]
    runs = pd.DataFrame([_run(*place, chance) for place in places], columns=list(RUNS))
    runs.to_csv(out / "runs.csv", index=False, lineterminator="\n")
    _epochs(runs, chance).to_csv(out / "epochs.csv", index=False, lineterminator="\n")
    _gates(runs, chance).to_csv(out / "gates.csv", index=False, lineterminator="\n")
    cells = [
        {"cell": cell, "arm": arm, "context": {"model": model}, "seed": seed, "epochs": EPOCHS_EACH}
        for cell, (model, arm, seed) in zip(runs["cell"], places, strict=True)
    ]
    study = {"question": "How long does it take?", "cost": "none", "expected": "nothing", "rope": 0.2, "settings": {}}
    study |= {"reference": "sigmoid", "arms": {arm: {"gate": arm} for arm in ARMS}, "seeds": f"0-{seeds - 1}"}
    content = {"schema": 1, "name": "long", "study_sha256": "0", "study": study, "gates": {}, "cells": cells}
    (out / "study.json").write_text(json.dumps(content))
    return len(runs)


def _run(model: str, arm: str, seed: int, chance: np.random.Generator) -> dict[str, object]:
    facts = {
        "study": "long",
        "dataset": "made",
        "attention": "bam",
        "attempt": 1,
        "status": "finished",
        "torch": "2.9.0",
    }
    facts |= {
        "device": "cpu",
        "device_name": "A processor",
        "precision": "fp32",
        "compile": "off",
        "executor": "single",
    }
    facts |= {"git_commit": "0", "env_id": "0", "gate_source_sha256": "0", "design_sha256": model}
    name = f"{model}/{arm}/{seed}"
    own = {"context": context_text({"model": model}), "cell": f"{zlib.crc32(name.encode()):08x}{seed:04d}"}
    counts = {"correct": round(7700 + 20 * ARMS.index(arm) + chance.normal(0, 20)), "total": TOTAL}
    counts |= {"top5_correct": 9300, "epochs": EPOCHS_EACH, "params": 270_000, "macs": 41_000_000, "threads": 1}
    times = {"test_loss": 0.9, "images_per_s": 9000.0, "wall_s": 300.0}
    marks = {"config_sha256": name, "gate_fingerprint": arm}
    return {
        "schema": 1,
        "arm": arm,
        "gate": arm,
        "model": model,
        "seed": seed,
        **facts,
        **own,
        **counts,
        **times,
        **marks,
    }


def _epochs(runs: pd.DataFrame, chance: np.random.Generator) -> pd.DataFrame:
    rows = runs[["cell", "correct"]].merge(pd.DataFrame({"epoch": range(1, EPOCHS_EACH + 1)}), how="cross")
    share = 1 - 0.8 * np.exp(-rows["epoch"] / 15)
    noise = chance.normal(0, 30, len(rows)) * (rows["epoch"] < EPOCHS_EACH)
    correct = (rows["correct"] * share + noise).round().astype(int).where(rows["epoch"] < EPOCHS_EACH, rows["correct"])
    facts = {"schema": 1, "lr": 0.1, "train_total": 50_000, "test_total": TOTAL, "images_per_s": 9000.0, "wall_s": 3.0}
    losses = {"train_loss": 4 * (1 - share) + chance.random(len(rows)), "test_loss": 4 * (1 - share) + 1}
    made = rows.assign(**facts, **losses, train_correct=correct * 5, test_correct=correct, test_top5_correct=correct)
    return made[list(EPOCHS)]


def _gates(runs: pd.DataFrame, chance: np.random.Generator) -> pd.DataFrame:
    rows = runs[["cell"]].merge(pd.DataFrame({"epoch": range(EPOCHS_EACH + 1)}), how="cross")
    rows = rows.merge(pd.DataFrame({"site": SITES}), how="cross")
    count = len(rows)
    middle = chance.normal(1.2, 0.1, count)
    quantiles = dict(zip(("min", "q01", "q05", "q25", "q50", "q75", "q95", "q99", "max"), range(-4, 5), strict=True))
    figures = {name: middle + 0.1 * step for name, step in quantiles.items()}
    figures |= {"mean": middle, "on_object": middle, "off_object": middle - 0.1}
    figures |= {name: chance.random(count) for name in ("sd", "mean_slope", "logit_mean", "logit_sd", "channel_sd")}
    figures |= {name: chance.random(count) for name in ("spatial_sd", "gradient_attention", "gradient_trunk")}
    whole = {name: chance.integers(0, 8000, count) for name in ("attenuated", "relatively_attenuated", "saturated")}
    bins = [" ".join(map(str, row)) for row in chance.multinomial(8192, np.full(42, 1 / 42), 64)]
    assert len(SCALE_EDGES) + 1 == 42
    texts = {"histogram": [bins[i % 64] for i in range(count)], "learned": None}
    sizes = {"schema": 1, "channels": 16, "height": 16, "width": 32, "values": 8192}
    return rows.assign(**sizes, **figures, **whole, **texts)[list(GATES)]


def measure(words: list[str]) -> tuple[float, int]:
    """(seconds, largest resident MiB) of `bamgate WORDS`."""
    command = [sys.executable, "-c", _LAUNCHER, sys.executable, "-m", "bamgate", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds, peak, code = told.stdout.split()
    assert code == "0", told.stderr
    return float(seconds), int(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    lines = ["command,cells,epoch_rows,gate_rows,seconds,peak_mib"]
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "long"
        study.mkdir()
        cells = make_study(study, given.seeds)
        rows = [sum(1 for _ in (study / name).open()) - 1 for name in ("epochs.csv", "gates.csv")]
        for command in ("report", "reproduce"):
            seconds, peak = measure([command, str(study)])
            lines.append(f"{command},{cells},{rows[0]},{rows[1]},{seconds:.1f},{peak}")
            print(f"bamgate {command}: {cells} cells, {rows[0]:,} epochs: {seconds:.1f} s, {peak} MiB")
        print(f"report.html: {(study / 'report' / 'report.html').stat().st_size / 1e6:.2f} MB")
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
