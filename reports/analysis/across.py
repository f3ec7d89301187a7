"""Over several contexts: what holds for these networks and data sets, and what for a new one like them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bamgate import stats
from bamgate.record.tables import context_values
from bamgate.reports.analysis.contrasts import Contrast
from bamgate.reports.analysis.plain import Typed
from bamgate.reports.design import Design
from bamgate.stats.status import EQUAL_CONTEXTS, NEEDS_CONTEXTS

SAMPLED = {"model", "dataset"}  # axes whose values stand for others like them
SAME = 1e-9  # points; below what one image is worth


@dataclass(frozen=True, kw_only=True)
class Across(Typed):
    """An arm over several contexts.

    Args:
        cells: context -> mean difference there.
        verdict_new: on a new context like these.
    """

    arm: str
    reference: str
    cells: dict[str, float]
    across: stats.Across
    holm_p: float | None
    verdict_new: stats.Verdict


def across(design: Design, contrasts: Sequence[Contrast]) -> list[Across]:
    """A row for each arm that was compared in two contexts or more; a context is what `stats.across` calls a cell.

    Args:
        contrasts: as `contrasts.contrasts` makes them.
    """
    values: dict[str, set[str]] = {}
    for context in design.contexts:
        for name, value in context_values(context).items():
            values.setdefault(name, set()).add(value)
    if not {name for name, seen in values.items() if len(seen) > 1} <= SAMPLED:
        return []  # settings of one network are no sample of networks
    rows = []
    for arm in design.arms:
        cells = {c.context: c.differences for c in contrasts if c.arm == arm and c.differences}
        if len(cells) > 1:
            rows.append((arm, cells, stats.across(cells)))
    adjusted = stats.holm({arm: found.cells.p for arm, _, found in rows})
    return [
        Across(
            arm=arm,
            reference=design.reference,
            cells={context: sum(values) / len(values) for context, values in cells.items()},
            across=found,
            holm_p=adjusted[arm],
            verdict_new=_verdict(found.cells, cells, design, adjusted[arm]),
        )
        for arm, cells, found in rows
    ]


def _verdict(
    found: stats.CellMeans, cells: dict[str, tuple[float, ...]], design: Design, holm_p: float | None
) -> stats.Verdict:
    """The rule of one context, on the means of the cells."""
    means = [sum(values) / len(values) for values in cells.values()]
    t = stats.PairedT(
        n=found.k,
        mean=found.mean,
        sd=found.sd,
        t=found.t,
        df=found.df,
        p=found.p,
        low=found.low,
        high=found.high,
        status=found.status,
    )
    equal = _equivalence(means, design.rope)
    plan = stats.Planning(n=found.k, status=NEEDS_CONTEXTS)
    return stats.verdict(
        t,
        equal,
        rope=design.rope,
        holm_p=holm_p,
        planning=plan,
        unit="context",
        higher_is_better=design.metric.higher_is_better,
    )


def _equivalence(means: list[float], rope: float) -> stats.Equivalence:
    """Two one-sided t tests of the cell means, and their 90 % interval."""
    from scipy.stats import ttest_1samp

    if len(means) < 2 or max(means) - min(means) < SAME:
        return stats.Equivalence(rope=rope, status=EQUAL_CONTEXTS)
    lower = float(ttest_1samp(means, -rope, alternative="greater").pvalue)
    upper = float(ttest_1samp(means, rope, alternative="less").pvalue)
    interval = ttest_1samp(means, 0).confidence_interval(0.90)
    low, high = float(interval.low), float(interval.high)
    return stats.Equivalence(rope=rope, p=max(lower, upper), p_lower=lower, p_upper=upper, low=low, high=high)
