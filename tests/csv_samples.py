"""Studies as CSV files, made by hand: any arms, contexts, seeds and counts, without training."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bamgate.record.study_file import study_digest
from bamgate.record.tables import EPOCHS, GATES, OUTCOMES, RUNS, arms_text, context_text, format_rows

TOTAL = 10_000
SITES = ("layer1", "layer2")
EXECUTED = {"device": "cpu", "device_name": "A processor", "threads": 1, "torch": "2.9.0", "compile": "off"}

Correct = Callable[[str, dict[str, Any], int], int | None]


def golden(name: str) -> dict[str, list[float]]:
    """A data set of the golden file: gate -> accuracies in percent."""
    content = json.loads((Path(__file__).parent / "statistics_golden.json").read_text())
    return dict(content["datasets"][name])


def run_row(arm: str, context: dict[str, Any], seed: int, correct: int | None, /, **facts: Any) -> dict[str, Any]:
    """A row of runs.csv; `correct` None: the run diverged."""
    text = context_text(context)
    return {
        "study": "made",
        "arm": arms_text([arm]),
        "context": text or None,
        "cell": cell_of(arm, text, seed),
        "dataset": "made-data",
        "model": context.get("model", "resnet8"),
        "attention": "bam",
        "gate": arm,
        "seed": seed,
        "attempt": 1,
        "status": "finished" if correct is not None else "diverged",
        "epochs": 4,
        "correct": correct if correct is not None else 10,
        "total": TOTAL,
        "top5_correct": TOTAL - 5,
        "test_loss": 0.5,
        "params": 1000,
        "macs": 2000,
        "images_per_s": 100.0,
        "wall_s": 2.0,
        **EXECUTED,
        "precision": "fp32",
        "executor": "single",
        "config_sha256": cell_of(arm, text, seed) + "0" * 48,
        "design_sha256": f"d-{text}",
        "gate_fingerprint": f"f-{arm}",
        "gate_source_sha256": "50ace",
        "git_commit": "c0ffee",
        "env_id": "0123456789ab",
        **facts,
    }


def cell_of(arm: str, context: str, seed: int) -> str:
    return f"{abs(hash_of(f'{arm}/{context}/{seed}')):016x}"


def hash_of(text: str) -> int:
    """The same on every run, unlike hash()."""
    import zlib

    return zlib.crc32(text.encode()) * 4294967291


def epoch_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Four epochs that end where the run ended."""
    facts = {"cell": row["cell"], "lr": 0.1, "train_loss": 1.0, "train_correct": 90, "train_total": 100}
    times = {"images_per_s": 100.0, "wall_s": 0.5, "test_loss": 0.5, "test_top5_correct": 990, "test_total": TOTAL}
    return [{**facts, **times, "epoch": e, "test_correct": max(0, row["correct"] - 20 * (4 - e))} for e in (1, 2, 3, 4)]


def gate_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Five probes a site; sigmoid attenuates nothing, the others half of what there is in the end."""
    own = row["arm"] != "sigmoid"
    found = []
    for epoch in range(5):
        for site in SITES:
            below = 10 * epoch if own else 0
            middle = 1.0 if own else 1.5
            counts = [0] * 42
            counts[1 + int(middle * 20)] = 100 - below
            counts[10] = below
            scale = {name: middle + d for name, d in zip(QUANTILES, DISTANCES, strict=True)}
            found.append(
                {
                    "cell": row["cell"],
                    "epoch": epoch,
                    "site": site,
                    "channels": 4,
                    "height": 5,
                    "width": 5,
                    "values": 100,
                    "mean": middle,
                    "sd": 0.1,
                    **scale,
                    "histogram": " ".join(map(str, counts)),
                    "attenuated": below,
                    "relatively_attenuated": 40,
                    "saturated": epoch,
                    "mean_slope": 0.2,
                    "logit_mean": 0.0,
                    "logit_sd": 1.0,
                    "channel_sd": 0.5,
                    "spatial_sd": 0.5,
                    "on_object": middle + 0.1,
                    "off_object": middle,
                    "gradient_attention": 0.01,
                    "gradient_trunk": 0.1,
                    "learned": f"depth={0.3 + epoch / 10:.6g}" if row["gate"] == "learned-depth" else None,
                }
            )
    return found


QUANTILES = ("min", "q01", "q05", "q25", "q50", "q75", "q95", "q99", "max")
DISTANCES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)


def made_study(
    out: Path,
    correct: Correct,
    *,
    arms: tuple[str, ...] = ("sigmoid", "tanh"),
    contexts: tuple[dict[str, Any], ...] = ({},),
    seeds: range = range(5),
    reference: str = "sigmoid",
    rope: float = 1.0,
    missing: tuple[tuple[str, int], ...] = (),
    outcomes: bool = False,
) -> Path:
    """A folder with runs.csv, epochs.csv, gates.csv and study.json, and nothing else but outcomes where asked for.

    Args:
        correct: (arm, context, seed) -> images correct of 10,000, None for a run that diverged.
        missing: (arm, seed) that have not ended.
    """
    out.mkdir(parents=True)
    planned = [(arm, context, seed) for context in contexts for arm in arms for seed in seeds]
    rows = [run_row(*place, correct(*place)) for place in planned if (place[0], place[2]) not in missing]
    write_tables(out, rows)
    study = {
        **{"question": "Is tanh better?", "cost": "none", "expected": "nothing", "reference": reference, "rope": rope},
        **{"arms": {arm: {"gate": arm} for arm in arms}, "settings": {}, "seeds": f"0-{len(seeds) - 1}"},
        **{"axes": {}, "exclude": [], "name": "made"},
    }
    cells = [
        {"cell": cell_of(a, context_text(c), s), "arm": a, "context": c, "seed": s, "epochs": 4} for a, c, s in planned
    ]
    content = {
        "schema": 1,
        "name": "made",
        "study_sha256": study_digest(study),
        "study": study,
        "gates": {},
        "cells": cells,
    }
    (out / "study.json").write_text(json.dumps(content))
    if outcomes:
        for row in rows:
            write_outcomes(out / "cells" / row["cell"], row)
    return out


def write_tables(out: Path, rows: list[dict[str, Any]]) -> None:
    epochs = [line for row in rows for line in epoch_rows(row)]
    gates = [line for row in rows for line in gate_rows(row)]
    tables = {"runs.csv": (RUNS, rows), "epochs.csv": (EPOCHS, epochs), "gates.csv": (GATES, gates)}
    for name, (columns, lines) in tables.items():
        (out / name).write_text(format_rows(columns, lines, header=True))


def write_outcomes(folder: Path, row: dict[str, Any]) -> None:
    """The first `correct` images are right."""
    folder.mkdir(parents=True)
    right = row["correct"]
    lines = [{"index": i, "label": 0, "predicted": int(i >= right), "correct": int(i < right)} for i in range(TOTAL)]
    (folder / "outcomes.csv.gz").write_bytes(gzip.compress(format_rows(OUTCOMES, lines, header=True).encode(), mtime=0))


def edit(path: Path, line: int, **values: str) -> None:
    """Put other texts into a row of a CSV file; line 2 is the first row."""
    rows = list(csv.reader(path.read_text().splitlines()))
    for name, text in values.items():
        rows[line - 1][rows[0].index(name)] = text
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def of_golden(name: str) -> tuple[Correct, range]:
    """The accuracies of the golden file as counts of 10,000 images, and its seeds."""
    data = golden(name)
    return (lambda arm, context, seed: round(100 * data[arm][seed])), range(len(data["seeds"]))
