"""The tables at the end of a run."""

import math
from pathlib import Path

from bamgate.cli.console import err, out, table
from bamgate.cli.study_show import heading, signed_value
from bamgate.record.metric import Metric, one_metric
from bamgate.record.tables import RUNS, read_rows
from bamgate.reports import summary
from bamgate.reports.words.numbers import ascii_signs
from bamgate.reports.words.runs import FEW, FEW_PAIRS, not_compared


def show_summary(folder: Path, next_command: str) -> None:
    """The metric by gate and seed, what each gate did at each site, and the next command."""
    console = out()
    _show_accuracy(folder)
    sites = summary.site_table(folder)
    if len(sites):
        _show_sites(folder)
    console.print(f"Files: {folder}/runs.csv, epochs.csv, gates.csv", markup=False)
    err().print(f"Next: {next_command}", markup=False)


def _show_accuracy(folder: Path) -> None:
    accuracy = summary.accuracy_table(folder)
    seeds = [name for name in accuracy.columns if name not in ("n", "mean", "sd")]
    metric = one_metric(read_rows(RUNS, folder / "runs.csv"))
    title = f"{heading(metric)}, of all finished cells in {folder}"
    grid = table(title, "gate", *(f"seed {seed}" for seed in seeds), "n", "mean", "SD")
    for gate, row in accuracy.iterrows():
        marks = [_number(row[seed], 2) for seed in seeds]
        grid.add_row(str(gate), *marks, str(int(row["n"])), _number(row["mean"], 2), _number(row["sd"], 2))
    console = out()
    console.print(grid)
    for _, cell in summary.diverged(folder).iterrows():
        console.print(f"diverged: {cell['gate']} seed {cell['seed']} (counted as it ended)", markup=False)
    _show_differences(folder, [str(gate) for gate in accuracy.index], metric)
    console.print()


def _show_differences(folder: Path, gates: list[str], metric: Metric) -> None:
    """Each gate against sigmoid, or against the first where sigmoid is not among them."""
    ways = summary.executions(folder)
    if len(gates) > 1 and len(ways) > 1:
        kinds = "; ".join(f"{name} {', '.join(map(str, ways[name].unique()))}" for name in ways.columns)
        out().print(not_compared(kinds), markup=False)
        return
    reference = "sigmoid" if "sigmoid" in gates else gates[0]
    pairs = 0
    for gate in gates:
        difference = summary.paired_difference(folder, gate, reference)
        if gate == reference or not len(difference):
            continue
        pairs = max(pairs, len(difference))
        figures = (difference.mean(), difference.min(), difference.max())
        mean, least, most = (signed_value(float(value), metric) for value in figures)
        unit = f" {metric.difference_unit}" if metric.difference_unit else ""
        text = f"{gate} minus {reference} on the same seeds: {mean}{unit} on average, "
        text += f"smallest {least}, largest {most}, n = {len(difference)}"
        out().print(ascii_signs(text), markup=False)
    if 0 < pairs < FEW_PAIRS:
        out().print(FEW, markup=False)


def _show_sites(folder: Path) -> None:
    sites = summary.site_table(folder)
    with_objects = sites["on_object"].notna().any()
    columns = ["gate", "site", "5 %", "median", "95 %", "attenuated"]
    grid = table(
        "Scale s after the last epoch: quantiles, and the share below 1",
        *columns,
        *(["on digit", "off digit"] if with_objects else []),
    )
    for (gate, site), row in sites.iterrows():
        numbers = [_number(row[name], 3) for name in ("q05", "q50", "q95")]
        objects = [_number(row[name], 3) for name in ("on_object", "off_object")] if with_objects else []
        grid.add_row(str(gate), str(site), *numbers, f"{_number(row['attenuated'], 1)} %", *objects)
    out().print(grid)
    out().print()


def _number(value: float, digits: int) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.3g}"
