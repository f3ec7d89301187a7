"""A study that an older bamgate made: it is read, reported, reproduced and gone on with, and its numbers stay.

tests/older/study was trained by bamgate 0.1.0, before its tables had versions: two arms on three seeds, the last cell
stopped in its second epoch. The pictures and pages of its report, and the networks of the cells that ended, are left
out. tests/older/cells.json has ids of cells of many kinds, as that version named them.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.devices import describe_device, resolve_device
from bamgate.engines import Execution
from bamgate.record.collect import collect, collected
from bamgate.record.ended import EndedCell
from bamgate.record.runlog import CellLog
from bamgate.reports.analysis import analyse
from bamgate.reports.build import build
from bamgate.reports.design import design_of
from bamgate.reports.figures import FIGURES
from bamgate.reports.records import Outcomes, read_records, read_runs
from bamgate.reports.reproduce import reproduce
from bamgate.study.expand import expand
from bamgate.study.study import from_plain
from bamgate.study.trainer import Orders, each_cell
from bamgate.study.verify import verify

OLDER = Path(__file__).parent / "older"
TABLES = ("runs.csv", "epochs.csv", "gates.csv")
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'
STOPPED = "483aec6bfa9f328c"
IDS: list[dict[str, Any]] = json.loads((OLDER / "cells.json").read_text())
# What the version that began the stopped cell made of it, on one machine: elsewhere rounding differs.
LAST_EPOCH = {"test_loss": 0.8518475952148438, "test_correct": 372, "train_loss": 0.6340238437056541}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLDER / "study", tmp_path / "older"))


def numbers(content: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """Every number with its place; places without numbers are nobody's business here."""
    if isinstance(content, dict):
        for name, part in content.items():
            yield from numbers(part, f"{where}.{name}")
    elif isinstance(content, list):
        for number, part in enumerate(content):
            yield from numbers(part, f"{where}[{number}]")
    elif isinstance(content, int | float):
        yield where, content


@pytest.mark.parametrize("row", IDS, ids=lambda row: row["cell"])
def test_a_cell_has_the_id_it_had(row: dict[str, Any]) -> None:
    parts = {"attention": AttentionConfig, "training": TrainingConfig}
    sections = {name: kind(**row["config"].get(name, {})) for name, kind in parts.items()}
    config = RunConfig(**{**row["config"], **sections})
    assert (config.cell, config.design_sha256[:16]) == (row["cell"], row["design"])


def test_the_study_expands_to_the_cells_it_had(study: Path) -> None:
    content = json.loads((study / "study.json").read_text())
    assert [cell.config.cell for cell in expand(from_plain(content["study"]))] == [
        row["cell"] for row in content["cells"]
    ]


def test_its_tables_are_rebuilt_byte_by_byte(study: Path) -> None:
    _, texts = collected(study)
    before = {name: (study / name).read_text() for name in TABLES}
    assert {name: texts[name] for name in TABLES} == before
    collect(study)
    assert {name: (study / name).read_text() for name in TABLES} == before


def test_nothing_is_wrong_with_it_but_the_networks_that_were_left_out(study: Path) -> None:
    found = verify(study)
    assert len(found) == 5
    assert all("checkpoint.pt is missing" in line for line in found)


def test_its_report_has_the_numbers_it_had(study: Path) -> None:
    runs = read_runs([study])
    design = design_of([study], runs, None)
    made = json.loads(json.dumps(analyse(design, read_records([study], design, runs), Outcomes([study]))))
    stored = json.loads((study / "report" / "stats.json").read_text())
    before, now = dict(numbers(stored)), dict(numbers(made))
    del before[".schema"], now[".schema"]
    assert len(before) > 400
    assert {where: now.get(where) for where in before} == pytest.approx(before, rel=1e-9)


def test_it_is_reproduced_with_equal_numbers(study: Path) -> None:
    for path in (study / "report" / "figures").glob("*.csv"):
        path.with_suffix(".svg").write_text(PICTURE)
    found = reproduce([study], study / "report")
    assert found.compared > 1000
    # What was left out, pages and pictures, and how things are worded, is another matter.
    assert [one for one in found.differences if one.by is not None and one.where != "stats.json: schema"] == []
    assert [one for one in found.differences if ".csv" in one.where] == []
    assert found.unchecked == []


def test_a_report_of_it_is_written(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bamgate.reports.build.FIGURES", {"forest": FIGURES["forest"]})  # all of them take a minute
    runs = read_runs([study])
    design = design_of([study], runs, None)
    build(design, read_records([study], design, runs), [study], study / "again")
    assert "-16.50" in (study / "again" / "report.md").read_text().replace("−", "-")


def test_the_stopped_cell_goes_on_where_it_stood(study: Path) -> None:
    folder = study / "cells" / STOPPED
    log = CellLog(folder, STOPPED)
    # As if this machine had begun it: a run does not go from one machine to another.
    path = folder / "environment.json"
    here = describe_device(resolve_device("cpu"), 1)
    path.write_text(json.dumps({**json.loads(path.read_text()), **here}))
    (first,) = log.rows("epochs.csv")
    for _ in each_cell(study, Execution(), Orders(skipped=set, tell=lambda line: None)):
        pass
    assert (ended := EndedCell.at(folder)) is not None
    assert ended.result["status"] == "finished"
    assert [row["epoch"] for row in log.attempts()] == [0, 1]
    kept, last = log.rows("epochs.csv")
    assert kept == first
    assert {name: last[name] for name in LAST_EPOCH} == pytest.approx(LAST_EPOCH, rel=0.02)
    runs = {row["cell"]: row for row in collect(study)}
    assert runs.keys() == {row["cell"] for row in json.loads((study / "study.json").read_text())["cells"]}
    assert [line for line in verify(study) if STOPPED in line] == []
