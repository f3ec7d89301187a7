"""A report on disk: pages, tables, figures, every number and where it comes from; swapped in whole."""

import datetime
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bamgate.record.tables import defused
from bamgate.reports.analysis import analyse
from bamgate.reports.design import Design
from bamgate.reports.figures import FIGURES, FigureSpec, save
from bamgate.reports.pages import PageFigure, write_pages
from bamgate.reports.records import Outcomes, Records
from bamgate.reports.swap import replaced

LIBRARIES = ("bamgate", "numpy", "pandas", "scipy", "statsmodels", "matplotlib", "seaborn")
INPUTS = ("runs.csv", "epochs.csv", "gates.csv", "gate_curves.csv", "study.json")
COUNTS = ("seed", "n", "epoch", "seeds", "failed", "runs")  # columns that hold whole numbers, or nothing
PICTURES = (".svg", ".pdf", ".png")


def build(design: Design, records: Records, folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Write the report and return what stats.json holds.

    Raises:
        UsageError: `out` holds something that is no report.
        TryAgainError: it cannot be written.
    """
    stats = analyse(design, records, Outcomes(folders))
    provenance = provenance_of(records, folders)
    with replaced(out.resolve()) as folder:
        (folder / "figures").mkdir()
        drawn = draw_figures(design.shown, records, stats, folder / "figures")
        write_pages(stats, drawn, folder, provenance=provenance)
        write_json(folder / "stats.json", stats)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        pictures = pictures_of(folder)
        write_json(folder / "provenance.json", {**provenance, "pictures_sha256": pictures, "made": now})
    return stats


def pictures_of(report: Path) -> dict[str, str]:
    """Name -> sha256 of what was drawn."""
    paths = sorted(path for path in (report / "figures").glob("*") if path.suffix in PICTURES)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def draw_figures(design: Design, records: Records, stats: dict[str, Any], folder: Path) -> list[PageFigure]:
    """Every figure that the data can fill, as CSV, SVG, PDF and PNG."""
    drawn = []
    for name, spec in FIGURES.items():
        frame = spec.frame(records, design, stats)
        if not spec.applies(frame):
            continue
        (folder / f"{name}.csv").write_text(frame_text(frame), encoding="utf-8")
        save(spec.draw(frame, design), folder, name)
        svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
        drawn.append(page_figure(spec, frame, design, svg))
    return drawn


def page_figure(spec: FigureSpec, frame: Any, design: Design, svg: str) -> PageFigure:
    """A figure as the pages show it."""
    texts = {"title": spec.title(design), "caption": spec.caption(frame, design), "alt": spec.alt(frame, design)}
    return PageFigure(name=spec.name, svg=svg, **texts)


def frame_text(frame: Any) -> str:
    """A frame as CSV: every digit, and no text that a spreadsheet would run."""
    counts = [name for name in COUNTS if name in frame and frame[name].dtype == "float64"]
    frame = frame.astype(dict.fromkeys(counts, "Int64"))
    texts = frame.columns[[frame[name].map(lambda v: isinstance(v, str)).any() for name in frame.columns]]
    safe = frame.assign(**{name: frame[name].map(lambda v: defused(v) if isinstance(v, str) else v) for name in texts})
    return str(safe.to_csv(index=False, lineterminator="\n"))


def write_json(path: Path, content: Any) -> None:
    """JSON with its keys in order; NaN is a mistake of ours."""
    path.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def provenance_of(records: Records, folders: Sequence[Path]) -> dict[str, Any]:
    """What the report was made of and with; nothing here depends on when or where."""
    runs = records.runs
    facts = {name: sorted({str(v) for v in runs[name].dropna()}) for name in ("git_commit", "env_id", "torch")}
    inputs = {
        f"{folder.resolve().name}/{name}": hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for folder in folders
        for name in INPUTS
        if (folder / name).is_file()
    }
    return {
        "schema": 1,
        "inputs_sha256": inputs,
        "runs": facts,
        "versions": {name: version(name) for name in LIBRARIES},
    }
