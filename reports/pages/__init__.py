"""The pages of a report: one document, written as HTML, Markdown and LaTeX, and its tables as CSV and LaTeX."""

from bamgate.reports.pages.figure import PageFigure as PageFigure
from bamgate.reports.pages.write import write_pages as write_pages
from bamgate.reports.pages.write import write_tables as write_tables

__all__ = ["PageFigure", "write_pages", "write_tables"]
