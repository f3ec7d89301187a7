"""The report as Markdown for GitHub: numbers for machines on top, figures beside the file."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from bamgate.reports.pages.figure import PageFigure
from bamgate.reports.words.document import (
    Block,
    Bullets,
    Callout,
    Details,
    Document,
    Facts,
    FigureRef,
    Paragraph,
    Table,
)

_MARKS = re.compile(r"[\\`*_{}\[\]|~$#]")
_NOT_YAML = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def render_markdown(document: Document, figures: Mapping[str, PageFigure]) -> str:
    """The text of report.md."""
    parts = [front_matter(document.front_matter), f"# {escaped(document.title)}"]
    parts += [_block(block, figures) for block in document.opening]
    for section in document.sections:
        parts += [f"## {escaped(section.title)}", *(_block(block, figures) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    text = _MARKS.sub(lambda mark: "\\" + mark[0], text)
    text = html.escape(text, quote=False)
    text = re.sub(r":(?=[\w+-]+:)", r"\\:", text)  # :name: would be an emoji
    return re.sub(r"^([=@]|[-+](?!\d)|\d+(?=[.)]\s))", _defused, text)


def _defused(start: re.Match[str]) -> str:
    """A start that would be a list, a heading's underline or a spreadsheet's formula; a number keeps its digits."""
    return f"&#{ord(start[0][0])};{start[0][1:]}" if start[0][0].isdigit() else "\\" + start[0]


def front_matter(facts: Mapping[str, Any]) -> str:
    """YAML between two rules, a line a fact."""
    lines = [f"{name}: {_yaml(value)}" for name, value in facts.items()]
    return "\n".join(["---", *lines, "---"])


def _yaml(value: Any) -> str:
    """A value in YAML's flow style, which is JSON but for numbers like 1e-07."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_YAML.sub(lambda mark: f"\\u{ord(mark[0]):04x}", text)


def _block(block: Block, figures: Mapping[str, PageFigure]) -> str:
    if isinstance(block, Paragraph):
        lead = f"**{escaped(block.lead)}** " if block.lead else ""
        return lead + escaped(block.text)
    if isinstance(block, Callout):
        return _callout(block)
    if isinstance(block, Bullets):
        return "\n".join(f"- {escaped(item)}" for item in block.items)
    if isinstance(block, Facts):
        return "\n".join(f"- **{escaped(term)}**: {escaped(text)}" for term, text in block.rows)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, FigureRef):
        return _figure(figures[block.name])
    return _details(block, figures)


def _callout(block: Callout) -> str:
    lines = [f"**{escaped(block.word)}**", escaped(block.text)]
    if block.figures:
        lines.append(" · ".join(f"{escaped(term)}: **{escaped(text)}**" for term, text in block.figures))
    lines += [f"**{escaped(term)}.** {escaped(text)}" for term, text in block.points]
    return "\n>\n".join(f"> {line}" for line in lines)


def _table(block: Table) -> str:
    rules = ["---:" if align == "right" else ":---" for align in block.alignments]
    rows = [[escaped(cell) for cell in row] for row in (block.columns, *block.rows)]
    lines = [rows[0], rules, *rows[1:]]
    return f"*{escaped(block.caption)}*\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(figure: PageFigure) -> str:
    image = f"![{escaped(figure.alt)}](figures/{figure.name}.png)"
    return f"{image}\n\n**{escaped(figure.heading)}** {escaped(figure.caption)}"


def _details(block: Details, figures: Mapping[str, PageFigure]) -> str:
    inside = "\n\n".join(_block(inner, figures) for inner in block.blocks)
    return f"<details>\n<summary>{html.escape(_one_line(block.summary))}</summary>\n\n{inside}\n\n</details>"


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)
