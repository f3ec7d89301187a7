"""Where output goes: data to stdout, messages to stderr; colour only on a terminal, never with NO_COLOR."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from bamgate.errors import printable


class _Console(Console):
    """A console that shows control characters as escapes: in the name of a gate they could control the terminal."""

    # rich adds control codes of its own (cursor, status line) as segments marked `control`; all others are text.
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_lines(segment.text))


def _lines(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def out() -> Console:
    """The console for data. It is wide if the output is piped, so that no table is cut."""
    return _Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def err() -> Console:
    """The console for messages."""
    return _Console(stderr=True, highlight=False, soft_wrap=True)


def check_name(path: Path) -> None:
    """OSError, before any work starts, if the file system does not allow this name, for instance if it is too long."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        os.stat(path)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))


class _Headed(Table):
    """A table whose title is a line of its own: rich would wrap it, and any path in it, at the width of the table."""

    def __init__(self, heading: str) -> None:
        super().__init__(box=None, pad_edge=False)
        self.heading = printable(heading)

    def add_row(self, *cells: RenderableType | None, **how: Any) -> None:
        super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **how)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.heading:
            yield Text(self.heading, style="bold", no_wrap=True, overflow="ignore", end="\n")
        yield from super().__rich_console__(console, options)


def table(title: str, *columns: str, text: tuple[str, ...] = ()) -> Table:
    """A plain table. In a narrow terminal the columns named in `text` wrap; the first column and numbers never do."""
    result = _Headed(title)
    for i, column in enumerate(columns):
        wraps = column in text
        result.add_column(column, justify="left" if i == 0 or wraps else "right", no_wrap=not wraps)
    return result
