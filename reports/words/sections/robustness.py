"""Does the answer hold for other networks and data, other epochs, with failures counted, and on other images?"""

from collections.abc import Iterator
from typing import Any

from bamgate.reports.words.document import Block, Bullets, Details, Paragraph, Section, Table
from bamgate.reports.words.measure import Measure, measure_of
from bamgate.reports.words.numbers import NBSP, count, number, p_cell, p_value, share
from bamgate.reports.words.sections.common import (
    OK,
    Row,
    Stats,
    complete,
    context_cell,
    interval_cell,
    make_table,
    title_of,
    with_context,
)
from bamgate.reports.words.status import why
from bamgate.reports.words.verdict import WORDS, verdict_sentence

NEW, THESE = "a new network or data set like these", "these networks and data sets only"


def robustness(stats: Stats) -> Section:
    """Contexts, readings of the accuracy, worst ranks, images."""
    if not complete(stats):
        text = "Nothing is said about robustness before every planned run has ended."
        return Section("robustness", "Robustness", (Paragraph(text),))
    blocks = [*_contexts(stats), *_epochs(stats), *_worst(stats), *_images(stats)]
    return Section("robustness", "Robustness", tuple(blocks))


def _contexts(stats: Stats) -> list[Block]:
    rows = stats["across"]
    if not rows:
        text = "The study has one network, data set and setting; it says nothing about others."
        return [Paragraph(text, "Other contexts.")]
    intro = Paragraph(
        "One mean with two intervals, for two populations: for exactly these contexts only the spread between seeds "
        "counts; for a new context like them the spread between contexts counts. The second claim is wider, and so is "
        "its interval.",
        "Across contexts.",
    )
    measure = measure_of(stats)
    words = Bullets(tuple(_across_sentence(row, measure) for row in rows))
    models = Details("Mixed model and meta-analysis", (_models_table(rows, measure),))
    return [intro, _across_table(rows, measure), words, models]


def _across_sentence(row: Row, measure: Measure) -> str:
    meta = row["across"]["meta"]
    text = f"{row['arm']} against {row['reference']}, for {NEW}: {verdict_sentence(row['verdict_new'], measure)}"
    if meta["status"] == OK and meta["prediction_low"] is not None:
        ahead = measure.with_unit(measure.interval(meta["prediction_low"], meta["prediction_high"]))
        text += f" The difference of one new context is expected in {ahead} (95{NBSP}% prediction interval)."
    return text


def _across_table(rows: list[Row], measure: Measure) -> Table:
    columns: list[Any] = [("Arm", "left"), ("Contexts", "right"), ("Mean", "right"), ("These only", "right")]
    columns += [("A new one", "right"), (f"Holm{NBSP}p", "right"), ("Verdict", "left")]
    parts = ("k", "mean", "sd", "t", "df", "p", "low", "high", "these_low", "these_high")
    cells = [row["across"]["cells"] for row in rows]
    return make_table(
        "across",
        f"Mean difference over contexts, each counting the same{_unit(measure)}. These only: 95 % interval for "
        f"{THESE}. A new one: 95 % interval, p and verdict for {NEW}.",
        columns,
        [
            [
                row["arm"],
                str(cell["k"]),
                measure.signed(cell["mean"]),
                measure.interval(cell["these_low"], cell["these_high"]),
                measure.interval(cell["low"], cell["high"]),
                p_cell(row["holm_p"]),
                WORDS[row["verdict_new"]["code"]],
            ]
            for row, cell in zip(rows, cells, strict=True)
        ],
        ["arm", "reference", *parts, "holm_p", "verdict"],
        [
            [row["arm"], row["reference"], *(cell[part] for part in parts), row["holm_p"], row["verdict_new"]["code"]]
            for row, cell in zip(rows, cells, strict=True)
        ],
    )


def _unit(measure: Measure) -> str:
    return f",{measure.in_points}" if measure.in_points else ""


def _models_table(rows: list[Row], measure: Measure) -> Table:
    columns: list[Any] = [("Arm", "left"), ("Model", "left"), ("Mean", "right"), ("95 % interval", "right")]
    columns += [("Between contexts, SD", "right"), ("Remark", "left")]
    models = [(row, key, row["across"][key]) for row in rows for key in _MODELS]
    return make_table(
        "across-models",
        "The same question by models that weigh contexts by their seeds; both speak of a new context.",
        columns,
        [
            [
                row["arm"],
                _MODELS[key],
                measure.signed(model["mean"]),
                measure.interval(model["low"], model["high"]),
                measure.number(None if model["tau2"] is None else model["tau2"] ** 0.5),
                _remark(model),
            ]
            for row, key, model in models
        ],
        ["arm", "model", "k", "mean", "low", "high", "tau2", "status"],
        [
            [row["arm"], key, *(model[part] for part in ("k", "mean", "low", "high", "tau2", "status"))]
            for row, key, model in models
        ],
    )


_MODELS = {"mixed": "mixed model", "meta": "meta-analysis"}


def _remark(model: Row) -> str:
    if model["status"] != OK:
        return why(model)
    return f"I² = {share(model['i2'], 0)}" if "i2" in model else p_value(model["p"])


def _readings(row: Row) -> Iterator[tuple[str, str, Row]]:
    """(code, words, t) of each reading."""
    robust = row["robust"]
    yield "last-epoch", "last epoch (primary)", row["t"]
    if robust["last"] > 1:
        yield f"mean-last-{robust['last']}", f"mean of the last {robust['last']} epochs", robust["mean_last"]
    yield "best-epoch", "best epoch, chosen on the test set", robust["best"]


def _epochs(stats: Stats) -> list[Block]:
    """The primary reading beside two others; the best epoch is labelled as what it is."""
    intro = Paragraph(
        "The last epoch is the primary reading; if training is long, the mean of the last epochs stands beside it. The "
        "best epoch is chosen by looking at the test set: it flatters whichever gate swings more from epoch to epoch, "
        "and is here to compare with papers that print it, not as evidence.",
        "Other epochs.",
    )
    columns: list[Any] = [("Arm", "left"), ("Reading", "left"), ("n", "right"), ("Difference", "right")]
    columns += [("95 % interval", "right")]
    measure = measure_of(stats)
    rows = [(row, code, name, t) for row in stats["contrasts"] for code, name, t in _readings(row)]
    table = make_table(
        "readings",
        f"Difference from {stats['design']['reference']}{measure.in_points} by other readings of the {measure.name}.",
        with_context(stats, columns),
        [
            [
                *(*context_cell(stats, row), row["arm"], name, str(t["n"])),
                *(measure.signed(t["mean"]), interval_cell(t, measure)),
            ]
            for row, code, name, t in rows
        ],
        ["context", "arm", "reference", "reading", "n", "mean", "sd", "low", "high", "status"],
        [
            [
                *(row[name_] for name_ in ("context", "arm", "reference")),
                code,
                *(t[part] for part in ("n", "mean", "sd", "low", "high", "status")),
            ]
            for row, code, name, t in rows
        ],
    )
    return [intro, table] if rows else []


def _worst(stats: Stats) -> list[Block]:
    items = [f"{title_of(row)}: {_worst_text(row['worst_rank'])}" for row in stats["contrasts"] if row["worst_rank"]]
    if not items:
        return []
    lead = "With diverged runs ranked below all others, instead of left out:"
    return [Paragraph(lead, "Failures counted."), Bullets(tuple(items))]


def _worst_text(rank: Row) -> str:
    wins = f"{count(rank['wins'], 'win')}, {count(rank['ties'], 'tie')}, {count(rank['losses'], 'loss', 'losses')}"
    if rank["p"] is None:
        return f"{wins}; no test: {why(rank)}."
    return f"{wins}, Wilcoxon {p_value(rank['p'])}, A12{NBSP}={NBSP}{number(rank['a12'])}."


def _images(stats: Stats) -> list[Block]:
    """What other test images alone would do; the seeds' interval does not hold it."""
    rows, measure = [row for row in stats["contrasts"] if row["images"] is not None], measure_of(stats)
    if not measure.metric.is_count:
        text = (
            f"{measure.title} is no share of images that a run gets right, so nothing here compares single images or "
            "says what other test images would do."
        )
        return [Paragraph(text, "Other images.")]
    if not rows:
        text = "Which test images each run got right is not stored here, so the report says nothing about other images."
        return [Paragraph(text, "Other images.")]
    intro = Paragraph(
        "The intervals above are over seeds, on one set of test images. These are over test images, with the seeds as "
        "they are.",
        "Other images.",
    )
    return [intro, _image_table(stats, rows), Details("McNemar's test of each seed", (_mcnemar_table(stats, rows),))]


def _image_table(stats: Stats, rows: list[Row]) -> Table:
    columns: list[Any] = [("Arm", "left"), ("Difference", "right"), ("95 % interval over images", "right")]
    found, measure = [(row, row["images"]["bootstrap"]) for row in rows], measure_of(stats)
    return make_table(
        "images",
        f"Difference from {stats['design']['reference']}{measure.in_points} with its interval over test images.",
        with_context(stats, columns),
        [
            [
                *(*context_cell(stats, row), row["arm"]),
                *(measure.signed(b["mean"]), measure.interval(b["low"], b["high"])),
            ]
            for row, b in found
        ],
        ["context", "arm", "mean", "low", "high", "resamples", "status"],
        [
            [row["context"], row["arm"], *(b[part] for part in ("mean", "low", "high", "resamples", "status"))]
            for row, b in found
        ],
    )


def _mcnemar_table(stats: Stats, rows: list[Row]) -> Table:
    columns: list[Any] = [("Arm", "left"), ("Seed", "right"), ("Only this arm right", "right")]
    columns += [("Only the reference right", "right"), ("p", "right")]
    tests = [(row, test) for row in rows for test in row["images"]["mcnemar"]]
    parts = ("seed", "only_treatment", "only_control")
    return make_table(
        "mcnemar",
        "Images that only one of two runs of a seed gets right, and McNemar's exact p; not adjusted.",
        with_context(stats, columns),
        [
            [*context_cell(stats, row), row["arm"], *(str(test[part]) for part in parts), p_cell(test["p"])]
            for row, test in tests
        ],
        ["context", "arm", *parts, "p"],
        [[row["context"], row["arm"], *(test[part] for part in parts), test["p"]] for row, test in tests],
    )
