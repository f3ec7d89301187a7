"""What several sections ask of the statistics."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bamgate.reports.words.document import Align, FigureRef, Table, Tone
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import NBSP
from bamgate.reports.words.status import why
from bamgate.reports.words.verdict import INTERIM, WORDS

Stats = Mapping[str, Any]
Row = Mapping[str, Any]
OK = "ok"


def complete(stats: Stats) -> bool:
    """Every planned run has ended; before that there is no verdict and no p."""
    return bool(stats["progress"]["complete"])


def several(stats: Stats) -> bool:
    """The study has more than one context."""
    return len(stats["design"]["contexts"]) > 1


def code_of(stats: Stats) -> str:
    """The verdict's code."""
    return str(stats["headline"]["code"]) if complete(stats) else INTERIM


def word_of(stats: Stats) -> str:
    """The verdict in a word or two."""
    return WORDS[code_of(stats)]


def tone_of(code: str) -> Tone:
    """The colour of a verdict; a shade of it is the colour of its class."""
    tones: tuple[Tone, ...] = ("better", "worse", "equivalent", "interim")
    return next((tone for tone in tones if code.startswith(tone)), "undecided")


def title_of(row: Row) -> str:
    """Which contrast it is."""
    place = f", {row['context']}" if row["context"] else ""
    return f"{row['arm']} against {row['reference']}{place}"


def headline_contrast(stats: Stats) -> Row | None:
    """The contrast that the first sentence is about; None where it is about several contexts, or about none."""
    arm, context = stats["headline"]["arm"], stats["headline"]["context"]
    if context is None and several(stats):
        return None
    context = stats["design"]["contexts"][0] if context is None else context
    return next((c for c in stats["contrasts"] if (c["arm"], c["context"]) == (arm, context)), None)


def headline_across(stats: Stats) -> Row | None:
    """The headline arm over all contexts."""
    return next((row for row in stats["across"] if row["arm"] == stats["headline"]["arm"]), None)


def without_interval(result: Row) -> str:
    """Why a mean has no interval."""
    if result["n"] == 1:
        return f"n{NBSP}={NBSP}1, no interval"
    return f"n{NBSP}={NBSP}{result['n']}, no interval: {why(result)}"


def interval_cell(result: Row, measure: Measure) -> str:
    """The interval of a difference for a column; a single seed says that it has none."""
    if result["n"] == 1:
        return f"n{NBSP}={NBSP}1, no interval"
    return measure.interval(result["low"], result["high"])


def given(result: Row | None, write: Callable[[Row], str]) -> str:
    """What `write` makes of a result, or the result's own reason for having no numbers."""
    if result is None:
        return "not computed."
    return write(result) if result["status"] == OK else f"none: {why(result)}."


def figure_refs(names: Iterable[str], there: Sequence[str]) -> tuple[FigureRef, ...]:
    """Those of the names that there are figures of."""
    return tuple(FigureRef(name) for name in names if name in there)


def make_table(
    name: str,
    caption: str,
    columns: Sequence[tuple[str, Align]],
    rows: Iterable[Sequence[str]],
    data_columns: Sequence[str],
    data_rows: Iterable[Sequence[Any]],
) -> Table:
    """A table from loose parts."""
    return Table(
        name=name,
        caption=caption,
        columns=tuple(title for title, _ in columns),
        alignments=tuple(align for _, align in columns),
        rows=tuple(tuple(row) for row in rows),
        data_columns=tuple(data_columns),
        data_rows=tuple(tuple(row) for row in data_rows),
    )


def with_context(stats: Stats, columns: Sequence[tuple[str, Align]]) -> list[tuple[str, Align]]:
    """The columns, after one for the context where there are several."""
    first: list[tuple[str, Align]] = [("Context", "left")] if several(stats) else []
    return first + list(columns)


def context_cell(stats: Stats, row: Row) -> list[str]:
    """What stands in that column."""
    return [row["context"]] if several(stats) else []
