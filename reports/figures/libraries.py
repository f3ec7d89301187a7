"""matplotlib and seaborn, loaded so that no window and no notebook is asked for.

A figure is written by the canvas of its file's format, so MPLBACKEND has no say here. matplotlib reads it all the same
while it is imported, and seaborn imports pyplot: a backend that is not installed would end the import.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

VARIABLE = "MPLBACKEND"


def libraries() -> tuple[Any, Any]:
    """(matplotlib, seaborn). The user's own pyplot finds the backend that the variable names, if there is one."""
    first = "matplotlib" not in sys.modules
    with _hidden(VARIABLE) if first else contextlib.nullcontext():
        import matplotlib as mpl
    if first and os.environ.get(VARIABLE):
        with contextlib.suppress(ValueError):  # there is none: whoever needs it will be told
            mpl.rcParams["backend"] = os.environ[VARIABLE]
    import seaborn as sns

    return mpl, sns


@contextlib.contextmanager
def _hidden(name: str) -> Iterator[None]:
    """The variable is away inside, and back afterwards for the processes that are started later."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value
