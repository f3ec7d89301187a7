"""Each arm by itself: how far it is, how accurate it is, how often it failed, what it costs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bamgate import stats
from bamgate.record.environment import EXECUTION
from bamgate.reports.analysis.plain import Typed
from bamgate.reports.design import Design
from bamgate.reports.records import Records
from bamgate.stats.status import MISSING_VALUES


@dataclass(frozen=True, kw_only=True)
class Progress(Typed):
    """Runs and seeds, planned and ended; `complete` if nothing is missing."""

    planned: int
    finished: int
    diverged: int
    missing: int
    complete: bool
    seeds_done: int
    seeds_planned: int


@dataclass(frozen=True, kw_only=True)
class ArmLevel(Typed):
    """An arm by itself in one context.

    Args:
        values: seed -> value of the metric, of the runs that finished.
        accuracies: the same under the name of the first version, and `correct` the counts, if the metric is one.
        total: test images of a run.
    """

    context: str
    arm: str
    gate: str | None
    attention: str | None
    planned: int
    finished: int
    diverged: int
    missing: int
    values: dict[str, float]
    accuracies: dict[str, float]
    correct: dict[str, int]
    total: int | None
    level: stats.Level


@dataclass(frozen=True, kw_only=True)
class Failures(Typed):
    """How often an arm diverged in one context."""

    context: str
    arm: str
    rate: stats.Rate


@dataclass(frozen=True, kw_only=True)
class Cost(Typed):
    """Size and mean times of an arm's runs in one context; None if a time is not known."""

    context: str
    arm: str
    params: int
    macs: int
    images_per_s: float | None
    wall_s: float | None


@dataclass(frozen=True, kw_only=True)
class Executions(Typed):
    """The ways in which runs were executed, each with its number of runs, and how many pairs that cost."""

    ways: tuple[dict[str, Any], ...]
    mixed: bool
    left_out_pairs: int


def progress(design: Design, records: Records) -> Progress:
    """How many of the planned runs have ended."""
    planned = {(p.context, p.arm, p.seed) for p in design.places}
    ended = set(zip(records.runs["context"], records.runs["arm"], records.runs["seed"], strict=True))
    missing = {seed for _, _, seed in planned - ended}
    diverged = int((records.runs["status"] == "diverged").sum())
    return Progress(
        planned=len(planned),
        finished=len(ended) - diverged,
        diverged=diverged,
        missing=len(planned - ended),
        complete=planned == ended,
        seeds_done=len(design.seeds) - len(missing),
        seeds_planned=len(design.seeds),
    )


def levels(design: Design, records: Records) -> list[ArmLevel]:
    """The metric of every arm in every context, of the runs that finished."""
    counts = design.metric.is_count
    rows = []
    for context, arm in _planned(design):
        runs = records.of(arm, context)
        finished = runs[runs["status"] == "finished"]
        planned = sum(p.arm == arm and p.context == context for p in design.places)
        first = runs.iloc[0] if len(runs) else None
        values = {str(seed): float(value) for seed, value in finished["value"].items()}
        rows.append(
            ArmLevel(
                context=context,
                arm=arm,
                gate=None if first is None else first["gate"],
                attention=None if first is None else first["attention"],
                planned=planned,
                finished=len(finished),
                diverged=len(runs) - len(finished),
                missing=planned - len(runs),
                values=values,
                accuracies=values if counts else {},
                correct={str(seed): int(value) for seed, value in finished["correct"].items()} if counts else {},
                total=None if first is None else int(first["total"]),
                level=level(finished["value"]),
            )
        )
    return rows


def _planned(design: Design) -> list[tuple[str, str]]:
    there = {(p.context, p.arm) for p in design.places}
    return [(c, a) for c in design.contexts for a in design.arms if (c, a) in there]


def level(values: Iterable[Any]) -> stats.Level:
    """`stats.level` of what is a number; a run that has none is named in the status."""
    known = pd.Series(list(values), dtype="float64").replace([float("inf"), -float("inf")], float("nan"))
    found = stats.level([float(v) for v in known.dropna()])
    if known.isna().any():
        return replace(found, status=MISSING_VALUES, about=(int(known.isna().sum()), len(known)))
    return found


def failures(design: Design, records: Records) -> list[Failures]:
    """The share of each arm's runs that diverged."""
    rows = []
    for context, arm in _planned(design):
        runs = records.of(arm, context)
        rate = stats.failure_rate(int((runs["status"] == "diverged").sum()), len(runs))
        rows.append(Failures(context=context, arm=arm, rate=rate))
    return rows


def costs(design: Design, records: Records) -> list[Cost]:
    """Size and time of each arm's runs; times are of the machines that they ran on."""
    rows = []
    for context, arm in _planned(design):
        runs = records.of(arm, context)
        if len(runs):
            params, macs = (int(runs[name].iloc[0]) for name in ("params", "macs"))
            speed, wall_s = (_mean(runs[name]) for name in ("images_per_s", "wall_s"))
            rows.append(Cost(context=context, arm=arm, params=params, macs=macs, images_per_s=speed, wall_s=wall_s))
    return rows


def _mean(values: "pd.Series[float]") -> float | None:
    mean = float(values.astype(float).mean())
    return mean if math.isfinite(mean) else None


def execution(records: Records, left_out: int) -> Executions:
    """The ways in which the runs were executed, and how many pairs that cost."""
    names = list(EXECUTION)
    ways = records.runs.groupby(names, dropna=False).size().reset_index(name="runs").sort_values(names)
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in ways.to_dict("records")]
    return Executions(ways=tuple(rows), mixed=len(rows) > 1, left_out_pairs=left_out)


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
