"""The report as LaTeX for a small TeX: booktabs, graphicx, hyperref, geometry; source in ASCII."""

from collections.abc import Mapping
from dataclasses import replace

from bamgate.reports.pages.figure import PageFigure
from bamgate.reports.pages.texescape import tex
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
from bamgate.reports.words.page import byline, part_caption

MOST_ROWS = 40  # of a table that must fit on a page

_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[margin=25mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[hidelinks]{hyperref}
\newsavebox{\tablebox}
% A table in its own size, or as wide as the text where it is wider.
\newcommand{\fitted}[1]{\sbox{\tablebox}{#1}%
  \ifdim\wd\tablebox>\linewidth\resizebox{\linewidth}{!}{\usebox{\tablebox}}\else\usebox{\tablebox}\fi}
\setlength{\emergencystretch}{4em}
\setlength{\belowcaptionskip}{6pt}
\sloppy
"""


def render_latex(document: Document, figures: Mapping[str, PageFigure]) -> str:
    """The text of report.tex; it reads tables/NAME.tex and figures/NAME.pdf."""
    parts = [
        _PREAMBLE,
        rf"\title{{{tex(document.title)}}}",
        rf"\author{{{tex(byline(document.name))}}}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *(_block(block, figures) for block in document.opening),
    ]
    for section in document.sections:
        parts += [rf"\section{{{tex(section.title)}}}", rf"\label{{sec:{section.id}}}"]
        parts += [_block(block, figures) for block in section.blocks]
        parts.append(r"\clearpage")
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def table_latex(table: Table) -> str:
    """A booktabs tabular, to stand in any document."""
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{_columns(table)}}}",
            r"\toprule",
            _row(table.columns),
            r"\midrule",
            *(_row(row) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _columns(table: Table) -> str:
    return "".join(align[0] for align in table.alignments)


def _row(cells: tuple[str, ...]) -> str:
    return " & ".join(tex(cell) for cell in cells) + r" \\"


def _block(block: Block, figures: Mapping[str, PageFigure]) -> str:
    if isinstance(block, Paragraph):
        return (rf"\textbf{{{tex(block.lead)}}} " if block.lead else "") + tex(block.text) + "\n"
    if isinstance(block, Callout):
        return _callout(block)
    if isinstance(block, Bullets):
        items = [rf"\item {tex(item)}" for item in block.items]
        return "\n".join([r"\begin{itemize}", *items, r"\end{itemize}"])
    if isinstance(block, Facts):
        items = [rf"\item[{{{tex(term)}:}}] {tex(text)}" for term, text in block.rows]
        return "\n".join([r"\begin{description}", *items, r"\end{description}"])
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, FigureRef):
        return _figure(figures[block.name])
    return _details(block, figures)


def _callout(block: Callout) -> str:
    lines = [rf"\textbf{{{tex(block.word)}}}", tex(block.text)]
    if block.figures:
        lines.append("; ".join(rf"{tex(term)}: \textbf{{{tex(text)}}}" for term, text in block.figures) + ".")
    lines += [rf"\textbf{{{tex(term)}.}} {tex(text)}" for term, text in block.points]
    inside = "\\par\\smallskip\n".join(lines)
    return (
        "\\par\\medskip\\noindent\\fbox{\\parbox{\\dimexpr\\linewidth-2\\fboxsep-2\\fboxrule}{%\n"
        f"{inside}}}}}\\par\\medskip"
    )


def _table(block: Table) -> str:
    """One that is longer than a page in parts, the head on each."""
    if len(block.rows) <= MOST_ROWS:
        return _floating(block.caption, rf"\input{{tables/{block.name}.tex}}")
    parts = [block.rows[start : start + MOST_ROWS] for start in range(0, len(block.rows), MOST_ROWS)]
    captions = [part_caption(block.caption, number, len(parts)) for number in range(1, len(parts) + 1)]
    tables = [table_latex(replace(block, rows=rows)) for rows in parts]
    return "\n".join(_floating(caption, table) for caption, table in zip(captions, tables, strict=True))


def _floating(caption: str, table: str) -> str:
    return "\n".join(
        [
            r"\begin{table}[!htbp]\centering\small",
            rf"\caption{{{tex(caption)}}}",
            rf"\fitted{{{table}}}",
            r"\end{table}",
        ]
    )


def _figure(figure: PageFigure) -> str:
    return "\n".join(
        [
            r"\begin{figure}[!htbp]\centering",
            rf"\includegraphics[width=\linewidth,height=0.62\textheight,keepaspectratio]{{figures/{figure.name}.pdf}}",
            rf"\caption{{\textbf{{{tex(figure.heading)}}} {tex(figure.caption)}}}",
            r"\end{figure}",
        ]
    )


def _details(block: Details, figures: Mapping[str, PageFigure]) -> str:
    inside = "\n".join(_block(inner, figures) for inner in block.blocks)
    return f"\\subsection*{{{tex(block.summary)}}}\n\\begingroup\\small\n{inside}\n\\endgroup"
