"""The files of a report that are read: report.html, report.md, report.tex and tables/."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bamgate.record.tables import defused
from bamgate.reports.pages.figure import PageFigure
from bamgate.reports.pages.html import render_html
from bamgate.reports.pages.latex import render_latex, table_latex
from bamgate.reports.pages.markdown import render_markdown
from bamgate.reports.words.document import Document, Table
from bamgate.reports.words.prose import compose


def write_pages(
    stats: Mapping[str, Any], figures: Sequence[PageFigure], folder: Path, *, provenance: Mapping[str, Any]
) -> list[Path]:
    """Write the pages of a report; the same input gives the same bytes.

    Args:
        stats: what stats.json holds; a key that is missing is a KeyError.
        figures: in the order in which those without a place of their own stand; the pages link to
            figures/NAME.png and .pdf, which the caller writes.
        provenance: "versions" (name to version), "inputs_sha256" (path to digest) and "runs" ("git_commit" and
            "env_id", lists) are shown; no other key is read, so that no time gets into a page.

    Returns:
        The files in the order in which they were written.
    """
    document = compose(stats, [figure.name for figure in figures], provenance)
    drawn = {figure.name: figure for figure in figures}
    assert len(drawn) == len(figures), "two figures of one name"
    texts = {
        "report.html": render_html(document, drawn),
        "report.md": render_markdown(document, drawn),
        "report.tex": render_latex(document, drawn),
    }
    texts |= _tables(document)
    return [_write(folder / name, text) for name, text in texts.items()]


def write_tables(stats: Mapping[str, Any], folder: Path, *, provenance: Mapping[str, Any]) -> list[Path]:
    """The tables of a report alone, without pages; arguments as of `write_pages`."""
    texts = _tables(compose(stats, (), provenance))
    return [_write(folder / name, text) for name, text in texts.items()]


def _tables(document: Document) -> dict[str, str]:
    texts = {}
    for table in (block for block in document.blocks() if isinstance(block, Table)):
        texts[f"tables/{table.name}.csv"] = _csv(table)
        texts[f"tables/{table.name}.tex"] = table_latex(table)
    return texts


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _csv(table: Table) -> str:
    """Every digit of every value; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.data_columns)
    writer.writerows([_value(value) for value in row] for row in table.data_rows)
    return text.getvalue()


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    return defused(value) if isinstance(value, str) else str(value)
