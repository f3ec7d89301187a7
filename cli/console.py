"""Where output goes: data to stdout, messages to stderr; colour only on a terminal, never with NO_COLOR."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table


def out() -> Console:
    """The console for data. Wide when piped, so that no table is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def err() -> Console:
    """The console for messages."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))


def table(title: str, *columns: str, text: tuple[str, ...] = ()) -> Table:
    """A plain table. The columns named in `text` wrap where it is narrow; the first and the numbers never do."""
    result = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        wraps = column in text
        result.add_column(column, justify="left" if i == 0 or wraps else "right", no_wrap=not wraps)
    return result
