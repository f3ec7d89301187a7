"""The tables of `bamgate study`."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from bamgate.cli.console import out, table
from bamgate.record.metric import ACCURACY, PERCENT, Metric
from bamgate.reports.words.numbers import ascii_signs, number, points
from bamgate.reports.words.runs import FEW, FEW_PAIRS, not_compared
from bamgate.study.catalogue import count_cells
from bamgate.study.compare import ArmRow
from bamgate.study.state import MISSING, RUNNING, CellState, count
from bamgate.study.study import Study


def show_catalogue(studies: Iterable[Study]) -> None:
    """Name, runs, question and cost of each study."""
    grid = table("Studies", "name", "runs", "question", "cost", text=("question", "cost"))
    for study in studies:
        grid.add_row(study.name, str(count_cells(study)), study.question, study.cost)
    out().print(grid)


def show_plan(facts: dict[str, Any]) -> None:
    """What `bamgate study plan` found."""
    console = out()
    for name in ("study", "question", "cost", "expected"):
        console.print(f"{name:<10} {facts[name]}", markup=False)
    console.print(f"{'arms':<10} {', '.join(facts['arms'])} (reference: {facts['reference']})", markup=False)
    console.print(f"{'contexts':<10} {'; '.join(map(context_name, facts['contexts'])) or 'one'}", markup=False)
    console.print(f"{'seeds':<10} {', '.join(map(str, facts['seeds']))}", markup=False)
    console.print(f"{'cells':<10} {facts['cells']}, {len(facts['missing'])} missing in {facts['out']}", markup=False)
    if "kinds" not in facts:
        return
    console.print()
    grid = table("Measured here, of the missing cells", "network", "data", "attention", "cells", "ms a step", "hours")
    for kind in facts["kinds"]:
        names = (kind["model"], kind["dataset"], kind["attention"], str(kind["cells"]))
        grid.add_row(*names, f"{kind['step_ms']:.1f}", f"{kind['hours']:.2f}")
    console.print(grid)
    console.print(f"{facts['hours']:.2f} hours one after the other, on {facts['device']}", markup=False)


def context_name(context: dict[str, Any]) -> str:
    """For people."""
    return ", ".join(f"{name} {value}" for name, value in context.items())


def arms_table(rows: Iterable[ArmRow], *, comparable: bool = True) -> Table:
    """The metric of each arm in each context, and the difference to the reference arm on the same seeds."""
    rows = list(rows)
    metric = next((row.metric for row in rows if row.metric is not None), ACCURACY)
    above = f"{metric.difference_unit or 'how much'} above the reference on the same seeds"
    title = f"{heading(metric)}, and {above}"
    where = ["context"] if any(row.context for row in rows) else []
    columns = ["n", "mean", "SD", "difference", "smallest", "largest", "pairs"]
    grid = table(title, "arm", *where, *columns, text=("context",))
    for row in rows:
        plain = row.to_dict() if comparable else row.to_dict() | {"difference": None, "pairs": 0}
        signed = [signed_value(plain[name], metric) for name in ("difference", "smallest", "largest")]
        if not plain["pairs"]:
            signed = ["-"] * 3
        means = [_unsigned(plain[name], metric) for name in ("mean", "sd")]
        names = [row.arm, context_name(row.context)] if where else [row.arm]
        grid.add_row(*names, str(plain["n"]), *means, *signed, str(plain["pairs"]))
    return grid


def heading(metric: Metric) -> str:
    """How the title of a table of values begins."""
    unit = f", {metric.unit}" if metric.unit else ""
    return f"Test {metric.name}{unit}{'' if metric.higher_is_better else ' (lower is better)'}"


def _unsigned(value: float | None, metric: Metric) -> str:
    """Percentages with two digits; of another unit nobody knows how many matter before the value is known."""
    if value is None or metric.unit == PERCENT:
        return ascii_signs(number(value))
    return f"{value:.4g}"


def signed_value(value: float | None, metric: Metric) -> str:
    """A difference, in the unit that the title says."""
    if value is None or metric.unit == PERCENT:
        return ascii_signs(points(value))
    return f"{value:+.4g}"


def epoch_result(row: dict[str, Any], split: str) -> str:
    """From a row of epochs.csv: the share of correct images or, for a task that counts none, its metric or loss."""
    part, whole = row[f"{split}_correct"], row[f"{split}_total"]
    if part is None:
        metric = row.get(f"{split}_metric")
        return f"loss {row[f'{split}_loss']:.4g}" if metric is None else f"metric {metric:.4g}"
    return f"{100 * part / whole:.1f} %" if whole else "-"


def shown_value(value: float, metric: Metric) -> str:
    """A run's value with its unit, in a line."""
    if math.isnan(value):
        return f"no {metric.name}"
    return f"{value:.2f} %" if metric.unit == PERCENT else f"{value:.4g} {metric.unit}".rstrip()


def show_end(folder: Path, rows: list[ArmRow], states: Iterable[CellState], ways: str) -> None:
    """Tables, what diverged, and where the files are; `ways` in which the cells were executed, where there are two."""
    console = out()
    console.print(arms_table(rows, comparable=not ways))
    if ways:
        console.print(not_compared(ways), markup=False)
    elif 0 < max((len(row.differences) for row in rows), default=0) < FEW_PAIRS:
        console.print(FEW, markup=False)
    for state in states:
        if state.status == "diverged":
            how = f"it has no {state.metric.name}" if math.isnan(state.value) else "counted as it ended"
            console.print(f"diverged: {state.name} ({how})", markup=False)
    console.print(f"Files: {folder}/runs.csv, epochs.csv, gates.csv", markup=False)


def show_status(facts: dict[str, Any], rows: list[ArmRow], states: list[CellState]) -> None:
    """Counts, what is running, and each arm so far."""
    console = out()
    counts = ", ".join(f"{n} {status}" for status, n in count(states).items())
    console.print(f"{facts['study']} in {facts['out']}: {len(states)} cells, {counts}", markup=False)
    for state in states:
        if state.status == RUNNING or (state.status == MISSING and state.epoch):
            now = "running" if state.status == RUNNING else "begun, nobody at work on it"
            console.print(f"  {state.name}: {now}, epoch {state.epoch} of {state.epochs} done", markup=False)
    console.print(arms_table(rows))
