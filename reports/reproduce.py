"""A report's numbers again, from the CSV files alone, and what differs.

Numbers are compared exactly; wording and pictures only if the version that wrote the report is the one that runs.
"""

import csv
import itertools
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bamgate.errors import DataError
from bamgate.record.collect import tables_are_current
from bamgate.record.metric import one_metric
from bamgate.record.tables import read_text
from bamgate.reports.analysis import SCHEMA, analyse
from bamgate.reports.build import frame_text, page_figure, pictures_of, provenance_of
from bamgate.reports.design import Design, design_of
from bamgate.reports.figures import FIGURES
from bamgate.reports.pages import PageFigure, write_pages, write_tables
from bamgate.reports.records import Outcomes, Records, read_records, read_runs
from bamgate.reports.stored import COLUMNS_OF_1, comparable, read_provenance, read_stats

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
    """How many values were compared, and what differs.

    Args:
        unchecked: what could not be recomputed because files are not here.
        wording: the version that wrote the report, if its wording was not compared.
    """

    compared: int
    differences: list[Difference]
    unchecked: list[str]
    wording: str | None


def reproduce(folders: Sequence[Path], report: Path) -> Reproduction:
    """Recompute statistics, figure data and tables, and hold them against the report; wording as said above.

    Raises:
        DataError: there is no report, or a file is damaged.
    """
    stored = read_stats(report / "stats.json")
    provenance = read_provenance(report / "provenance.json")
    for part in folders:
        tables_are_current(part)  # or what contradicts the cells is named
    runs = read_runs(folders)
    metric = one_metric(runs.to_dict("records"))
    try:
        design = Design.from_dict(stored.get("design", {}), metric)
    except DataError as error:
        raise DataError(f"{report / 'stats.json'}: {error}") from None
    records = read_records(folders, design, runs)
    found: dict[str, Any] = json.loads(json.dumps(analyse(design, records, Outcomes(folders))))
    unchecked = _without_images(stored, found)
    wording = _other_writer(stored, provenance)
    comparison = _Comparison(without=COLUMNS_OF_1 if stored["schema"] == 1 else frozenset())
    _compare_designs(comparison, folders, design, runs)
    comparison.values("stats.json", *comparable(stored, found))
    figures = _compare_figures(comparison, report, design.shown, records, found)
    if wording is None:
        comparison.values("figures (sha256)", provenance.get("pictures_sha256", {}), pictures_of(report))
    with tempfile.TemporaryDirectory() as folder:
        # With the report's own list of inputs: the order of their rows does not matter.
        if wording is None:
            write_pages(found, figures, Path(folder), provenance=provenance)
        else:
            write_tables(found, Path(folder), provenance=provenance)
        _compare_pages(comparison, report, Path(folder), wording=wording is None)
    inputs = [_contents(made.get("inputs_sha256", {})) for made in (provenance, provenance_of(records, folders))]
    if inputs[0] != inputs[1]:
        unchecked.append("the CSV files are not, byte for byte, those that the report was made of")
    return Reproduction(comparison.compared, comparison.differences, unchecked, wording)


def _other_writer(stored: dict[str, Any], provenance: dict[str, Any]) -> str | None:
    """The version that wrote the report, if it is not the one that runs."""
    writer = provenance["versions"].get("bamgate")
    if stored["schema"] != SCHEMA:
        return f"{writer} (stats.json version {stored['schema']})"
    return None if writer == version("bamgate") else str(writer)


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


def _compare_pages(comparison: "_Comparison", report: Path, made: Path, *, wording: bool) -> None:
    for folder, endings in (("tables", (".csv", ".tex")), (".", (".html", ".md", ".tex"))):
        paths = {p.name for p in [*(made / folder).iterdir(), *(report / folder).glob("*")] if p.suffix in endings}
        for name in sorted(paths):
            texts = _text(report / folder / name), _text(made / folder / name)
            where = name if folder == "." else f"{folder}/{name}"
            if name.endswith(".csv"):
                comparison.tables(where, *texts)
            elif wording:
                comparison.lines(where, *texts)


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
    """Walks two trees side by side and keeps what differs.

    Args:
        without: columns of tables that are not compared.
    """

    def __init__(self, without: frozenset[str]) -> None:
        self._without = without
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
            rows = [self._read(text) for text in (stored, found)]
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

    def _read(self, text: str) -> list[list[str]]:
        rows = list(csv.reader(text.splitlines()))
        left_out = {number for number, name in enumerate(rows[0] if rows else []) if name in self._without}
        return [[cell for number, cell in enumerate(row) if number not in left_out] for row in rows]


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
