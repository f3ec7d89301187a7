"""Studies that nobody ran, for the figures: records, design and the statistics that the figures read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bamgate.record.metric import ACCURACY, Metric
from bamgate.record.tables import SCALE_EDGES

GATES = {
    "sigmoid": lambda z: 1 + 1 / (1 + np.exp(-z)),
    "tanh": lambda z: 1 + np.tanh(z),
    "softsign": lambda z: 1 + z / (1 + np.abs(z)),
    "constant-half": lambda z: 1.5 + 0 * z,
}
EIGHT = (
    "sigmoid", "tanh", "hard-sigmoid", "softsign", "centred-sigmoid", "tanh-quarter", "constant-half", "no-attention",
)  # fmt: skip
NETWORKS = ("model=resnet20; dataset=cifar100", "model=wrn-28-10; dataset=cifar100", "model=resnet50; dataset=imagenet")
QUANTILES = {"min": 0, "q01": 1, "q05": 5, "q25": 25, "q50": 50, "q75": 75, "q95": 95, "q99": 99, "max": 100}


@dataclass
class Design:
    """As the figures know a study."""

    arms: Sequence[str] = ("sigmoid", "tanh")
    contexts: Sequence[str] = ("",)
    reference: str = "sigmoid"
    rope: float = 0.3
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    metric: Metric = ACCURACY
    settings: dict[str, Any] = field(default_factory=dict)
    arm_settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        return next(arm for arm in self.arms if arm != self.reference)


@dataclass
class Records:
    """As the figures know its tables."""

    runs: pd.DataFrame
    epochs: pd.DataFrame
    gates: pd.DataFrame
    curves: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["gate", "z", "scale", "slope"]))


def made(
    design: Design,
    *,
    epochs: int = 4,
    sites: Sequence[str] = ("layer1", "layer2"),
    diverged: Iterable[tuple[str, str, int]] = (),
    seed: int = 0,
) -> Records:
    """Records of every arm, context and seed. An arm called "no-attention" has no gates.

    A run that diverged, named by arm, context and seed, stops halfway with NaN.
    """
    lost = set(diverged)
    runs, losses, gates = [], [], []
    for place in product(design.contexts, design.arms, design.seeds):
        context, arm, run_seed = place
        rng = np.random.default_rng([seed, design.contexts.index(context), design.arms.index(arm), run_seed])
        cell = f"{design.contexts.index(context)}-{arm}-{run_seed}"
        failed = (arm, context, run_seed) in lost
        level = 70 + 4 * (design.contexts.index(context) % 6) - 0.4 * design.arms.index(arm) + 0.3 * run_seed
        curve = level - 55 * np.exp(-5 * np.arange(1, epochs + 1) / epochs) + rng.normal(0, 0.3, epochs)
        curve = np.where(np.arange(epochs) >= epochs // 2, np.nan, curve) if failed else curve
        gate = "none" if arm == "no-attention" else arm
        beside = {"arm": arm, "context": context, "seed": run_seed, "cell": cell}
        runs.append(
            {**beside, "status": "diverged" if failed else "finished", "value": 10.0 if failed else curve[-1],
             "gate": gate, "attention": "none" if gate == "none" else "bam"}
        )  # fmt: skip
        rates = np.where(np.arange(epochs) < epochs / 2, 0.1, 0.01)
        losses += [{"cell": cell, "epoch": e + 1, "lr": rates[e], "value": curve[e]} for e in range(epochs)]
        if gate != "none":
            gates += [
                {"cell": cell, "epoch": e, "site": site, **_gate_row(arm, e / epochs, depth, rng, failed=failed)}
                for e in range(epochs + 1)
                for depth, site in enumerate(sites)
            ]
    columns = ["cell", "epoch", "site", *_gate_row("tanh", 0, 0, np.random.default_rng(0), failed=False)]
    return Records(pd.DataFrame(runs), pd.DataFrame(losses), pd.DataFrame(gates, columns=columns))


def _gate_row(arm: str, time: float, depth: int, rng: np.random.Generator, *, failed: bool) -> dict[str, Any]:
    z = rng.normal(-0.8 * time * depth, 0.2 + 1.3 * time / (1 + depth) + rng.uniform(0, 0.2), 2000)
    s = GATES.get(arm, GATES["tanh"])(z)
    nothing = failed and time >= 0.5
    below = np.searchsorted(np.sort(s), SCALE_EDGES)
    counts = [high - low for low, high in pairwise([0, *below, s.size])]
    return {
        "values": s.size,
        **{name: np.nan if nothing else np.percentile(s, q) for name, q in QUANTILES.items()},
        "histogram": " ".join(map(str, counts)),
        "attenuated": int((s < 1).sum()),
        "relatively_attenuated": int((s < s.mean()).sum()),
        "saturated": int((np.abs(z) > 2.5).sum()),
        "gradient_attention": 0.0 if arm == "constant-half" else float(np.exp(rng.normal(-1, 0.4))),
        "gradient_trunk": float(np.exp(rng.normal(1, 0.2))),
    }


def statistics(records: Records, design: Design) -> dict[str, Any]:
    """What the figures read of stats.json, by scipy."""
    contrasts = [
        _contrast(records.runs, design, context, arm)
        for context, arm in product(design.contexts, design.arms)
        if arm != design.reference
    ]
    failures = [
        {"context": context, "arm": arm, "rate": _rate(runs["status"] == "diverged")}
        for (context, arm), runs in records.runs.groupby(["context", "arm"], sort=False)
    ]
    return {"contrasts": contrasts, "across": _across(contrasts, design), "failures": failures}


def _contrast(runs: pd.DataFrame, design: Design, context: str, arm: str) -> dict[str, Any]:
    good = runs[(runs["context"] == context) & (runs["status"] == "finished")]
    table = good.pivot(index="seed", columns="arm", values="value").reindex(columns=[arm, design.reference])
    d = (table[arm] - table[design.reference]).dropna()
    t, p = _t(d.to_list())
    beside = {"context": context, "arm": arm, "seeds": list(d.index), "differences": list(d), "holm_p": p}
    planning: dict[str, Any] = {"n": len(d), "mde_points": None, "seeds_needed": None}
    if t["sd"] and len(d) > 2:
        planning |= {"mde_points": 1.5 * t["sd"], "seeds_needed": 40, "power_at_rope": 0.3}
    return {**beside, "t": t, "planning": planning, "verdict": {"code": "undecided" if len(d) > 1 else None}}


def _t(d: list[float]) -> tuple[dict[str, Any], float | None]:
    found: dict[str, Any] = {
        "n": len(d),
        "mean": float(np.mean(d)) if d else None,
        "low": None,
        "high": None,
        "sd": None,
    }
    if len(d) < 2 or max(d) == min(d):
        return found, None
    result = stats.ttest_1samp(d, 0)
    interval = result.confidence_interval()
    return {**found, "low": interval.low, "high": interval.high, "sd": float(np.std(d, ddof=1))}, float(result.pvalue)


def _rate(failed: pd.Series) -> dict[str, Any]:
    test = stats.binomtest(int(failed.sum()), len(failed)).proportion_ci(method="wilson")
    return {"failed": int(failed.sum()), "n": len(failed), "share": failed.mean(), "low": test.low, "high": test.high}


def _across(contrasts: list[dict[str, Any]], design: Design) -> list[dict[str, Any]]:
    rows = []
    for arm in design.arms:
        cells = [c["t"]["mean"] for c in contrasts if c["arm"] == arm and c["differences"]]
        if len(cells) > 1:
            t, p = _t(cells)
            mean, reach = t["mean"], (t["high"] - t["low"]) / 2
            found = {**t, "k": len(cells), "these_low": mean - reach / 4, "these_high": mean + reach / 4}
            meta = {"mean": mean, "prediction_low": mean - 1.5 * reach, "prediction_high": mean + 1.5 * reach}
            rows.append({"arm": arm, "holm_p": p, "across": {"cells": found, "meta": meta}})
    return rows
