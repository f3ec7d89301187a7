"""The tables at the end of a run."""

import math
from pathlib import Path

from bamgate.cli.console import err, out, table
from bamgate.reports import summary


def show_summary(folder: Path, next_command: str) -> None:
    """Accuracy by gate and seed, what each gate did at each site, and the next command."""
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
    grid = table("Test accuracy, %", "gate", *(f"seed {seed}" for seed in seeds), "n", "mean", "SD")
    for gate, row in accuracy.iterrows():
        marks = [_number(row[seed], 2) for seed in seeds]
        grid.add_row(str(gate), *marks, str(int(row["n"])), _number(row["mean"], 2), _number(row["sd"], 2))
    console = out()
    console.print(grid)
    for _, cell in summary.diverged(folder).iterrows():
        console.print(f"diverged: {cell['gate']} seed {cell['seed']} (counted as it ended)", markup=False)
    for gate in accuracy.index:
        if gate != "sigmoid" and "sigmoid" in accuracy.index:
            _show_difference(folder, str(gate))
    console.print()


def _show_difference(folder: Path, gate: str) -> None:
    difference = summary.paired_difference(folder, gate, "sigmoid")
    if len(difference):
        plural = "seeds" if len(difference) > 1 else "seed"
        out().print(
            f"{gate} minus sigmoid, same seeds: {difference.mean():+.2f} points on average "
            f"({difference.min():+.2f} to {difference.max():+.2f}, n = {len(difference)} {plural})",
            markup=False,
        )


def _show_sites(folder: Path) -> None:
    sites = summary.site_table(folder)
    with_objects = sites["on_object"].notna().any()
    columns = ["gate", "site", "5 %", "median", "95 %", "attenuated"]
    grid = table(
        "Scale s after the last epoch: quantiles, and the share below 1",
        *columns,
        *(["on digit", "off digit"] if with_objects else []),
        numbers_from=2,
    )
    for (gate, site), row in sites.iterrows():
        numbers = [_number(row[name], 3) for name in ("q05", "q50", "q95")]
        objects = [_number(row[name], 3) for name in ("on_object", "off_object")] if with_objects else []
        grid.add_row(str(gate), str(site), *numbers, f"{_number(row['attenuated'], 1)} %", *objects)
    out().print(grid)
    out().print()


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
