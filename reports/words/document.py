"""A report as a tree of plain texts: what it says, before it is HTML, Markdown or LaTeX.

No text holds markup. Emphasis is where a part stands: the lead of a paragraph, the term of a fact.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Align = Literal["left", "right"]
Tone = Literal["better", "worse", "equivalent", "undecided", "interim", "note", "warning"]
Facts_ = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Paragraph:
    """Running text; the lead stands in bold before it."""

    text: str
    lead: str = ""


@dataclass(frozen=True, kw_only=True)
class Callout:
    """A card that must not be missed: a word, a sentence, and what stands under them.

    Args:
        points: (term, sentence), one below the other.
        figures: (label, number), side by side.
    """

    tone: Tone
    word: str
    text: str
    points: Facts_ = ()
    figures: Facts_ = ()


@dataclass(frozen=True)
class Bullets:
    """A list without order."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Terms, each with its text."""

    rows: Facts_


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to read, and the same as data.

    Args:
        name: of its files, without ending.
        rows: texts as they are shown; the first of a row names it.
        data_rows: values with every digit; None where there is none.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    alignments: tuple[Align, ...]
    rows: tuple[tuple[str, ...], ...]
    data_columns: tuple[str, ...]
    data_rows: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        assert len(self.alignments) == len(self.columns), self.name
        assert all(len(row) == len(self.columns) for row in self.rows), self.name
        assert all(len(row) == len(self.data_columns) for row in self.data_rows), self.name


@dataclass(frozen=True)
class FigureRef:
    """Where a figure stands."""

    name: str


@dataclass(frozen=True)
class Details:
    """What only some readers open; the summary says what they would find."""

    summary: str
    blocks: "tuple[Block, ...]"


Block = Paragraph | Callout | Bullets | Facts | Table | FigureRef | Details


@dataclass(frozen=True)
class Section:
    """A part of the report under its own heading; the id is what links name."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report.

    Args:
        name: the study's.
        title: the question that it asks.
        word: the verdict in a word or two.
        front_matter: plain values for machines.
        opening: what stands on the first screen.
    """

    name: str
    title: str
    word: str
    front_matter: dict[str, Any] = field(default_factory=dict)
    opening: tuple[Block, ...]
    sections: tuple[Section, ...]

    def blocks(self) -> Iterator[Block]:
        """Every block in reading order, those inside details too."""
        yield from _walk(self.opening)
        for section in self.sections:
            yield from _walk(section.blocks)


def _walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _walk(block.blocks)
