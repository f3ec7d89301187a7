"""The comparison itself: arms, seeds, and every test of every contrast."""

from typing import Any

from bamgate.record.metric import ACCURACY
from bamgate.reports.words.document import Block, Bullets, Callout, Details, Facts, Paragraph, Section, Table
from bamgate.reports.words.headline import family_words
from bamgate.reports.words.measure import Measure, measure_of
from bamgate.reports.words.numbers import NBSP, NONE, p_cell, seeds
from bamgate.reports.words.runs import FEW_PAIRS
from bamgate.reports.words.sections.common import (
    Row,
    Stats,
    complete,
    context_cell,
    figure_refs,
    interval_cell,
    make_table,
    title_of,
    with_context,
)
from bamgate.reports.words.sections.contrast import facts
from bamgate.reports.words.verdict import WORDS, verdict_sentence

FIGURES = ("forest", "curves", "power")


def evidence(stats: Stats, figures: tuple[str, ...]) -> Section:
    """Tables of arms and seeds, the figures, and the details of each contrast."""
    blocks: list[Block] = [Paragraph(_declared(stats)), _arms(stats)]
    if complete(stats):
        blocks += [*_few_pairs(stats), *_in_words(stats)]
    blocks += [*figure_refs(FIGURES, figures), *_seeds(stats)]
    if complete(stats):
        blocks += [Paragraph("Every test of every comparison, by the seeds that both arms finished:")]
        measure = measure_of(stats)
        blocks += [Details(title_of(row), (Facts(facts(row, stats["design"], measure)),)) for row in stats["contrasts"]]
    return Section("evidence", "Evidence", tuple(blocks))


def _declared(stats: Stats) -> str:
    design, measure = stats["design"], measure_of(stats)
    others = [arm for arm in design["arms"] if arm != design["reference"]]
    rope = "declared before the runs" if design["rope_declared"] else "chosen for this report"
    text = (
        f"Compared with the reference {design['reference']}, seed by seed (seeds {seeds(design['seeds'])}): "
        f"{', '.join(others)}. A difference within {measure.margin(design['rope'])} of {measure.name} counts as too "
        f"small to matter ({rope}).{_direction(measure)}"
    )
    expected = f" Expected before the runs: {design['expected']}." if design["expected"] else ""
    return text + expected


def _direction(measure: Measure) -> str:
    return f" {measure.which_is_better}." if measure.says_direction else ""


def _arms(stats: Stats) -> Table:
    tested, measure = complete(stats), measure_of(stats)
    mean = f"Mean,{NBSP}{measure.metric.unit}" if measure.metric.unit else "Mean"
    columns: list[Any] = [("Arm", "left"), ("n", "right"), (mean, "right"), ("SD", "right")]
    columns += [("Difference", "right")]
    columns += [("95 % interval", "right"), (f"Holm{NBSP}p", "right"), ("Verdict", "left")] if tested else []
    known = {(c["arm"], c["context"]): c for c in stats["contrasts"]}
    rows = [(level, known.get((level["arm"], level["context"]))) for level in stats["levels"]]
    return make_table(
        "arms",
        _arms_caption(stats),
        with_context(stats, columns),
        [[*context_cell(stats, level), *_arm_cells(stats, level, row, tested=tested)] for level, row in rows],
        [*_ARM_DATA, *(_TEST_DATA if tested else [])],
        [[*_arm_data(level, row), *(_test_data(row) if tested else [])] for level, row in rows],
    )


def _arms_caption(stats: Stats) -> str:
    reference, measure = stats["design"]["reference"], measure_of(stats)
    text = (
        f"{measure.title} of each arm in the last epoch, mean and SD over seeds, and its difference from {reference}"
        f"{measure.in_points}"
    )
    if not complete(stats):
        return f"{text} so far. The study is not complete."
    families = list(dict.fromkeys(family_words(row) for row in stats["contrasts"]))
    family = f"; p adjusted by Holm's method in the family of {', '.join(families)}" if families else ""
    return f"{text}, on the seeds that both finished{family}."


def _arm_cells(stats: Stats, level: Row, row: Row | None, *, tested: bool) -> list[str]:
    spread, measure = level["level"], measure_of(stats)
    cells = [level["arm"], str(spread["n"]), measure.number(spread["mean"]), measure.number(spread["sd"])]
    if row is None:
        word = "reference" if level["arm"] == stats["design"]["reference"] else "not compared"
        return [*cells, NONE, *([NONE, NONE, word] if tested else [])]
    cells += [measure.signed(row["t"]["mean"])]
    if not tested:
        return cells
    return [*cells, interval_cell(row["t"], measure), p_cell(row["holm_p"]), _word(row["verdict"])]


def _word(verdict: Row) -> str:
    return WORDS[verdict["code"]] + ("; also equivalent" if verdict["also_equivalent"] else "")


_ARM_DATA = ["context", "arm", "gate", "attention", "planned", "finished", "diverged", "missing", "n", "mean", "sd"]
_ARM_DATA += ["mean_low", "mean_high", "reference", "pairs", "difference"]
_TEST_DATA = ["difference_sd", "low", "high", "p", "holm_p", "verdict"]


def _arm_data(level: Row, row: Row | None) -> list[Any]:
    spread = level["level"]
    facts_ = [level[name] for name in _ARM_DATA[:8]]
    levels = [spread[name] for name in ("n", "mean", "sd", "low", "high")]
    return [*facts_, *levels, *([None] * 3 if row is None else [row["reference"], row["t"]["n"], row["t"]["mean"]])]


def _test_data(row: Row | None) -> list[Any]:
    if row is None:
        return [None] * len(_TEST_DATA)
    return [*(row["t"][name] for name in ("sd", "low", "high", "p")), row["holm_p"], row["verdict"]["code"]]


def _few_pairs(stats: Stats) -> list[Callout]:
    """If no exact test can reach p < 0.05, that is said once, before anybody reads a p."""
    few = [c for c in stats["contrasts"] if 1 < c["t"]["n"] < FEW_PAIRS]
    if not few:
        return []
    counts = sorted({c["t"]["n"] for c in few})
    span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    smallest = [c["sign_flip"]["smallest_p"] for c in few if c["sign_flip"]["smallest_p"] is not None]
    first = (
        f"The smallest p that sign flips, Wilcoxon's test or the sign test can give here is {p_cell(min(smallest))}, "
        "however clear the difference."
        if smallest
        else "Wilcoxon's test and the sign test cannot give a smaller p here, however clear the difference."
    )
    text = (
        f"{first} Those p values therefore say nothing for or against a difference; the t interval is the evidence. "
        f"Exact tests need {FEW_PAIRS} pairs or more."
    )
    return [Callout(tone="note", word=f"{span} pairs: no exact test can reach p < 0.05", text=text)]


def _in_words(stats: Stats) -> list[Block]:
    """Each verdict as a sentence; with many of them behind a click."""
    measure = measure_of(stats)
    items = tuple(f"{title_of(row)}: {verdict_sentence(row['verdict'], measure)}" for row in stats["contrasts"])
    if not items:
        return []
    return [Bullets(items)] if len(items) <= 4 else [Details(f"The {len(items)} verdicts in words", (Bullets(items),))]


def _seeds(stats: Stats) -> list[Table]:
    """The metric of every run: an arm a row, a seed a column, a table each context."""
    tables, measure = [], measure_of(stats)
    for number_, context in enumerate(stats["design"]["contexts"], 1):
        rows = [level for level in stats["levels"] if level["context"] == context]
        name = f"seeds-{number_}" if len(stats["design"]["contexts"]) > 1 else "seeds"
        tables.append(_seed_table(name, context, rows, stats["design"]["seeds"], measure))
    return tables


def _seed_table(name: str, context: str, rows: list[Row], all_seeds: list[int], measure: Measure) -> Table:
    place = f", {context}" if context else ""
    counted = measure.metric.is_count
    column = "accuracy" if measure.metric == ACCURACY else "value"
    data = [
        [context, row["arm"], seed, row["values"].get(str(seed)), *(_counts(row, seed) if counted else ())]
        for row in rows
        for seed in all_seeds
    ]
    return make_table(
        name,
        f"{measure.title}{measure.in_unit} of every run in its last epoch{place}. "
        f"{NONE}: the run diverged or does not exist.",
        [("Arm", "left"), *((f"seed{NBSP}{seed}", "right") for seed in all_seeds)],
        [[row["arm"], *(measure.number(row["values"].get(str(seed))) for seed in all_seeds)] for row in rows],
        ["context", "arm", "seed", column, *(_COUNTS if counted else ())],
        data,
    )


_COUNTS = ("correct", "total")


def _counts(row: Row, seed: int) -> tuple[int | None, int | None]:
    return row["correct"].get(str(seed)), row["total"]
