"""What the gates did: figures by site at the end of training, over seeds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bamgate import stats
from bamgate.reports.analysis.levels import level
from bamgate.reports.analysis.plain import Typed
from bamgate.reports.design import Design
from bamgate.reports.records import Records

SHARES = ("attenuated", "relatively_attenuated", "saturated")


@dataclass(frozen=True, kw_only=True)
class Site(Typed):
    """What an arm's gate did at a site at the end of training; the last three are None without an object's place."""

    context: str
    arm: str
    site: str
    epoch: int
    attenuated: stats.Level
    relatively_attenuated: stats.Level
    saturated: stats.Level
    mean_slope: stats.Level
    gradient_ratio: stats.Level
    scale_mean: stats.Level
    scale_low: stats.Level
    scale_high: stats.Level
    on_object: stats.Level | None
    off_object: stats.Level | None
    contrast: stats.Level | None


@dataclass(frozen=True, kw_only=True)
class Learned(Typed):
    """A parameter that a gate has learned at a site."""

    context: str
    arm: str
    site: str
    name: str
    level: stats.Level


def with_shares(gates: pd.DataFrame) -> pd.DataFrame:
    """Rows of gates.csv with shares in percent, and the gradient of the attention beside the trunk's."""
    values = gates["values"].astype(float)
    shares = {name: 100 * gates[name].astype(float) / values for name in SHARES}
    trunk = gates["gradient_trunk"].where(gates["gradient_trunk"] > 0)
    return gates.assign(**shares, gradient_ratio=gates["gradient_attention"] / trunk)


def last_gates(records: Records) -> pd.DataFrame:
    """The rows of the last epoch of the finished runs, a row a place and site."""
    finished = records.runs.loc[records.runs["status"] == "finished", ["arm", "context", "seed", "cell"]]
    gates = with_shares(records.gates)
    last = gates[gates["epoch"] == gates.groupby("cell")["epoch"].transform("max")]
    return finished.merge(last, on="cell", how="inner", validate="many_to_many")


def mechanism(design: Design, records: Records) -> list[Site]:
    """A row for each arm, context and site that has a gate."""
    rows = []
    for (context, arm, site), group in _groups(design, last_gates(records)):
        on, off = group["on_object"], group["off_object"]
        seen = bool(on.notna().any())
        rows.append(
            Site(
                context=context,
                arm=arm,
                site=site,
                epoch=int(group["epoch"].max()),
                attenuated=level(group["attenuated"]),
                relatively_attenuated=level(group["relatively_attenuated"]),
                saturated=level(group["saturated"]),
                mean_slope=level(group["mean_slope"]),
                gradient_ratio=level(group["gradient_ratio"]),
                scale_mean=level(group["mean"]),
                scale_low=level(group["q05"]),
                scale_high=level(group["q95"]),
                on_object=level(on) if seen else None,
                off_object=level(off) if seen else None,
                contrast=level(on - off) if seen else None,
            )
        )
    return rows


def _groups(design: Design, rows: pd.DataFrame) -> list[tuple[tuple[str, str, str], pd.DataFrame]]:
    """By context, arm and site, in the design's order; what the design leaves out is left out."""
    rows = rows[rows["context"].isin(design.contexts) & rows["arm"].isin(design.arms)]
    groups = dict(iter(rows.groupby(["context", "arm", "site"], sort=True)))
    order = {"context": list(design.contexts), "arm": list(design.arms)}
    keys = sorted(groups, key=lambda k: (order["context"].index(k[0]), order["arm"].index(k[1]), k[2]))
    return [((str(k[0]), str(k[1]), str(k[2])), groups[k]) for k in keys]


def learned(design: Design, records: Records) -> list[Learned]:
    """The parameters that gates have learned, over seeds."""
    rows = last_gates(records)
    rows = rows[rows["learned"].notna()]
    found = []
    for (context, arm, site), group in _groups(design, rows):
        table = pd.DataFrame([_parameters(text) for text in group["learned"]])
        for name in sorted(table.columns):
            found.append(Learned(context=context, arm=arm, site=site, name=name, level=level(table[name])))
    return found


def _parameters(text: str) -> dict[str, float]:
    parts = [part.split("=", 1) for part in text.split(";") if "=" in part]
    return {name: float(value) if value else np.nan for name, value in parts}
