"""An arm against the reference, on the same seeds: every statistic, then the verdict."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bamgate import stats
from bamgate.record.metric import Metric
from bamgate.reports.analysis.pairing import LeftOut, Paired, gains, pair
from bamgate.reports.analysis.plain import Typed
from bamgate.reports.design import Design
from bamgate.reports.records import Outcomes, Records
from bamgate.stats.status import MISSING_VALUES, NO_EPOCHS

LAST = 5  # epochs that the mean of the last epochs is over, and never more than the last quarter of them


@dataclass(frozen=True, kw_only=True)
class Tests(Typed):
    """Every statistic of the pairs of two arms. Differences are of the metric; wins go by its direction."""

    t: stats.PairedT
    bca: stats.Bootstrap
    sign_flip: stats.SignFlip
    signed_rank: stats.SignedRank
    sign_test: stats.SignTest
    effect: stats.EffectSize
    superiority: stats.Superiority
    unpaired: stats.Unpaired
    equivalence: stats.Equivalence
    posterior: stats.Posterior
    bayes: stats.BayesFactors
    planning: stats.Planning


@dataclass(frozen=True, kw_only=True)
class SeedTest:
    """McNemar's test of the two runs of a seed."""

    seed: int
    test: stats.McNemar


@dataclass(frozen=True, kw_only=True)
class Images(Typed):
    """How far other test images alone would move the difference."""

    bootstrap: stats.ImageBootstrap
    mcnemar: tuple[SeedTest, ...]

    def to_dict(self) -> dict[str, Any]:
        tests = [{"seed": one.seed, **one.test.to_dict()} for one in self.mcnemar]
        return {"bootstrap": self.bootstrap.to_dict(), "mcnemar": tests}


@dataclass(frozen=True, kw_only=True)
class Readings(Typed):
    """The difference by the mean of the `last` epochs, and by the best epoch, which is selected."""

    last: int
    mean_last: stats.PairedT
    best: stats.PairedT


@dataclass(frozen=True, kw_only=True)
class Contrast(Typed):
    """An arm against the reference in one context.

    Args:
        worst_rank, fisher: with the runs that diverged; None if none did.
        images: None without counts or outcomes.
        family: comparisons that p values are corrected for.
    """

    context: str
    arm: str
    reference: str
    kind: str = "arm"
    seeds: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    differences: tuple[float, ...]
    tests: Tests
    worst_rank: stats.WorstRank | None
    fisher: stats.Fisher | None
    images: Images | None
    robust: Readings
    family: int = 0
    holm_p: float | None = None
    equivalence_holm_p: float | None = None
    verdict: stats.Verdict | None = None

    def to_dict(self) -> dict[str, Any]:
        """The tests stand beside the rest."""
        found = super().to_dict()
        return {**found.pop("tests"), **found}


def contrasts(design: Design, records: Records, outcomes: Outcomes) -> list[Contrast]:
    """Every arm against the reference in every context; p values corrected in one family, verdicts last."""
    found = [
        _contrast(design, records, outcomes, arm, context)
        for context in design.contexts
        for arm in design.arms
        if arm != design.reference and _is_planned(design, arm, context)
    ]
    adjusted = _holm([row.tests.t.p for row in found])
    equivalent = _holm([row.tests.equivalence.p for row in found])
    return [
        replace(
            row,
            family=len(found),
            holm_p=holm_p,
            equivalence_holm_p=equivalence_p,
            verdict=stats.verdict(
                row.tests.t,
                row.tests.equivalence,
                rope=design.rope,
                holm_p=holm_p,
                planning=row.tests.planning,
                equivalence_p=equivalence_p,
                higher_is_better=design.metric.higher_is_better,
            ),
        )
        for row, holm_p, equivalence_p in zip(found, adjusted, equivalent, strict=True)
    ]


def _holm(p_values: list[float | None]) -> list[float | None]:
    """A comparison without a p counts in the family as one that shows nothing: its size must not hang on outcomes."""
    found = stats.holm({number: 1.0 if p is None else p for number, p in enumerate(p_values)})
    return [None if p is None else found[number] for number, p in enumerate(p_values)]


def _is_planned(design: Design, arm: str, context: str) -> bool:
    return all(any(p.arm == a and p.context == context for p in design.places) for a in (arm, design.reference))


def _contrast(design: Design, records: Records, outcomes: Outcomes, arm: str, context: str) -> Contrast:
    paired = pair(design, records, arm, design.reference, context)
    worst_rank, fisher = _with_failures(records, design, arm, context)
    return Contrast(
        context=context,
        arm=arm,
        reference=design.reference,
        seeds=tuple(paired.seeds),
        left_out=paired.left_out,
        differences=tuple(float(d) for d in paired.pairs.differences),
        tests=_tests(paired.pairs, gains(paired.pairs, design.metric), design.rope),
        worst_rank=worst_rank,
        fisher=fisher,
        images=_images(paired, outcomes),
        robust=_robust(paired, records),
    )


def _tests(pairs: stats.Pairs, gained: stats.Pairs, rope: float) -> Tests:
    """`gained`: the same pairs, more being better."""
    return Tests(
        t=stats.paired_t(pairs),
        bca=stats.bca(pairs),
        sign_flip=stats.sign_flip(pairs),
        signed_rank=stats.signed_rank(pairs),
        sign_test=stats.sign_test(gained),
        effect=stats.effect_size(pairs),
        superiority=stats.superiority(gained),
        unpaired=stats.unpaired(pairs),
        equivalence=stats.equivalence(pairs, rope),
        posterior=replace(stats.posterior(pairs, rope), next_seed_wins=stats.posterior(gained, rope).next_seed_wins),
        bayes=stats.bayes_factor(pairs),
        planning=stats.planning(pairs, rope),
    )


def _with_failures(
    records: Records, design: Design, arm: str, context: str
) -> tuple[stats.WorstRank | None, stats.Fisher | None]:
    """The sensitivity of the comparison to runs that diverged; None if none did."""
    arms = [records.of(name, context) for name in (arm, design.reference)]
    failed = [int((runs["status"] == "diverged").sum()) for runs in arms]
    if not any(failed):
        return None, None
    seeds = [seed for seed in arms[0].index if seed in arms[1].index]
    scores = [[_score(runs.loc[seed], design.metric) for seed in seeds] for runs in arms]
    rank = stats.worst_rank(scores[0], scores[1], is_count=design.metric.is_count)
    return rank, stats.fisher(failed[0], len(arms[0]), failed[1], len(arms[1]))


def _score(run: "pd.Series[Any]", metric: Metric) -> float | None:
    """More is better; None if the run diverged."""
    if run["status"] == "diverged":
        return None
    value = int(run["correct"]) if metric.is_count else float(run["value"])
    return value if metric.higher_is_better else -value


def _images(paired: Paired, outcomes: Outcomes) -> Images | None:
    """How far other test images alone would move the difference; None without counts or outcomes."""
    if not paired.metric.is_count:
        return None
    found = outcomes.of_runs(pd.concat([paired.treatment, paired.control])) if paired.seeds else None
    if found is None:
        return None
    matrices = np.split(np.array(found), 2)
    tests = [
        SeedTest(seed=seed, test=stats.mcnemar(*pair_)) for seed, *pair_ in zip(paired.seeds, *matrices, strict=True)
    ]
    return Images(bootstrap=stats.image_bootstrap(matrices[0], matrices[1]), mcnemar=tuple(tests))


def _robust(paired: Paired, records: Records) -> Readings:
    """The same comparison by other readings of the metric, each fixed beforehand; the best epoch is selected."""
    cells = {*paired.treatment["cell"], *paired.control["cell"]}
    epochs = records.epochs[records.epochs["cell"].isin(cells)]
    last = max(1, min(LAST, int(epochs.groupby("cell").size().min()) // 4)) if len(epochs) else 1
    name = "test_correct" if paired.metric.is_count else "value"
    sums = epochs.groupby("cell").tail(last).groupby("cell")[name].agg(lambda values: values.sum(skipna=False))
    every = epochs.groupby("cell")[name]
    best = every.max() if paired.metric.higher_is_better else every.min()
    return Readings(last=last, mean_last=_reading(paired, sums, last), best=_reading(paired, best, 1))


def _reading(paired: Paired, found: "pd.Series[Any]", epochs: int) -> stats.PairedT:
    """t of the difference by other counts or values, each a sum over so many epochs."""
    cells = [list(frame["cell"]) for frame in (paired.treatment, paired.control)]
    if not all(cell in found.index for row in cells for cell in row):
        return stats.PairedT(n=0, status=NO_EPOCHS)
    read = [found[row] for row in cells]
    if lacking := sum(int((~np.isfinite(part.astype(float))).sum()) for part in read):
        return stats.PairedT(n=0, status=MISSING_VALUES, about=(lacking, sum(map(len, read))))
    if not paired.metric.is_count:
        return stats.paired_t(stats.Pairs.of_values(*([float(v) / epochs for v in part] for part in read)))
    counts = [tuple(int(n) for n in part) for part in read]
    points = paired.pairs.points / epochs
    return stats.paired_t(stats.Pairs(treatment=counts[0], control=counts[1], points=points))
