"""Where output goes: data to stdout, messages to stderr; colour only on a terminal, never with NO_COLOR."""

import json
import sys
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text


def out() -> Console:
    """The console for data. Wide when piped, so that no table is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def err() -> Console:
    """The console for messages."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))


class _Headed(Table):
    """Its title is a line of its own: rich would fold it to the table's width, and paths with it."""

    def __init__(self, heading: str) -> None:
        super().__init__(box=None, pad_edge=False)
        self.heading = heading

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.heading:
            yield Text(self.heading, style="bold", no_wrap=True, overflow="ignore", end="\n")
        yield from super().__rich_console__(console, options)


def table(title: str, *columns: str, text: tuple[str, ...] = ()) -> Table:
    """A plain table. The columns named in `text` wrap where it is narrow; the first and the numbers never do."""
    result = _Headed(title)
    for i, column in enumerate(columns):
        wraps = column in text
        result.add_column(column, justify="left" if i == 0 or wraps else "right", no_wrap=not wraps)
    return result
