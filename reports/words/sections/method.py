"""What each word of the report means, so that nobody has to guess."""

from bamgate import stats as stats_
from bamgate.record.metric import PERCENT
from bamgate.reports.words.document import Details, Facts, Facts_, Paragraph, Section
from bamgate.reports.words.measure import measure_of
from bamgate.reports.words.numbers import capital
from bamgate.reports.words.runs import FEW_PAIRS
from bamgate.reports.words.sections.common import Stats, complete


def method(stats: Stats) -> Section:
    """The rules, fixed before the runs, that turned runs into words."""
    intro = Paragraph("These rules are the same for every study and do not depend on what was found.")
    rows = (*_always(stats), *((*_VERDICTS, *_tests(stats)) if complete(stats) else ()))
    calls = (Details("The library call behind each number", (Facts(_calls()),)),) if complete(stats) else ()
    return Section("method", "Method", (intro, Facts(rows), *calls))


def _calls() -> Facts_:
    return tuple((name, kind.call) for name, kind in _STATISTICS.items())


_STATISTICS: dict[str, type[stats_.Result]] = {
    "Level of an arm": stats_.Level,
    "Paired t": stats_.PairedT,
    "Bootstrap (BCa)": stats_.Bootstrap,
    "Exact sign flips": stats_.SignFlip,
    "Wilcoxon signed rank": stats_.SignedRank,
    "Sign test": stats_.SignTest,
    "Effect size": stats_.EffectSize,
    "Chance of winning": stats_.Superiority,
    "Unpaired (Welch)": stats_.Unpaired,
    "Equivalence": stats_.Equivalence,
    "Posterior": stats_.Posterior,
    "Bayes factors": stats_.BayesFactors,
    "Planning": stats_.Planning,
    "Verdict": stats_.Verdict,
    "Failure rate": stats_.Rate,
    "Fisher's test": stats_.Fisher,
    "Worst ranks": stats_.WorstRank,
    "Means of contexts": stats_.CellMeans,
    "Mixed model": stats_.MixedModel,
    "Meta-analysis": stats_.MetaAnalysis,
    "Test images": stats_.ImageBootstrap,
    "McNemar's test": stats_.McNemar,
}


def _always(stats: Stats) -> Facts_:
    measure = measure_of(stats)
    unit = ", in percentage points" if measure.metric.unit == PERCENT else f",{measure.in_points}"
    subtracted = f"{measure.title} of the arm minus {measure.name} of {stats['design']['reference']} on the same seed"
    return (
        (
            "Pair",
            "Two runs with the same seed, so with the same data order and, if the parameters are the same, the same "
            "initial weights; only what the arm names differs. The seed is the unit: neither images nor epochs "
            "are counted as repetitions.",
        ),
        (
            "Difference",
            f"{subtracted}{unit if measure.in_points else ''}. "
            f"{capital(measure.better_side)} 0 the arm has the {measure.metric.better} {measure.name}.",
        ),
        (
            "Last epoch",
            f"Every {measure.name} is that of the last epoch. The best epoch is picked by looking at the test set; "
            f"that flatters every arm, and most of all the one whose {measure.name} swings most.",
        ),
        (
            "Range too small to matter (ROPE)",
            f"{measure.margin(stats['design']['rope'])}. A difference inside it would change no decision. "
            + (
                "It was declared with the study, before any run."
                if stats["design"]["rope_declared"]
                else "It was not declared with the runs; it was chosen for this report."
            ),
        ),
        (
            "Diverged",
            "A run whose loss was no longer finite. It is an outcome, counted as such; it is never replaced "
            "by another seed, and its pair is left out of the differences.",
        ),
    )


_VERDICTS = (
    (
        "Interval",
        "The 95 % t interval of the mean paired difference: made in this way, 95 of 100 intervals hold the true "
        "mean. It comes first because with few seeds it keeps that promise, while a bootstrap interval of 5 seeds "
        "holds the truth only 83 times in 100; the bootstrap is given from 10 pairs on. No test is chosen by a "
        "look at the data.",
    ),
    (
        "better, worse",
        "The whole interval lies beyond the range too small to matter, and p is below 0.05 after Holm's "
        "adjustment. With “size may be negligible”: it excludes 0 but reaches into that range.",
    ),
    ("equivalent", "The 90 % interval lies inside the range: two one-sided tests at 0.05 agree."),
    (
        "undecided",
        "None of these. It does not say that the gates are alike: it says that these seeds cannot tell, and how "
        "many could.",
    ),
)
_BEFORE_EXACT = (
    (
        "Family, Holm p",
        "All comparisons with the reference are one family; Holm's method keeps the chance of any false direction in "
        "it at 5 %, and likewise of any false equivalence. Attributions are a family of their own, as are the means "
        "over networks.",
    ),
)
_AFTER_EXACT = (
    (
        "What pairing buys",
        "The noise that both runs of a seed share cancels. A different gate changes training from the first step, "
        "so the correlation is often near 0 and pairing then buys little; both the paired and the unpaired test "
        "are given, and the paired one was chosen beforehand.",
    ),
    (
        "Power",
        "What these seeds could have found, at the spread that they show. It is never the power at the difference "
        "that was found: that would be the p value in other words.",
    ),
)


def _tests(stats: Stats) -> Facts_:
    counted = measure_of(stats).metric.is_count
    few = f"With fewer than {FEW_PAIRS} pairs none of them can reach p < 0.05, whatever the data."
    text = (
        "Sign flips, Wilcoxon's test and the sign test assume no distribution and work on whole numbers of images. "
        f"{few}"
        if counted
        else f"Wilcoxon's test and the sign test assume no distribution. {few} Sign flips, McNemar's test and the "
        "bootstrap over images need counts of right images; this metric counts nothing, so they are left out."
    )
    return (*_BEFORE_EXACT, ("Exact tests", text), *_AFTER_EXACT)
