"""Each arm by itself: how far it is, how accurate it is, how often it failed, what it costs."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bamgate import stats
from bamgate.record.environment import EXECUTION
from bamgate.reports.design import Design
from bamgate.reports.records import Records
from bamgate.stats.status import MISSING_VALUES

Plain = dict[str, Any]


def progress(design: Design, records: Records) -> Plain:
    """How many of the planned runs have ended; complete where all of them have."""
    planned = {(p.context, p.arm, p.seed) for p in design.places}
    ended = set(zip(records.runs["context"], records.runs["arm"], records.runs["seed"], strict=True))
    missing = {seed for _, _, seed in planned - ended}
    diverged = int((records.runs["status"] == "diverged").sum())
    return {
        "planned": len(planned),
        "finished": len(ended) - diverged,
        "diverged": diverged,
        "missing": len(planned - ended),
        "complete": planned == ended,
        "seeds_done": len(design.seeds) - len(missing),
        "seeds_planned": len(design.seeds),
    }


def levels(design: Design, records: Records) -> list[Plain]:
    """The metric of every arm in every context, of the runs that finished.

    `values` by seed; `accuracies`, as the first version called them, and the counts `correct` if the metric is one.
    """
    counts = design.metric.is_count
    rows = []
    for context, arm in _planned(design):
        runs = records.of(arm, context)
        finished = runs[runs["status"] == "finished"]
        planned = sum(p.arm == arm and p.context == context for p in design.places)
        first = runs.iloc[0] if len(runs) else None
        rows.append(
            {
                "context": context,
                "arm": arm,
                "gate": None if first is None else first["gate"],
                "attention": None if first is None else first["attention"],
                "planned": planned,
                "finished": len(finished),
                "diverged": len(runs) - len(finished),
                "missing": planned - len(runs),
                "values": (values := {str(seed): float(value) for seed, value in finished["value"].items()}),
                "accuracies": dict(values) if counts else {},
                "correct": {str(seed): int(value) for seed, value in finished["correct"].items()} if counts else {},
                "total": None if first is None else int(first["total"]),
                "level": level(finished["value"]),
            }
        )
    return rows


def _planned(design: Design) -> list[tuple[str, str]]:
    there = {(p.context, p.arm) for p in design.places}
    return [(c, a) for c in design.contexts for a in design.arms if (c, a) in there]


def level(values: Iterable[Any]) -> Plain:
    """`stats.level` of what is a number; a run that has none is named in the status."""
    known = pd.Series(list(values), dtype="float64").replace([float("inf"), -float("inf")], float("nan"))
    found = stats.level([float(v) for v in known.dropna()]).to_dict()
    if known.isna().any():
        found |= {"status": MISSING_VALUES, "about": [int(known.isna().sum()), len(known)]}
    return found


def failures(design: Design, records: Records) -> list[Plain]:
    """The share of each arm's runs that diverged."""
    rows = []
    for context, arm in _planned(design):
        runs = records.of(arm, context)
        rate = stats.failure_rate(int((runs["status"] == "diverged").sum()), len(runs))
        rows.append({"context": context, "arm": arm, "rate": rate.to_dict()})
    return rows


def costs(design: Design, records: Records) -> list[Plain]:
    """Size and time of each arm's runs; times are of the machines that they ran on."""
    rows = []
    for context, arm in _planned(design):
        runs = records.of(arm, context)
        if len(runs):
            sizes = {name: int(runs[name].iloc[0]) for name in ("params", "macs")}
            times = {name: _mean(runs[name]) for name in ("images_per_s", "wall_s")}
            rows.append({"context": context, "arm": arm, **sizes, **times})
    return rows


def _mean(values: "pd.Series[float]") -> float | None:
    mean = float(values.astype(float).mean())
    return mean if math.isfinite(mean) else None


def execution(records: Records, left_out: int) -> Plain:
    """The ways in which the runs were executed, and how many pairs that cost."""
    names = list(EXECUTION)
    ways = records.runs.groupby(names, dropna=False).size().reset_index(name="runs").sort_values(names)
    rows = [{name: _plain(value) for name, value in row.items()} for row in ways.to_dict("records")]
    return {"ways": rows, "mixed": len(rows) > 1, "left_out_pairs": left_out}


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
