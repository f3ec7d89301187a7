"""A figure as the pages need it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A figure that has been drawn.

    Args:
        name: of its files in figures/, without ending: small letters, digits, hyphens.
        alt: one or two sentences for who does not see it.
        svg: the text of its SVG file.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name), self.name
        assert self.alt, self.name
        assert self.title, self.name

    @property
    def heading(self) -> str:
        """The title as it stands before the caption."""
        return self.title if self.title.endswith((".", "?", "!")) else f"{self.title}."
