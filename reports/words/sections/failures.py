"""Runs that diverged are an outcome of the gate; they are counted, never replaced."""

from typing import Any

from bamgate.reports.words.document import Block, Bullets, Paragraph, Section, Table
from bamgate.reports.words.numbers import NBSP, count, p_value, share
from bamgate.reports.words.sections.common import (
    OK,
    Stats,
    complete,
    context_cell,
    figure_refs,
    make_table,
    title_of,
    with_context,
)
from bamgate.reports.words.status import left_out, why

FIGURES = ("failures",)


def failures(stats: Stats, figures: tuple[str, ...]) -> Section:
    """How often each arm diverged, and which pairs that cost."""
    progress = stats["progress"]
    ended = progress["planned"] - progress["missing"]
    text = f"{progress['diverged']} of {count(ended, 'run')} diverged: the loss was no longer finite."
    if not progress["diverged"]:
        text = (
            f"No run diverged: {count(ended, 'run')} of {progress['planned']} planned have ended, each with a result."
        )
    blocks: list[Block] = [Paragraph(text), _rates(stats)]
    if complete(stats):
        tests = tuple(
            f"{title_of(row)}: Fisher's exact test of equal failure rates, {p_value(row['fisher']['p'])}."
            for row in stats["contrasts"]
            if row["fisher"] is not None and row["fisher"]["status"] == OK
        )
        blocks += [Bullets(tests)] if tests else []
    left = _left_out(stats)
    if left:
        blocks += [Paragraph("A pair counts if both of its runs finished. Left out:"), Bullets(left)]
    return Section("failures", "Failures", (*blocks, *figure_refs(FIGURES, figures)))


def _left_out(stats: Stats) -> tuple[str, ...]:
    return tuple(f"{title_of(row)}: {left_out(item)}" for row in stats["contrasts"] for item in row["left_out"])


def _rates(stats: Stats) -> Table:
    columns: list[Any] = [("Arm", "left"), ("Diverged", "right"), ("Runs", "right"), ("Share", "right")]
    columns += [("Wilson 95 % interval", "right")]
    rows = stats["failures"]
    parts = ("failed", "n", "share", "low", "high")
    return make_table(
        "failures",
        "Runs that diverged, of those that ended. If none of a few runs diverged, the true rate may still be "
        "considerable.",
        with_context(stats, columns),
        [
            [
                *context_cell(stats, row),
                row["arm"],
                str(row["rate"]["failed"]),
                str(row["rate"]["n"]),
                share(row["rate"]["share"], 0),
                _limits(row["rate"]),
            ]
            for row in rows
        ],
        ["context", "arm", *parts],
        [[row["context"], row["arm"], *(row["rate"][part] for part in parts)] for row in rows],
    )


def _limits(rate: Any) -> str:
    if rate["low"] is None:
        return why(rate)
    return f"{share(rate['low'], 0)} to{NBSP}{share(rate['high'], 0)}"
