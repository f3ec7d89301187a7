"""How often training diverged."""

from collections.abc import Iterable

from bamgate.reports.words.figures.common import at_context

TITLE = "Runs that diverged"
AXIS = "runs that diverged, %"


def share(failed: int, n: int) -> str:
    """Beside an arm."""
    return f"{failed} of {n}"


def caption(*, some_contexts: bool) -> str:
    """What is drawn; `some_contexts`: not all of them had a run that diverged."""
    text = "Share of the ended runs whose loss was no longer finite, with its Wilson 95 % interval."
    return text + (" Only contexts in which a run diverged." if some_contexts else "")


def alt(failed: Iterable[tuple[str, str, int, int]]) -> str:
    """For who cannot see it: arm, context, failed, of how many."""
    said = [f"{arm} {share(k, n)}{at_context(context)}" for arm, context, k, n in failed]
    return f"Runs that diverged: {', '.join(said)}."
