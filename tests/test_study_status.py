"""What is said of a study: the catalogue, the plan, where it stands, and all that is wrong in its folder."""

import gzip
import json
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import bamgate
from record_samples import message, without_hashes
from study_samples import cells_of, opened, study_file, trained

from bamgate.errors import UsageError
from bamgate.record.collect import REBUILD
from bamgate.record.runlog import CellLog
from bamgate.record.sealed import read_json, write_sealed
from bamgate.record.storage import sole_writer
from bamgate.study.catalogue import catalogue, count_cells, find_study
from bamgate.study.compare import compare
from bamgate.study.expand import expand
from bamgate.study.state import CellState, StudyState, count
from bamgate.study.study import from_plain, read_study
from bamgate.study.verify import verify


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    return trained(folder / "out", study_file(folder, seeds="0"))


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "copy")


def test_the_catalogue_counts_as_the_expansion_does() -> None:
    for one in catalogue():
        if "imagenet" not in one.name:  # its data are not here
            assert count_cells(one) == len({cell.config.cell for cell in expand(one)}), one.name
        assert from_plain(json.loads(json.dumps(one.to_dict()))) == one
    assert find_study("quick").question.startswith("Does a tanh gate")


def test_the_list_is_light_and_names_question_runs_and_cost() -> None:
    rows = {row["name"]: row for row in json.loads(bamgate("study", "list", "--json").stdout)}
    assert rows["quick"]["runs"] == 40
    assert rows["paper-table1a"]["cost"].startswith("40 runs")
    assert {one.name for one in catalogue()} == set(rows)


@pytest.mark.slow
def test_a_plan_counts_what_is_missing_and_measures_each_kind_once(study: Path, tmp_path: Path) -> None:
    file = study_file(
        tmp_path, seeds="0-2", more='[arms.plain]\nattention = "none"\n[arms.steep]\ngate = "tanh"\nlr = 1\n'
    )
    planned = bamgate("study", "plan", str(file), "--out", str(tmp_path / "out"), "--json")
    assert planned.returncode == 0, planned.stderr
    facts = json.loads(planned.stdout)
    assert (facts["cells"], len(facts["missing"]), facts["seeds"]) == (12, 12, [0, 1, 2])
    assert facts["arms"] == ["sigmoid", "tanh", "plain", "steep"]
    assert [(kind["attention"], kind["cells"]) for kind in facts["kinds"]] == [("bam", 9), ("none", 3)]
    assert facts["hours"] == pytest.approx(sum(kind["hours"] for kind in facts["kinds"]), abs=1e-3)
    assert 0 < facts["hours"] < 1
    assert not (tmp_path / "out").exists()
    file = study_file(tmp_path, seeds="0-2")
    partly = json.loads(bamgate("study", "plan", str(file), "--out", str(study), "--no-measure", "--json").stdout)
    assert [row["name"] for row in partly["missing"]] == [
        f"{gate} seed {s}" for s in (1, 2) for gate in ("sigmoid", "tanh")
    ]
    assert "hours" not in partly


def test_status_while_it_runs(copy: Path, tmp_path: Path) -> None:
    study = opened(copy, study_file(tmp_path, seeds="0-1"))
    running = cells_of(study)[2]
    (copy / "cells" / running).mkdir()
    log = CellLog(copy / "cells" / running, running)
    log.append("epochs.csv", [{"epoch": 1, "images_per_s": 50.0}])
    with sole_writer(log.folder):
        states = StudyState(copy).read()
    assert count(states) == {"finished": 2, "diverged": 0, "running": 1, "missing": 1}
    assert [(s.name, s.status, s.epoch, s.epochs) for s in states[2:]] == [
        ("sigmoid seed 1", "running", 1, 2),
        ("tanh seed 1", "missing", 0, 2),
    ]
    assert StudyState(copy).read()[2].status == "missing"
    told = bamgate("study", "status", str(copy), "--json")
    facts = json.loads(told.stdout)
    assert facts["counts"] == {"finished": 2, "diverged": 0, "running": 0, "missing": 2}
    assert [row["name"] for row in facts["missing"]] == ["sigmoid seed 1", "tanh seed 1"]
    assert [(row["arm"], row["n"]) for row in facts["arms"]] == [("sigmoid", 1), ("tanh", 1)]
    expected = f"{tmp_path} is no folder of a study: it has no study.json"
    assert message(UsageError, StudyState, tmp_path) == expected


def state(cell: str, seed: int, correct: int, status: str = "finished") -> CellState:
    facts = {"names": (("arm", ()),), "epoch": 2, "epochs": 2}
    return CellState(cell=cell, seed=seed, status=status, value=correct / 10, **facts)  # type: ignore[arg-type]


def test_arms_are_compared_on_the_same_seeds_within_a_context() -> None:
    """Two contexts of dilation; `plain` is the same cells in both."""
    cells = [("p0", "plain", 0), ("p1", "plain", 1)]
    rows = [{"cell": c, "arm": a, "context": {"dilation": d}, "seed": s} for d in (2, 4) for c, a, s in cells]
    for d in (4, 2):
        rows += [{"cell": f"t{d}{s}", "arm": "tanh", "context": {"dilation": d}, "seed": s} for s in (0, 1)]
    states = [state("p0", 0, 900), state("p1", 1, 910), state("t20", 0, 930), state("t21", 1, 100, "diverged")]
    states += [state("t41", 1, 905), state("t40", 0, 0, "running")]
    found = compare({"cells": rows, "study": {"reference": "plain"}}, states)
    assert [(row.context["dilation"], row.arm) for row in found] == [
        (2, "plain"),
        (2, "tanh"),
        (4, "plain"),
        (4, "tanh"),
    ]
    plain, two, _, four = (row.to_dict() for row in found)
    assert (plain["n"], plain["mean"], plain["pairs"], plain["difference"]) == (2, pytest.approx(90.5), 0, None)
    assert plain["sd"] == pytest.approx(statistics.stdev([90.0, 91.0]))
    assert (two["diverged"], two["smallest"], two["largest"]) == (1, pytest.approx(-81.0), pytest.approx(3.0))
    assert two["difference"] == pytest.approx(-39.0)
    assert (four["n"], four["sd"], four["pairs"], four["difference"]) == (1, None, 1, pytest.approx(-0.5))


def first(out: Path, name: str) -> Path:
    return sorted(out.glob(f"cells/*/{name}"))[0]


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def fewer_correct(path: Path) -> None:
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text[: text.rindex("\n", 0, -1) + 1].encode()))


DAMAGE: list[tuple[str, Callable[[Path], object], str]] = [
    ("config.json", lambda path: edited(path, '"epochs": 2', '"epochs": 3'), "is not the one that the folder is named"),
    ("config.json", lambda path: edited(path, '"fingerprint": "', '"fingerprint": "0'), "is not the study's"),
    ("config.json", lambda path: path.write_text("{"), "is damaged"),
    ("config.json", Path.unlink, "is missing"),
    ("environment.json", Path.unlink, "is missing"),
    ("environment.json", lambda path: edited(path, '"schema": 1', '"schema": 9'), "schema version 9"),
    ("epochs.csv", lambda path: path.write_text(path.read_text()[:-3]), "is cut off in its last line"),
    ("epochs.csv", lambda path: edited(path, "320", "many"), "'many' is not a whole number"),
    ("epochs.csv", Path.unlink, "is missing"),
    ("gates.csv", lambda path: edited(path, ",layer", ",,layer"), "fields instead of"),
    ("attempts.csv", Path.unlink, "is missing"),
    ("attempts.csv", lambda path: edited(path, "\n1,1,", "\n1,2,"), "attempt 2 instead of 1"),
    ("checkpoint.pt", flipped, "is damaged: its sha256"),
    ("checkpoint.pt", Path.unlink, "is missing"),
    ("checkpoint.sha256", Path.unlink, "is missing"),
    ("outcomes.csv.gz", flipped, "is damaged"),
    ("outcomes.csv.gz", fewer_correct, "images, but result.json says "),
    ("outcomes.csv.gz", Path.unlink, "is missing"),
    ("result.json", lambda path: edited(path, '"correct"', '"wrong"'), "it has no 'correct'"),
]


def test_an_unharmed_study_is_whole(study: Path) -> None:
    assert verify(study) == []


@pytest.mark.parametrize(("name", "damage", "expected"), DAMAGE)
def test_every_damage_is_named(copy: Path, name: str, damage: Callable[[Path], object], expected: str) -> None:
    """By its hash; in a cell without hashes by what is wrong in it."""
    path = first(copy, name)
    damage(path)
    problems = verify(copy)
    assert any(str(path) in line and ("is damaged" in line or "is missing" in line) for line in problems), problems
    assert all("\n" not in line for line in problems)
    if path != first(copy, "result.json") or '"schema": 9' not in path.read_text():
        without_hashes(path.parent)
    problems = verify(copy)
    assert any(str(path.parent) in line and expected in line for line in problems), problems


def test_damage_outside_the_cells_is_named(copy: Path) -> None:
    edited(copy / "runs.csv", "tiny", "mine")
    (copy / "epochs.csv").write_text("")
    (copy / "cells" / "stray").mkdir()
    content = read_json(copy / "study.json")
    assert content is not None
    content["study"]["rope"] = 2.0
    write_sealed(copy / "study.json", content)
    told = bamgate("study", "verify", str(copy))
    assert told.returncode == 4
    cell = cells_of(read_study(study_file(copy.parent, seeds="0")))[0]
    assert told.stdout.splitlines() == [
        f"{copy}/study.json: study_sha256 is not that of the study in it",
        f"{copy}/cells/stray is not a cell of this study",
        f"{copy}/runs.csv: what stands there of {cell!r} is not what the cell says; {REBUILD}",
        f"{copy}/epochs.csv lacks cells that have ended; {REBUILD}",
    ]
    edited(copy / "study.json", '"rope": 2.0', '"rope": 1.0')
    assert verify(copy) == [
        f"{copy}/study.json is damaged: it is not as bamgate wrote it (its sha256 differs); "
        f"put it right or move {copy} away"
    ]


def test_a_study_reads_back_as_it_was_written(study: Path) -> None:
    content = json.loads((study / "study.json").read_text())
    assert from_plain(content["study"]) == read_study(study.parent / "tiny.toml")
    assert list(content["study"]["arms"]) == ["sigmoid", "tanh"]
