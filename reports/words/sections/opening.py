"""The first screen: the question is the title; the verdict, how sure it is and why, and the differences."""

from typing import Any

from bamgate.reports.words.document import Block, Callout, Facts_, FigureRef
from bamgate.reports.words.headline import headline_words
from bamgate.reports.words.measure import Measure, measure_of
from bamgate.reports.words.numbers import capital, count, p_cell, percent
from bamgate.reports.words.sections.common import (
    Stats,
    code_of,
    complete,
    headline_across,
    headline_contrast,
    interval_cell,
    tone_of,
    word_of,
)

FIRST = "differences"


def opening(stats: Stats, figures: tuple[str, ...]) -> tuple[Block, ...]:
    """Verdict or interim banner, then the figure of the differences."""
    card = _verdict(stats) if complete(stats) else _interim(stats)
    return (card, *(FigureRef(name) for name in figures if name == FIRST))


def _verdict(stats: Stats) -> Callout:
    headline, word = headline_words(stats), capital(word_of(stats))
    points_ = [("How sure", headline.sure), ("Why", headline.why)]
    if stats["design"]["added_seeds"]:
        points_.append(("Mind", "Seeds were added to the plan; Provenance says what that does to p."))
    return Callout(
        tone=tone_of(code_of(stats)),
        word=word,
        text=headline.sentence.removeprefix(f"{word}: "),
        points=tuple((term, text) for term, text in points_ if text),
        figures=_key_numbers(stats),
    )


def _interim(stats: Stats) -> Callout:
    progress = stats["progress"]
    ended = progress["planned"] - progress["missing"]
    return Callout(
        tone="interim",
        word=f"Interim: {progress['seeds_done']} of {progress['seeds_planned']} seeds; no verdict",
        text=f"{ended} of {progress['planned']} planned runs have ended. The numbers below describe those and will "
        "change.",
        points=(
            (
                "Why no test",
                headline_words(stats).sure,
            ),
        ),
    )


def _key_numbers(stats: Stats) -> Facts_:
    measure = measure_of(stats)
    rope = ("Too small to matter", measure.margin(stats["design"]["rope"]))
    row = headline_contrast(stats)
    if row is not None:
        return (*_of_contrast(row, measure), rope)
    across = headline_across(stats)
    return (*_of_contexts(across, measure), rope) if across is not None else (rope,)


def _of_contrast(row: Any, measure: Measure) -> Facts_:
    t = row["t"]
    return (
        ("Mean difference", "none" if t["mean"] is None else measure.difference(t["mean"])),
        (f"{percent(100 * t['confidence'], 0)} interval", interval_cell(t, measure)),
        ("Pairs of runs", count(t["n"], "seed")),
        ("Holm-adjusted p", p_cell(row["holm_p"])),
    )


def _of_contexts(row: Any, measure: Measure) -> Facts_:
    cells = row["across"]["cells"]
    return (
        ("Mean over contexts", "none" if cells["mean"] is None else measure.difference(cells["mean"])),
        ("95 % interval, a new context", measure.interval(cells["low"], cells["high"])),
        ("95 % interval, these only", measure.interval(cells["these_low"], cells["these_high"])),
        ("Contexts", str(cells["k"])),
        ("Holm-adjusted p", p_cell(row["holm_p"])),
    )
