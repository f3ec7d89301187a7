"""What in the gate made the difference: controls that change one thing, and what the gates did while they trained."""

from collections.abc import Sequence
from typing import Any

from bamgate.reports.words.document import Block, Bullets, Callout, Details, Paragraph, Section, Table
from bamgate.reports.words.gate_properties import PROPERTIES, attribution_sentence, confound_sentence
from bamgate.reports.words.measure import Measure, measure_of
from bamgate.reports.words.numbers import NBSP, count, interval, number, p_cell, points
from bamgate.reports.words.sections.common import (
    Row,
    Stats,
    complete,
    context_cell,
    figure_refs,
    interval_cell,
    make_table,
    with_context,
)

FIGURES = ("gates", "scales", "river", "attenuation", "gradient", "mechanism")


def mechanism(stats: Stats, figures: tuple[str, ...]) -> Section:
    """Confounds, attribution, gate figures, learned parameters, object against background."""
    blocks: list[Block] = []
    if stats["confounds"]:
        blocks += [Paragraph("A difference between gates may have these other causes:", "Confounds.")]
        blocks += [Bullets(tuple(map(confound_sentence, stats["confounds"])))]
    blocks += _attribution(stats)
    blocks += [Paragraph(_MEANING, "What the gates did.")] if stats["mechanism"] else []
    tables = (_sites(stats), _objects(stats), _learned(stats))
    blocks += [table for table in tables if table.rows]
    blocks += figure_refs(FIGURES, figures)
    return Section("mechanism", "Mechanism", tuple(blocks) or (Paragraph("No arm of this study has a gate."),))


_MEANING = (
    "Each feature is multiplied by the scale s = 1 + g(z). A value is attenuated if s < 1; relatively attenuated if s "
    "is below the mean of its site (a batch norm that follows takes a common factor out again); saturated if the "
    "gate's slope is nearly 0. Shares are of the values read on the probe images at the end of training: every value "
    "of a map of up to 2^20, one value per block of a larger map (gates.csv has the counts and standard errors)."
)


def _attribution(stats: Stats) -> list[Block]:
    rows = stats["attribution"]
    if not complete(stats):
        return []
    if not rows:
        text = "No two gates of this study differ in one property alone, so nothing can be attributed to one."
        return [Callout(tone="note", word="No attribution", text=text)]
    intro = Paragraph(
        "Pairs of gates of the form s = c (1 + A tanh(k z)) that differ in one thing: the centre c, the depth A, the "
        "slope k, the smoothness or the tails.",
        "Which property it was.",
    )
    measure = measure_of(stats)
    items = Bullets(tuple(attribution_sentence(row, measure) for row in rows))
    words: Block = items if len(rows) <= 8 else Details(f"The {len(rows)} attributions in words", (items,))
    return [intro, words, _attribution_table(stats)]


_ATTRIBUTION_NAMES = ("context", "property", "treatment", "control")
_ATTRIBUTION_T = ("n", "mean", "sd", "low", "high", "p")


def _attribution_table(stats: Stats) -> Table:
    rows, measure = stats["attribution"], measure_of(stats)
    columns: list[Any] = [("Property", "left"), ("Treatment", "left"), ("Control", "left"), ("n", "right")]
    columns += [("Difference", "right"), ("95 % interval", "right"), (f"Holm{NBSP}p", "right")]
    return make_table(
        "attribution",
        f"Difference{_of_metric(measure)} between gates that differ in one property; p adjusted in the family of "
        f"{count(rows[0]['family'], 'contrast')} of control gates.",
        with_context(stats, columns),
        [[*context_cell(stats, row), *_attribution_cells(row, measure)] for row in rows],
        [*_ATTRIBUTION_NAMES, *_ATTRIBUTION_T, "holm_p"],
        [
            [*(row[name] for name in _ATTRIBUTION_NAMES), *(row["t"][part] for part in _ATTRIBUTION_T), row["holm_p"]]
            for row in rows
        ],
    )


def _of_metric(measure: Measure) -> str:
    return f"{measure.in_points} of {measure.name}" if measure.in_points else f" in {measure.name}"


def _attribution_cells(row: Row, measure: Measure) -> list[str]:
    names = [PROPERTIES[row["property"]], row["treatment"], row["control"]]
    t = row["t"]
    return [*names, str(t["n"]), measure.signed(t["mean"]), interval_cell(t, measure), p_cell(row["holm_p"])]


_SITE_LEVELS = (
    ("attenuated", "Attenuated, %", 1),
    ("relatively_attenuated", "Relatively, %", 1),
    ("saturated", "Saturated, %", 1),
    ("mean_slope", "Mean slope", 3),
    ("scale_mean", "Mean s", 2),
    ("gradient_ratio", "Gradient ratio", 3),
)


_MIDDLE = {"gradient_ratio": "median"}  # one run with a nearly dead gradient would be all of a mean


def _sites(stats: Stats) -> Table:
    """A row each arm and site."""
    rows = stats["mechanism"]
    columns: list[Any] = [("Arm", "left"), ("Site", "left"), *((title, "right") for _, title, _ in _SITE_LEVELS)]
    columns += [("s, 5 to 95 %", "right")]
    names = [name for name, _, _ in _SITE_LEVELS] + ["scale_low", "scale_high"]
    return make_table(
        "gates",
        "What each gate did at each site at the end of training, means over seeds. Gradient ratio (median): norm of "
        "the gradient in the attention's parameters over that in the trunk's.",
        with_context(stats, columns),
        [
            [
                *context_cell(stats, row),
                row["arm"],
                row["site"],
                *(number(row[name][_MIDDLE.get(name, "mean")], digits) for name, _, digits in _SITE_LEVELS),
                interval(row["scale_low"]["mean"], row["scale_high"]["mean"], signed=False),
            ]
            for row in rows
        ],
        ["context", "arm", "site", "epoch", *(f"{name}_{part}" for name in names for part in _PARTS)],
        [[row["context"], row["arm"], row["site"], row["epoch"], *_parts(row, names)] for row in rows],
    )


_PARTS = ("n", "mean", "median", "sd")


def _parts(row: Row, names: Sequence[str]) -> list[Any]:
    return [row[name][part] for name in names for part in _PARTS]


_OBJECT_LEVELS = ("on_object", "off_object", "contrast")


def _objects(stats: Stats) -> Table:
    """The scale on and off the object, where the data set knows where it is."""
    rows = [row for row in stats["mechanism"] if row["contrast"] is not None]
    columns: list[Any] = [("Arm", "left"), ("Site", "left"), ("s on the object", "right"), ("s beside it", "right")]
    columns += [("Contrast", "right"), ("95 % interval", "right")]
    data = [f"{name}_{part}" for name in _OBJECT_LEVELS for part in _PARTS]
    return make_table(
        "objects",
        "Mean scale where the object is and where it is not, means over seeds: an attention that looks at the object "
        "has a contrast above 0.",
        with_context(stats, columns),
        [[*context_cell(stats, row), *_object_cells(row)] for row in rows],
        ["context", "arm", "site", *data, "contrast_low", "contrast_high"],
        [
            [
                *(row[name] for name in ("context", "arm", "site")),
                *_parts(row, _OBJECT_LEVELS),
                *(row["contrast"][limit] for limit in ("low", "high")),
            ]
            for row in rows
        ],
    )


def _object_cells(row: Row) -> list[str]:
    on, off, contrast = (row[name] for name in _OBJECT_LEVELS)
    limits = interval(contrast["low"], contrast["high"], digits=3)
    return [row["arm"], row["site"], number(on["mean"], 3), number(off["mean"], 3), points(contrast["mean"], 3), limits]


def _learned(stats: Stats) -> Table:
    """Parameters that a gate has learned."""
    rows = stats["learned"]
    columns: list[Any] = [("Arm", "left"), ("Site", "left"), ("Parameter", "left"), ("n", "right"), ("Mean", "right")]
    columns += [("SD", "right"), ("Least", "right"), ("Most", "right")]
    parts = ("mean", "sd", "minimum", "maximum")
    return make_table(
        "learned",
        "What gates with parameters of their own have learned, over seeds.",
        with_context(stats, columns),
        [
            [
                *context_cell(stats, row),
                *(row[name] for name in ("arm", "site", "name")),
                str(row["level"]["n"]),
                *(number(row["level"][part], 3) for part in parts),
            ]
            for row in rows
        ],
        ["context", "arm", "site", "parameter", "n", *parts],
        [
            [*(row[name] for name in ("context", "arm", "site", "name")), row["level"]["n"], *_level(row, parts)]
            for row in rows
        ],
    )


def _level(row: Row, parts: tuple[str, ...]) -> list[Any]:
    return [row["level"][part] for part in parts]
