"""What a page says around the document."""

REPORT = "bamgate report"
ANSWER = "The answer"
CONTENTS = "Contents"
FOOTER = (
    "Every number on this page stands with all its digits in stats.json beside it; the tables are in tables, the "
    "figures and what they were drawn from in figures."
)


def window_title(name: str, word: str) -> str:
    """Of the browser's window: the study and the verdict."""
    return f"{name}: {word} – {REPORT}"


def byline(name: str) -> str:
    """Under the title, where an author would stand."""
    return f"{REPORT}: {name}"


def part_caption(caption: str, number: int, parts: int) -> str:
    """Of one part of a table that is longer than a page."""
    return f"{caption} Part {number} of {parts}."
