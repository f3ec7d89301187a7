"""The first screen: the question is the title; the verdict, how sure it is and why, and the differences."""

from typing import Any

from bamgate.reports.pages.document import Block, Callout, Facts_, FigureRef
from bamgate.reports.pages.numbers import NBSP, count, interval, p_cell, percent, points
from bamgate.reports.pages.sections.common import (
    Stats,
    complete,
    headline_across,
    headline_contrast,
    interval_cell,
    rope_text,
    sentence,
    tone_of,
    word_of,
)

FIRST = "differences"


def opening(stats: Stats, figures: tuple[str, ...]) -> tuple[Block, ...]:
    """Verdict or interim banner, then the figure of the differences."""
    card = _verdict(stats) if complete(stats) else _interim(stats)
    return (card, *(FigureRef(name) for name in figures if name == FIRST))


def _verdict(stats: Stats) -> Callout:
    headline, word = stats["headline"], word_of(stats)
    capital = word[0].upper() + word[1:]
    points_ = [("How sure", headline["sure"]), ("Why", headline["why"])]
    if stats["design"]["added_seeds"]:
        points_.append(("Mind", "Seeds were added to the plan; what that does to p is said under Provenance."))
    return Callout(
        tone=tone_of(word),
        word=capital,
        text=sentence(headline["sentence"].removeprefix(f"{capital}: ")),
        points=tuple((term, sentence(text)) for term, text in points_ if text),
        figures=_key_numbers(stats),
    )


def _interim(stats: Stats) -> Callout:
    progress = stats["progress"]
    ended = progress["planned"] - progress["missing"]
    return Callout(
        tone="interim",
        word=f"Interim: {progress['seeds_done']} of {progress['seeds_planned']} seeds; no verdict",
        text=f"{ended} of {progress['planned']} planned runs have ended. What stands below describes them and will "
        "change.",
        points=(
            (
                "Why no test",
                "Looking at tests while runs come in, and stopping when they please, finds differences that are not "
                "there. They are computed when every planned run has ended.",
            ),
        ),
    )


def _key_numbers(stats: Stats) -> Facts_:
    rope = ("Too small to matter", rope_text(stats["design"]))
    row = headline_contrast(stats)
    if row is not None:
        return (*_of_contrast(row), rope)
    across = headline_across(stats)
    return (*_of_contexts(across), rope) if across is not None else (rope,)


def _of_contrast(row: Any) -> Facts_:
    t = row["t"]
    return (
        ("Mean difference", "none" if t["mean"] is None else f"{points(t['mean'])}{NBSP}points"),
        (f"{percent(100 * t['confidence'], 0)} interval", interval_cell(t)),
        ("Pairs of runs", count(t["n"], "seed")),
        ("Holm-adjusted p", p_cell(row["holm_p"])),
    )


def _of_contexts(row: Any) -> Facts_:
    cells = row["across"]["cells"]
    return (
        ("Mean over contexts", "none" if cells["mean"] is None else f"{points(cells['mean'])}{NBSP}points"),
        ("95 % interval, a new context", interval(cells["low"], cells["high"])),
        ("95 % interval, these only", interval(cells["these_low"], cells["these_high"])),
        ("Contexts", str(cells["k"])),
        ("Holm-adjusted p", p_cell(row["holm_p"])),
    )
