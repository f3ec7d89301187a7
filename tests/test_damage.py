"""No changed byte of a finished study passes for whole: whoever reads the file says so, and nobody writes it anew."""

import gzip
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import bamgate
from merge_samples import content, rewritten
from record_samples import message, without_hashes
from study_samples import opened, study_file, trained

from bamgate.cli.report_show import Asked, read
from bamgate.cli.study_merge import merge_parts
from bamgate.errors import DataError, UsageError
from bamgate.record.collect import collect
from bamgate.record.ended import EndedCell
from bamgate.record.sealed import read_json, write_sealed
from bamgate.reports.analysis import analyse
from bamgate.reports.build import build
from bamgate.reports.records import Outcomes
from bamgate.reports.reproduce import reproduce
from bamgate.study.state import StudyState
from bamgate.study.verify import verify
from bamgate.study.verify import without_hashes as names_without_hashes
from bamgate.weights import load_network

CELL_FILES = [
    *("config.json", "environment.json", "attempts.csv", "epochs.csv", "gates.csv"),
    *("outcomes.csv.gz", "checkpoint.pt", "checkpoint.sha256", "result.json"),
]
TABLES = ["runs.csv", "epochs.csv", "gates.csv"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms with two seeds, and a report."""
    folder = tmp_path_factory.mktemp("damage")
    out = trained(folder / "out", study_file(folder))
    build(*read([out], Asked(None, "", None, ())), [out], out / "report")
    return out


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "copy")


def go_on(out: Path) -> None:
    opened(out, study_file(out.parent))
    collect(out)


def merge(out: Path) -> None:
    merge_parts([out], out.parent / "merged", keep_first=False)


def report(out: Path) -> None:
    design, records = read([out], Asked(None, "", None, ()))
    analyse(design, records, Outcomes([out]))


def again(out: Path) -> None:
    reproduce([out], out / "report")


def load(out: Path) -> None:
    for cell in sorted((out / "cells").iterdir()):
        load_network(cell)


READERS: dict[Callable[[Path], None], list[str]] = {
    go_on: [*CELL_FILES[:5], "result.json", "study.json"],
    merge: [*CELL_FILES, "study.json"],
    report: [*CELL_FILES[:6], "result.json", "study.json", *TABLES],
    again: [*CELL_FILES[:6], "result.json", "study.json", *TABLES],
    load: [*CELL_FILES[:2], "epochs.csv", "checkpoint.pt", "result.json"],
}


def path_of(out: Path, name: str, *, in_cell: bool) -> Path:
    return sorted((out / "cells").iterdir())[0] / name if in_cell else out / name


def changed(path: Path, at: int, change: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= change
    path.write_bytes(data)


def test_whole_files_pass(copy: Path) -> None:
    for reader in READERS:
        reader(copy)
    assert verify(copy) == []
    assert names_without_hashes(copy) == []


@pytest.mark.parametrize("name", ["result.json", "study.json"])
def test_every_changed_byte_of_a_sealed_file_is_noticed(copy: Path, name: str) -> None:
    path = path_of(copy, name, in_cell=name == "result.json")
    whole = path.read_bytes()
    for at in range(len(whole)):
        changed(path, at, 0x01 if at % 2 else 0x20)
        assert str(path) in message(DataError, read_json, path)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", CELL_FILES[:-1])
def test_every_changed_byte_of_a_cell_is_noticed(copy: Path, name: str) -> None:
    path = path_of(copy, name, in_cell=True)
    ended, whole = EndedCell.at(path.parent), path.read_bytes()
    assert ended is not None
    places = range(len(whole)) if len(whole) < 500 else random.Random(name).sample(range(len(whole)), 200)
    for at in places:
        changed(path, at, 0x01)
        assert message(DataError, ended.read, name).startswith(f"{path} is damaged: ")
        path.write_bytes(whole)
    path.write_bytes(whole + b"\n")
    assert message(DataError, ended.read, name).startswith(f"{path} is damaged: ")
    path.unlink()
    assert message(DataError, ended.read, name).startswith(f"{path} is missing; ")


@pytest.mark.parametrize("reader", list(READERS), ids=lambda reader: reader.__name__)
def test_whoever_reads_a_damaged_file_says_so_and_leaves_it(copy: Path, reader: Callable[[Path], None]) -> None:
    chance = random.Random(reader.__name__)
    for name in dict.fromkeys([*CELL_FILES, "study.json", *TABLES]):
        for in_cell in [place for place, names in ((True, CELL_FILES), (False, TABLES)) if name in names] or [False]:
            if name not in READERS[reader] or (not in_cell and name in TABLES and reader in (go_on, merge, load)):
                continue
            path = path_of(copy, name, in_cell=in_cell)
            whole = path.read_bytes()
            changed(path, chance.randrange(len(whole)), 0x01)
            before = content(copy)
            problems = verify(copy)
            assert problems, path
            with pytest.raises(DataError) as error:
                reader(copy)
            assert "\n" not in str(error.value)
            assert verify(copy) == problems
            assert content(copy) == before
            path.write_bytes(whole)
    assert verify(copy) == []


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_run_that_is_made_out_to_have_diverged_stays_damaged(copy: Path) -> None:
    path = path_of(copy, "result.json", in_cell=True)
    edited(path, '"finished"', '"diverged"')
    for command in (["run", str(copy)], ["verify", str(copy)]):
        told = bamgate("study", *command)
        assert told.returncode == 4, told.stderr
        assert f"{path} is damaged" in told.stdout + told.stderr
    assert bamgate("report", str(copy), "--print").returncode == 4


def resealed(path: Path, **facts: Any) -> None:
    """The file as bamgate would have written it with these facts."""
    known = json.loads(path.read_text())
    write_sealed(path, {name: value for name, value in (known | facts).items() if name != "sha256"})


def relisted(path: Path, text: str) -> None:
    """The file with this text, and its new hash in result.json."""
    path.write_text(text)
    result = path.with_name("result.json")
    files = json.loads(result.read_text())["files"]
    resealed(result, files={**files, path.name: hashlib.sha256(path.read_bytes()).hexdigest()})


def test_an_end_that_the_losses_contradict_is_damage_with_a_new_hash_too(copy: Path) -> None:
    path = path_of(copy, "result.json", in_cell=True)
    resealed(path, status="diverged")
    said = message(DataError, collect, copy)
    assert said.startswith(f"{path.with_name('epochs.csv')}, line ")
    assert "but result.json says 'diverged'" in said
    assert said in verify(copy)
    resealed(path, status="finished")
    collect(copy)
    rows = path.with_name("epochs.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True)) | {"test_loss": "nan"}
    relisted(path.with_name("epochs.csv"), "\n".join([*rows[:-1], ",".join(last.values())]) + "\n")
    assert "test_loss nan, but result.json says 'finished'" in message(DataError, collect, copy)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[("result.json", kind) for kind in ("folder", "pipe", "link")],
        *[("config.json", "folder"), ("gates.csv", "folder"), ("epochs.csv", "pipe"), ("study.json", "folder")],
    ],
)
def test_what_is_not_a_file_is_damage_and_nothing_is_trained_again(copy: Path, name: str, kind: str) -> None:
    path = path_of(copy, name, in_cell=name != "study.json")
    path.unlink()
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("nowhere")}[kind]()
    assert f"{path} is not a file; move it away" in verify(copy)
    for reader in (collect, report):
        assert message(DataError, reader, copy) == f"{path} is not a file; move it away"


def test_outcomes_that_are_a_pipe_stop_nobody(copy: Path) -> None:
    path = path_of(copy, "outcomes.csv.gz", in_cell=True)
    path.unlink()
    os.mkfifo(path)
    assert message(DataError, report, copy) == f"{path} is not a file; move it away"


@pytest.mark.parametrize("files", [[1], {"epochs.csv": 1}, {"../runs.csv": "0" * 64}, {"/dev/zero": "0" * 64}])
def test_a_list_of_files_that_is_none_is_damage(copy: Path, files: object) -> None:
    path = path_of(copy, "result.json", in_cell=True)
    resealed(path, files=files)
    assert message(DataError, collect, copy).startswith(f"{path} is damaged: its list of files is not one; ")
    assert len(verify(copy)) > 0


@pytest.mark.parametrize(
    "gate", [None, "tanh", {"name": "tanh"}, {"name": 1, "fingerprint": "0", "source_sha256": "0"}]
)
def test_a_configuration_that_does_not_say_its_gate_is_damage(copy: Path, gate: object) -> None:
    path = path_of(copy, "config.json", in_cell=True)
    relisted(path, json.dumps(json.loads(path.read_text()) | {"gate": gate}))
    for reader in (collect, load):
        assert message(DataError, reader, copy).startswith(f"{path} does not say which gate ")


def test_an_environment_that_lacks_a_fact_is_damage(copy: Path) -> None:
    path = path_of(copy, "environment.json", in_cell=True)
    relisted(path, json.dumps({"schema": 1}))
    assert message(DataError, collect, copy).startswith(f"{path} does not say 'device'; ")


def test_cells_that_are_a_file_are_damage(copy: Path) -> None:
    shutil.rmtree(copy / "cells")
    (copy / "cells").write_text("")
    for words in (["status", str(copy)], ["run", str(copy)], ["merge", str(copy), "--out", str(copy.parent / "all")]):
        told = bamgate("study", *words)
        assert (told.returncode, told.stderr) == (4, f"bamgate: {copy / 'cells'} is not a folder; move it away\n")


def test_a_removed_configuration_does_not_remove_the_cell_from_the_tables(copy: Path) -> None:
    path = path_of(copy, "config.json", in_cell=True)
    path.unlink()
    assert message(DataError, collect, copy).startswith(f"{path} is missing; ")
    assert not path.exists()


def test_a_folder_of_runs_is_verified_too(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    words = ["--gate", "tanh", "--epochs", "1", "--train-limit", "320", "--batch-size", "32", "--out", str(out)]
    assert bamgate("run", *words).returncode == 0
    assert bamgate("study", "verify", str(out)).returncode == 0
    path = path_of(out, "gates.csv", in_cell=True)
    changed(path, len(path.read_bytes()) // 2, 0x01)
    told = bamgate("study", "verify", str(out))
    assert (told.returncode, str(path) in told.stdout) == (4, True)
    assert bamgate("run", *words).returncode == 4


def test_cells_of_before_are_read_and_said_to_be_unverified(copy: Path) -> None:
    for cell in (copy / "cells").iterdir():
        without_hashes(cell)
    plain = json.loads((copy / "study.json").read_text())
    del plain["sha256"]
    (copy / "study.json").write_text(json.dumps({**plain, "schema": 1}, indent=2) + "\n")
    told = bamgate("study", "verify", str(copy))
    assert told.returncode == 0
    assert told.stderr.startswith("not verified: study.json, cell ")
    for reader in (go_on, report, load):
        reader(copy)


def test_runs_on_other_image_files_are_not_compared(copy: Path) -> None:
    for number, cell in enumerate(sorted((copy / "cells").iterdir())):
        rewritten(cell / "environment.json", listing_sha256=str(number // 3))
    assert " were trained on other image files of digits" in message(UsageError, report, copy)


def outcomes_of(cell: Path) -> list[str]:
    return gzip.decompress((cell / "outcomes.csv.gz").read_bytes()).decode().splitlines()


def put(cell: Path, lines: list[str]) -> None:
    (cell / "outcomes.csv.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def none_right(lines: list[str]) -> list[str]:
    """Every answer wrong, and marked so."""
    rows = [line.split(",") for line in lines[1:]]
    return [lines[0], *(f"{s},{i},{label},{(int(label) + 1) % 10},0" for s, i, label, *_ in rows)]


EDITS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "all wrong": (none_right, "0 correct of "),
    "contradictory": (lambda lines: [lines[0], *(line[:-1] + "0" for line in lines[1:])], ", column 'correct': label "),
    "a row missing": (lambda lines: [*lines[:5], *lines[6:]], ", line 6, column 'index': image 5 stands where"),
    "a row doubled": (lambda lines: [*lines[:5], *lines[4:]], ", line 6, column 'index': image 3 stands where"),
    "the last missing": (lambda lines: lines[:-1], " images, but "),
    "no rows": (lambda lines: lines[:1], " holds no images"),
    "nothing": (lambda lines: [], " holds no images"),
    "not numbers": (
        lambda lines: [*lines[:3], "1,2,x,3,0", *lines[4:]],
        ", line 4, column 'label': 'x' is not a whole number",
    ),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("with_result", [True, False])
def test_outcomes_are_held_against_the_counts(copy: Path, name: str, with_result: bool) -> None:
    """Also where only the tables and the outcomes were kept."""
    edit, expected = EDITS[name]
    for cell in (copy / "cells").iterdir():
        without_hashes(cell)
        if not with_result:
            (cell / "result.json").unlink()
    cell = sorted((copy / "cells").iterdir())[0]
    put(cell, edit(outcomes_of(cell)))
    for reader in (report, again):
        found = message(DataError, reader, copy)
        assert expected in found
        assert "outcomes.csv.gz" in found
        assert cell.name in found


def test_outcomes_of_other_images_are_refused(copy: Path) -> None:
    for cell in (copy / "cells").iterdir():
        without_hashes(cell)
    cell = sorted((copy / "cells").iterdir())[0]
    lines = outcomes_of(cell)
    schema, index, label, predicted, correct = lines[1].split(",")
    moved = [str((int(value) + 1) % 10) for value in (label, predicted)]
    put(cell, [lines[0], ",".join([schema, index, *moved, correct]), *lines[2:]])
    assert message(DataError, report, copy).endswith(": not all of the same images")


def test_counts_in_the_tables_are_held_against_each_other(copy: Path) -> None:
    """From CSV files alone, as published data are."""
    shutil.rmtree(copy / "cells")
    report(copy)
    lines = (copy / "runs.csv").read_text().splitlines()
    at = lines[0].split(",").index("correct")
    fields = lines[1].split(",")
    cell = fields[lines[0].split(",").index("cell")]
    fields[at] = str(int(fields[at]) + 1)
    (copy / "runs.csv").write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    assert message(DataError, report, copy).startswith(f"cell {cell}: runs.csv says correct ")


@pytest.mark.parametrize("sealed", [True, False])
def test_another_margin_in_a_study_is_refused_by_all_and_added_to_by_nobody(copy: Path, sealed: bool) -> None:
    path = copy / "study.json"
    known = json.loads(path.read_text())
    known["study"]["rope"] = 5.0
    write_sealed(path, {name: value for name, value in known.items() if name != "sha256"})
    if not sealed:
        plain = json.loads(path.read_text())
        del plain["sha256"]
        path.write_text(json.dumps({**plain, "schema": 1}))
    before = path.read_bytes()
    for words in (
        ["study", "add-seeds", str(copy), "1"],
        ["study", "run", str(copy)],
        ["report", str(copy), "--print"],
    ):
        told = bamgate(*words)
        assert told.returncode == 4, words
        assert told.stderr == f"bamgate: {path}: study_sha256 is not that of the study in it\n"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"cells": [7]},
        {"cells": [{"cell": "../../x", "arm": "tanh", "context": {}, "seed": 0, "epochs": 1}]},
        *[{"gates": ["tanh"]}, {"study": "q"}, {"cells": None}],
    ],
)
def test_a_study_without_its_shape_is_damage(copy: Path, change: dict[str, Any]) -> None:
    resealed(copy / "study.json", **change)
    said = message(DataError, StudyState, copy)
    assert said.startswith(f"{copy / 'study.json'}: {next(iter(change))}")
    for reader in (collect, report):
        assert message(DataError, reader, copy) == said
    assert len(verify(copy)) > 0
