"""Studies of a metric that counts nothing, as CSV files made by hand: any name, unit and direction."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from csv_samples import TOTAL, gate_rows, made_study, run_row

from bamgate.record.metric import Metric
from bamgate.record.tables import EPOCHS, GATES, RUNS, format_rows
from bamgate.reports.analysis import analyse
from bamgate.reports.design import design_of
from bamgate.reports.records import Outcomes, read_records, read_runs

ERROR = Metric(name="mean absolute error", unit="px", higher_is_better=False)
NO_COUNTS = {"correct": None, "top5_correct": None}

Value = Callable[[str, dict[str, Any], int], float | None]


def metric_study(
    out: Path,
    value: Value,
    metric: Metric = ERROR,
    *,
    arms: tuple[str, ...] = ("sigmoid", "tanh"),
    contexts: Sequence[dict[str, Any]] = ({},),
    seeds: range = range(6),
    rope: float = 0.2,
    epochs: int = 8,
) -> Path:
    """A folder like that of `csv_samples.made_study`; `value` (arm, context, seed): None for a run that diverged."""
    made_study(
        out, lambda *place: None if value(*place) is None else 1, arms=arms, contexts=tuple(contexts), seeds=seeds,
        rope=rope,
    )  # fmt: skip
    places = [(arm, context, seed) for context in contexts for arm in arms for seed in seeds]
    rows = [metric_row(*place, value(*place), metric, epochs) for place in places]
    write_metric_tables(out, rows, metric)
    return out


def metric_row(
    arm: str, context: dict[str, Any], seed: int, value: float | None, metric: Metric, epochs: int = 8
) -> dict[str, Any]:
    """A row of runs.csv."""
    row = run_row(arm, context, seed, None if value is None else 1, **NO_COUNTS, epochs=epochs)
    named = {"metric": metric.name, "metric_unit": metric.unit, "metric_better": metric.better}
    return {**row, "task": "regression", **named, "metric_value": value}


def write_metric_tables(out: Path, rows: list[dict[str, Any]], metric: Metric) -> None:
    """Tables whose epochs come down, or up, to the value that each run ends with."""
    epochs = [line for row in rows for line in _epochs(row, 1 if metric.higher_is_better else -1)]
    gates = [line for row in rows for line in gate_rows(row)]
    for name, columns, lines in (("runs.csv", RUNS, rows), ("epochs.csv", EPOCHS, epochs), ("gates.csv", GATES, gates)):
        (out / name).write_text(format_rows(columns, lines, header=True))


def _epochs(row: dict[str, Any], sign: int) -> list[dict[str, Any]]:
    facts = {"cell": row["cell"], "lr": 0.1, "train_loss": 1.0, "train_total": 100, "test_loss": 0.5}
    facts |= {"images_per_s": 100.0, "wall_s": 0.5, "test_total": TOTAL}
    last, end = row["epochs"], row["metric_value"]
    return [
        {**facts, "epoch": e, "test_metric": None if end is None else end - sign * 0.3 * math.log(last / e)}
        for e in range(1, last + 1)
    ]


ARMS = ("sigmoid", "tanh", "softsign")
NOISE = np.random.default_rng(11).normal(0, 0.12, 100)
SHIFT = {"sigmoid": 0.0, "tanh": -0.45, "softsign": 0.3}
NETWORKS = ({"model": "resnet20"}, {"model": "resnet18"}, {"model": "wrn-16-8"})
SCORE = replace(ERROR, higher_is_better=True)


def error(arm: str, context: dict[str, Any], seed: int) -> float:
    place = NETWORKS.index(context) if context else 0
    return float(3.2 + SHIFT[arm] + NOISE[seed + 10 * ARMS.index(arm) + 30 * place])


def failing(arm: str, context: dict[str, Any], seed: int) -> float | None:
    """The first run of tanh diverges."""
    return None if (arm, seed) == ("tanh", 0) else error(arm, context, seed)


def negated(value: Callable[..., float | None]) -> Callable[..., float | None]:
    def mirrored(*place: Any) -> float | None:
        found = value(*place)
        return None if found is None else -found

    return mirrored


def analysed(folder: Path) -> dict[str, Any]:
    runs = read_runs([folder])
    design = design_of([folder], runs)
    found = analyse(design, read_records([folder], design, runs), Outcomes([folder]))
    return dict(json.loads(json.dumps(found, allow_nan=False)))
