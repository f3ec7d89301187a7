"""A report's numbers again, from the CSV files alone, and what differs."""

import csv
import itertools
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bamgate.collect import tables_are_current
from bamgate.errors import DataError
from bamgate.reports.analysis import SCHEMA, analyse
from bamgate.reports.build import frame_text, page_figure, pictures_of, provenance_of
from bamgate.reports.design import Design, design_of
from bamgate.reports.figures import FIGURES
from bamgate.reports.pages import PageFigure, write_pages
from bamgate.reports.records import Outcomes, Records, read_records, read_runs
from bamgate.tables import read_text

DECLARED = (
    "question",
    "cost",
    "expected",
    "reference",
    "rope",
    "arms",
    "contexts",
    "places",
    "added_seeds",
    "settings",
)
FIRST = ("levels", "progress")  # what differs there makes the rest differ
SAME = 1e-9  # relative; libraries of another version round the last digits otherwise


class Difference(NamedTuple):
    """A number or text that is not what the report says.

    Args:
        where: file and place in it.
        by: how far two numbers are apart; None for texts.
    """

    where: str
    stored: Any
    found: Any
    by: float | None


class Reproduction(NamedTuple):
    """How many values were compared, which differ, and what could not be recomputed for want of files."""

    compared: int
    differences: list[Difference]
    unchecked: list[str]


def reproduce(folders: Sequence[Path], report: Path) -> Reproduction:
    """Recompute statistics, figure data and tables, and hold them against the report.

    Raises:
        DataError: there is no report, or a file is damaged.
    """
    stored = read_stats(report / "stats.json")
    provenance = read_provenance(report / "provenance.json")
    try:
        design = Design.from_dict(stored.get("design", {}))
    except DataError as error:
        raise DataError(f"{report / 'stats.json'}: {error}") from None
    for part in folders:
        tables_are_current(part)  # or what contradicts the cells is named
    runs = read_runs(folders)
    records = read_records(folders, design, runs)
    found: dict[str, Any] = json.loads(json.dumps(analyse(design, records, Outcomes(folders))))
    unchecked = _without_images(stored, found)
    comparison = _Comparison()
    _compare_designs(comparison, folders, design, runs)
    comparison.values("stats.json", stored, found)
    figures = _compare_figures(comparison, report, design.shown, records, found)
    comparison.values("figures (sha256)", provenance.get("pictures_sha256", {}), pictures_of(report))
    with tempfile.TemporaryDirectory() as folder:
        # With the report's own list of inputs: the order of their rows is no matter.
        write_pages(found, figures, Path(folder), provenance=provenance)
        _compare_pages(comparison, report, Path(folder))
    inputs = [_contents(made.get("inputs_sha256", {})) for made in (provenance, provenance_of(records, folders))]
    if inputs[0] != inputs[1]:
        unchecked.append("the CSV files are not, byte for byte, those that the report was made of")
    return Reproduction(comparison.compared, comparison.differences, unchecked)


def _contents(inputs: dict[str, str]) -> list[tuple[str, str]]:
    """File names with their hashes: a folder may have been renamed or copied since."""
    return sorted((path.rpartition("/")[2], digest) for path, digest in inputs.items())


def _compare_designs(comparison: "_Comparison", folders: Sequence[Path], design: Design, runs: pd.DataFrame) -> None:
    """The plan that the report went by is the one that the study declares, where it is here."""
    if not all((folder / "study.json").is_file() for folder in folders):
        return
    declared = design_of(folders, runs, None)
    margin = design.rope if design.rope_of_study is None else design.rope_of_study
    plain = design.to_dict() | {"rope": margin, "reference": declared.reference}
    kept = {name: value for name, value in declared.to_dict().items() if name in DECLARED}
    comparison.values("study.json", {name: plain[name] for name in kept}, json.loads(json.dumps(kept)))


def _compare_figures(
    comparison: "_Comparison", report: Path, design: Design, records: Records, found: dict[str, Any]
) -> list[PageFigure]:
    """Compare what is drawn; the figures with the report's own pictures."""
    figures = []
    for name, spec in FIGURES.items():
        path, frame = report / "figures" / f"{name}.csv", spec.frame(records, design, found)
        if path.is_file() or spec.applies(frame):
            comparison.tables(f"figures/{name}.csv", _text(path), frame_text(frame))
        if spec.applies(frame):
            figures.append(page_figure(spec, frame, design, _text(path.with_suffix(".svg"))))
    return figures


def _compare_pages(comparison: "_Comparison", report: Path, made: Path) -> None:
    for folder, endings in (("tables", (".csv", ".tex")), (".", (".html", ".md", ".tex"))):
        paths = {p.name for p in [*(made / folder).iterdir(), *(report / folder).glob("*")] if p.suffix in endings}
        for name in sorted(paths):
            texts = _text(report / folder / name), _text(made / folder / name)
            where = name if folder == "." else f"{folder}/{name}"
            if name.endswith(".csv"):
                comparison.tables(where, *texts)
            else:
                comparison.lines(where, *texts)


def read_stats(path: Path) -> dict[str, Any]:
    """stats.json; DataError where it is missing, damaged or of another version."""
    content = _read_json(path)
    if content.get("schema") != SCHEMA:
        raise DataError(f"{path} has schema version {content.get('schema')}, this bamgate reads version {SCHEMA}")
    return content


def read_provenance(path: Path) -> dict[str, Any]:
    """provenance.json; DataError where it is missing, damaged or lacks what the pages show."""
    content = _read_json(path)
    needed = {name: content.get(name) for name in ("inputs_sha256", "runs", "versions")}
    runs = needed["runs"]
    needed |= {f"runs.{name}": runs.get(name) if isinstance(runs, dict) else None for name in ("git_commit", "env_id")}
    for name, value in needed.items():
        if not isinstance(value, list if "." in name else dict):
            raise DataError(f"{path}: {name} is missing, or is not as bamgate wrote it")
    return content


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise DataError(f"{path} is missing: there is no report to hold the numbers against")
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: it holds no object")
    return content


def _text(path: Path) -> str:
    return read_text(path) if path.is_file() else ""


def _without_images(stored: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Leave image-level numbers out where the outcomes are not here; said, not passed over."""
    unchecked = []
    contrasts = stored.get("contrasts")
    for old, new in zip(contrasts if isinstance(contrasts, list) else [], found["contrasts"], strict=False):
        if isinstance(old, dict) and old.get("images") is not None and new["images"] is None:
            new["images"] = old["images"]
            unchecked.append(f"image-level figures of {new['arm']}: the cells' outcomes.csv.gz are not here")
    return unchecked


class _Comparison:
    """Walks two trees side by side and keeps what differs."""

    def __init__(self) -> None:
        self.compared = 0
        self.differences: list[Difference] = []

    def values(self, where: str, stored: Any, found: Any) -> None:
        if isinstance(stored, dict) and isinstance(found, dict):
            for key in sorted(stored.keys() | found.keys(), key=lambda name: (name not in FIRST, name)):
                self.values(
                    f"{where}: {key}" if ":" not in where else f"{where}.{key}", stored.get(key), found.get(key)
                )
        elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
            for number, pair in enumerate(zip(stored, found, strict=True)):
                self.values(f"{where}[{number}]", *pair)
        else:
            self._leaf(where, stored, found)

    def _leaf(self, where: str, stored: Any, found: Any) -> None:
        self.compared += 1
        numbers = [v for v in (stored, found) if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == 2:
            if not math.isclose(stored, found, rel_tol=SAME, abs_tol=1e-12):
                self.differences.append(Difference(where, stored, found, found - stored))
        elif stored != found:
            self.differences.append(Difference(where, stored, found, None))

    def lines(self, where: str, stored: str, found: str) -> None:
        """Texts line by line; the first line that differs stands for all."""
        pairs = itertools.zip_longest(stored.splitlines(), found.splitlines(), fillvalue="")
        for number, (old, new) in enumerate(pairs, start=1):
            self.compared += 1
            if old != new:
                self.differences.append(Difference(f"{where}, line {number}", *_parting(old, new), None))
                return

    def tables(self, where: str, stored: str, found: str) -> None:
        try:
            rows = [list(csv.reader(text.splitlines())) for text in (stored, found)]
        except csv.Error as error:  # of the report's: a field of more than 131,072 characters
            self._leaf(where, f"no table ({error})", "a table")
            return
        shapes = [[len(row) for row in table] for table in rows]
        if shapes[0] != shapes[1]:
            self._leaf(f"{where}: rows", len(rows[0]), len(rows[1]))
            if len(rows[0]) == len(rows[1]):
                self._leaf(f"{where}: columns", rows[0][:1], rows[1][:1])
            return
        for line, (old, new) in enumerate(zip(*rows, strict=True), start=1):
            for column, (one, other) in enumerate(zip(old, new, strict=True)):
                self._leaf(f"{where}, line {line}, column {rows[0][0][column]!r}", _number(one), _number(other))


def _parting(old: str, new: str) -> tuple[str, str]:
    """The two texts around the place where they part."""
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return old[max(0, at - 20) : at + 40], new[max(0, at - 20) : at + 40]


def _number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def lines(differences: Sequence[Difference]) -> Iterator[str]:
    """For people: place, what the report says, what the CSV files say."""
    for one in differences:
        by = "" if one.by is None else f" (by {one.by:+.6g})"
        yield f"{one.where}: the report says {one.stored}, the CSV files {one.found}{by}"
