"""The report as one HTML file that opens alone: no script, no request, figures and style inside."""

from collections.abc import Mapping
from importlib.resources import files

from bamgate.reports.pages.figure import PageFigure
from bamgate.reports.pages.svg import inline_svg
from bamgate.reports.words import page
from bamgate.reports.words.document import Block, Document


def render_html(document: Document, figures: Mapping[str, PageFigure]) -> str:
    """The text of report.html."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("bamgate.reports.pages") / "templates"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawings = {name: Markup(inline_svg(f.svg, name=name, alt=f.alt)) for name, f in figures.items()}
    return environment.get_template("report.html.j2").render(
        document=document,
        figures=figures,
        drawings=drawings,
        kind=_kind,
        style=Markup(texts["style.css"]),
        words=page,
    )


def _kind(block: Block) -> str:
    """The name of a block's macro."""
    return type(block).__name__.lower()
