"""An arm against the reference, on the same seeds: every statistic, then the verdict."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bamgate import stats
from bamgate.record.metric import Metric
from bamgate.reports.analysis.pairing import Paired, gains, pair
from bamgate.reports.design import Design
from bamgate.reports.records import Outcomes, Records
from bamgate.stats.status import MISSING_VALUES, NO_EPOCHS

Plain = dict[str, Any]
LAST = 5  # epochs that the mean of the last epochs is over, and never more than the last quarter of them


def contrasts(design: Design, records: Records, outcomes: Outcomes) -> list[Plain]:
    """Every arm against the reference in every context; p values corrected in one family, verdicts last."""
    found = [
        _contrast(design, records, outcomes, arm, context)
        for context in design.contexts
        for arm in design.arms
        if arm != design.reference and _is_planned(design, arm, context)
    ]
    adjusted = _holm([row["_t"].p for row in found])
    equivalent = _holm([row["_equivalence"].p for row in found])
    for row, holm_p, equivalence_p in zip(found, adjusted, equivalent, strict=True):
        row |= {"family": len(found), "holm_p": holm_p, "equivalence_holm_p": equivalence_p}
        parts = row.pop("_t"), row.pop("_equivalence"), row.pop("_planning")
        row["verdict"] = stats.verdict(
            parts[0],
            parts[1],
            rope=design.rope,
            holm_p=holm_p,
            planning=parts[2],
            equivalence_p=equivalence_p,
            higher_is_better=design.metric.higher_is_better,
        ).to_dict()
    return found


def _holm(p_values: list[float | None]) -> list[float | None]:
    """A comparison without a p counts in the family as one that shows nothing: its size must not hang on outcomes."""
    found = stats.holm({number: 1.0 if p is None else p for number, p in enumerate(p_values)})
    return [None if p is None else found[number] for number, p in enumerate(p_values)]


def _is_planned(design: Design, arm: str, context: str) -> bool:
    return all(any(p.arm == a and p.context == context for p in design.places) for a in (arm, design.reference))


def _contrast(design: Design, records: Records, outcomes: Outcomes, arm: str, context: str) -> Plain:
    paired = pair(design, records, arm, design.reference, context)
    pairs = paired.pairs
    gained = gains(pairs, design.metric)  # for whatever counts wins
    t, equal, plan = (
        stats.paired_t(pairs),
        stats.equivalence(pairs, design.rope),
        stats.planning(pairs, design.rope),
    )
    results: dict[str, stats.Result] = {
        "t": t,
        "bca": stats.bca(pairs),
        "sign_flip": stats.sign_flip(pairs),
        "signed_rank": stats.signed_rank(pairs),
        "sign_test": stats.sign_test(gained),
        "effect": stats.effect_size(pairs),
        "superiority": stats.superiority(gained),
        "unpaired": stats.unpaired(pairs),
        "equivalence": equal,
        "posterior": replace(
            stats.posterior(pairs, design.rope),
            next_seed_wins=stats.posterior(gained, design.rope).next_seed_wins,
        ),
        "bayes": stats.bayes_factor(pairs),
        "planning": plan,
    }
    return {
        "context": context,
        "arm": arm,
        "reference": design.reference,
        "kind": "arm",
        "seeds": paired.seeds,
        "left_out": list(paired.left_out),
        "differences": [float(d) for d in pairs.differences],
        **{name: result.to_dict() for name, result in results.items()},
        **_with_failures(records, design, arm, context),
        "images": _images(paired, outcomes),
        "robust": _robust(paired, records),
        "_t": t,
        "_equivalence": equal,
        "_planning": plan,
    }


def _with_failures(records: Records, design: Design, arm: str, context: str) -> Plain:
    """The sensitivity of the comparison to runs that diverged; None if none did."""
    arms = [records.of(name, context) for name in (arm, design.reference)]
    failed = [int((runs["status"] == "diverged").sum()) for runs in arms]
    if not any(failed):
        return {"worst_rank": None, "fisher": None}
    seeds = [seed for seed in arms[0].index if seed in arms[1].index]
    scores = [[_score(runs.loc[seed], design.metric) for seed in seeds] for runs in arms]
    return {
        "worst_rank": stats.worst_rank(scores[0], scores[1], is_count=design.metric.is_count).to_dict(),
        "fisher": stats.fisher(failed[0], len(arms[0]), failed[1], len(arms[1])).to_dict(),
    }


def _score(run: "pd.Series[Any]", metric: Metric) -> float | None:
    """More is better; None if the run diverged."""
    if run["status"] == "diverged":
        return None
    value = int(run["correct"]) if metric.is_count else float(run["value"])
    return value if metric.higher_is_better else -value


def _images(paired: Paired, outcomes: Outcomes) -> Plain | None:
    """How far other test images alone would move the difference; None without counts or outcomes."""
    if not paired.metric.is_count:
        return None
    found = outcomes.of_runs(pd.concat([paired.treatment, paired.control])) if paired.seeds else None
    if found is None:
        return None
    matrices = np.split(np.array(found), 2)
    tests = [
        {"seed": seed, **stats.mcnemar(a, b).to_dict()} for seed, a, b in zip(paired.seeds, *matrices, strict=True)
    ]
    return {"bootstrap": stats.image_bootstrap(matrices[0], matrices[1]).to_dict(), "mcnemar": tests}


def _robust(paired: Paired, records: Records) -> Plain:
    """The same comparison by other readings of the metric, each fixed beforehand; the best epoch is selected."""
    cells = {*paired.treatment["cell"], *paired.control["cell"]}
    epochs = records.epochs[records.epochs["cell"].isin(cells)]
    last = max(1, min(LAST, int(epochs.groupby("cell").size().min()) // 4)) if len(epochs) else 1
    name = "test_correct" if paired.metric.is_count else "value"
    sums = epochs.groupby("cell").tail(last).groupby("cell")[name].agg(lambda values: values.sum(skipna=False))
    every = epochs.groupby("cell")[name]
    best = every.max() if paired.metric.higher_is_better else every.min()
    return {"last": last, "mean_last": _reading(paired, sums, last), "best": _reading(paired, best, 1)}


def _reading(paired: Paired, found: "pd.Series[Any]", epochs: int) -> Plain:
    """t of the difference by other counts or values, each a sum over so many epochs."""
    cells = [list(frame["cell"]) for frame in (paired.treatment, paired.control)]
    if not all(cell in found.index for row in cells for cell in row):
        return stats.PairedT(n=0, status=NO_EPOCHS).to_dict()
    read = [found[row] for row in cells]
    if lacking := sum(int((~np.isfinite(part.astype(float))).sum()) for part in read):
        return stats.PairedT(n=0, status=MISSING_VALUES, about=(lacking, sum(map(len, read)))).to_dict()
    if not paired.metric.is_count:
        return stats.paired_t(stats.Pairs.of_values(*([float(v) / epochs for v in part] for part in read))).to_dict()
    counts = [tuple(int(n) for n in part) for part in read]
    points = paired.pairs.points / epochs
    return stats.paired_t(stats.Pairs(treatment=counts[0], control=counts[1], points=points)).to_dict()
