"""The document of a report: every number in it is formatted from the statistics, none is computed."""

from collections.abc import Mapping, Sequence
from typing import Any

from bamgate.reports.words.document import Document, FigureRef, Section
from bamgate.reports.words.sections.common import Stats, code_of, complete, headline_across, headline_contrast, word_of
from bamgate.reports.words.sections.evidence import evidence
from bamgate.reports.words.sections.failures import failures
from bamgate.reports.words.sections.mechanism import mechanism
from bamgate.reports.words.sections.method import method
from bamgate.reports.words.sections.opening import opening
from bamgate.reports.words.sections.provenance import provenance
from bamgate.reports.words.sections.robustness import robustness


def compose(stats: Stats, figures: Sequence[str], known: Mapping[str, Any]) -> Document:
    """What the report says.

    Args:
        stats: what stats.json holds; a key that is missing is a KeyError.
        figures: names of the figures that there are; each gets a place.
        known: provenance, of which "versions", "inputs_sha256" and "runs" are read.
    """
    names = tuple(figures)
    sections = (
        evidence(stats, names),
        mechanism(stats, names),
        robustness(stats),
        failures(stats, names),
        method(stats),
        provenance(stats, known),
    )
    document = Document(
        name=stats["design"]["name"],
        title=stats["design"]["question"],
        word=word_of(stats),
        front_matter=_front_matter(stats),
        opening=opening(stats, names),
        sections=sections,
    )
    return _with_the_rest(document, names)


def _with_the_rest(document: Document, names: tuple[str, ...]) -> Document:
    """Figures that no section asked for, under a heading of their own."""
    placed = {block.name for block in document.blocks() if isinstance(block, FigureRef)}
    rest = tuple(FigureRef(name) for name in names if name not in placed)
    if not rest:
        return document
    more = Section("figures", "Further figures", rest)
    sections = (*document.sections[:-2], more, *document.sections[-2:])
    return Document(**{**vars(document), "sections": sections})


def _front_matter(stats: Stats) -> dict[str, Any]:
    design, progress, headline = stats["design"], stats["progress"], stats["headline"]
    facts: dict[str, Any] = {
        "study": design["name"],
        "question": design["question"],
        "verdict": code_of(stats),
        "complete": progress["complete"],
        "arm": headline["arm"],
        "reference": headline["reference"],
        "metric": stats["metric"]["name"],
        "unit": stats["metric"]["unit"],
        "higher_is_better": stats["metric"]["better"] == "higher",
        "rope": design["rope"],
        "rope_declared": design["rope_declared"],
        "seeds": design["seeds"],
        "added_seeds": design["added_seeds"],
        "runs_planned": progress["planned"],
        "runs_ended": progress["planned"] - progress["missing"],
        "runs_diverged": progress["diverged"],
    }
    return facts | (_numbers(stats) if complete(stats) else {})


def _numbers(stats: Stats) -> dict[str, Any]:
    """Those of the headline: n is of seeds in one context, of contexts over several."""
    row = headline_contrast(stats)
    if row is not None:
        t, unit, context = row["t"], "seeds", row["context"]
        n = t["n"]
    else:
        row, unit, context = headline_across(stats), "contexts", None
        if row is None:
            return {}
        t = row["across"]["cells"]
        n = t["k"]
    return {
        "context": context or None,
        "n": n,
        "n_of": unit,
        "difference": t["mean"],
        "interval": [t["low"], t["high"]],
        "confidence": 0.95,
        "p": t["p"],
        "p_holm": row["holm_p"],
    }
