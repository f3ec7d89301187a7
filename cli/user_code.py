"""Code of the user's that runs in our process must not end it as if the work were done."""

import contextlib
from collections.abc import Iterator

from bamgate.errors import UsageError, one_line


@contextlib.contextmanager
def no_early_end() -> Iterator[None]:
    """In here SystemExit and BrokenPipeError are failures: a gate that calls `sys.exit(0)` has not trained anything.

    Our own output raises neither (`bamgate.cli.streams`).

    Raises:
        UsageError: the user's code has asked the process to end, or has met a dead pipe of its own.
    """
    try:
        yield
    except (SystemExit, BrokenPipeError) as error:
        raise UsageError(f"code that was run for a gate has failed: {one_line(error)}") from error
