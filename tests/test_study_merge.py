"""`bamgate study merge`: parts of one study become the study; what does not fit together is refused before a write."""

import contextlib
import errno
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from file_faults import KilledError, at_operation, raising
from helpers import bamgate
from merge_samples import (
    SUICIDAL,
    Parts,
    begun_only,
    cell,
    content,
    copied,
    edited,
    joined,
    killed_at,
    other_answers,
    other_field,
    pretended,
    refusal,
    rewritten,
)
from record_samples import configuration, message, resealed
from study_samples import cells_of, opened, study_file, trained

from bamgate.errors import BamgateError, DataError, TryAgainError, UsageError
from bamgate.record.runlog import open_cell
from bamgate.record.storage import sole_writer
from bamgate.study import merge
from bamgate.study.parts import parts_of, survey
from bamgate.study.study import read_study
from bamgate.study.verify import verify


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("parts"))


def test_two_halves_are_the_whole_in_any_order_and_once_more_changes_nothing(
    tmp_path: Path, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    out = joined(tmp_path / "out", parts.first, parts.second)
    told = capsys.readouterr()
    assert told.out == f"{out}: tiny, seeds 0-1, 4 cells: 4 copied, 0 there before, 0 missing\n"
    assert told.err == f"Next: bamgate report {out}\n"
    assert content(out) == content(parts.whole)
    for name in ("runs.csv", "epochs.csv", "gates.csv"):
        halves = [(part / name).read_text().splitlines()[1:] for part in (parts.first, parts.second)]
        assert sorted((out / name).read_text().splitlines()[1:]) == sorted(halves[0] + halves[1])
    assert verify(out) == []
    assert content(joined(tmp_path / "backwards", parts.second, parts.first)) == content(parts.whole)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("cells/*/*")}
    before = content(out)
    joined(out, parts.first, parts.second)
    assert content(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("cells/*/*")} == times
    assert "0 copied, 4 there before, 0 missing\n4 with the same results in several parts" in capsys.readouterr().out


def test_one_of_the_parts_takes_the_others_in(tmp_path: Path, parts: Parts) -> None:
    for number, named in enumerate((True, False)):
        out = copied(parts.first, tmp_path / str(number))
        assert content(joined(out, *([out] if named else []), parts.second)) == content(parts.whole)


def test_a_part_of_a_part_leaves_cells_to_be_run(
    tmp_path: Path, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    part = copied(parts.second, tmp_path / "part")
    begun_only(cell(part, "tanh", 1))
    shutil.rmtree(cell(part, "sigmoid", 1))
    out = joined(tmp_path / "out", parts.first, part)
    told = capsys.readouterr()
    assert "4 cells: 2 copied, 0 there before, 2 missing" in told.out
    assert told.err.splitlines() == [
        f"left out: tanh seed 1, epoch 2 of 2 in {part}, nobody at work on it",
        f"Next: bamgate study run {out}",
    ]
    assert len(list((out / "cells").iterdir())) == 2
    assert content(trained(out, study_file(tmp_path, seeds="0-1"))) == content(parts.whole)


def test_what_was_begun_gives_way_to_what_has_finished(tmp_path: Path, parts: Parts) -> None:
    out = copied(parts.whole, tmp_path / "out")
    begun_only(cell(out, "tanh", 1))
    (cell(out, "tanh", 1) / "checkpoint.previous.pt").write_bytes((cell(out, "tanh", 1) / "checkpoint.pt").read_bytes())
    assert content(joined(out, parts.second)) == content(parts.whole)


def test_cells_at_work_are_left_out(tmp_path: Path, parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    part, out = copied(parts.second, tmp_path / "part"), copied(parts.whole, tmp_path / "out")
    begun_only(cell(part, "tanh", 1))
    for gate in ("sigmoid", "tanh"):
        begun_only(cell(out, gate, 1))
    with sole_writer(cell(part, "tanh", 1)), sole_writer(cell(out, "sigmoid", 1)):
        joined(out, part)
        joined(tmp_path / "new", part)
    told = capsys.readouterr()
    assert f"{out}: tiny, seeds 0-1, 4 cells: 0 copied, 2 there before, 2 missing" in told.out
    held = f"left out: a process is at work on {cell(out, 'sigmoid', 1)}; merge again when it has ended"
    left = f"left out: tanh seed 1, epoch 2 of 2 in {part}, at work on it; merge again when it has ended"
    assert told.err.splitlines() == [
        left,
        held,
        f"Next: bamgate study run {out}",
        left,
        f"Next: bamgate study run {tmp_path / 'new'}",
    ]
    assert content(joined(out, parts.second)) == content(parts.whole)


def test_folders_that_cannot_be_parts(tmp_path: Path, parts: Parts) -> None:
    out, first, second = tmp_path / "out", parts.first, parts.second
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert refusal(UsageError, out, first, folder) == f"{folder} is no folder of a study: it has no study.json"
    link = tmp_path / "link"
    link.symlink_to(first)
    assert refusal(UsageError, out, first, link) == f"{first} and {link} are the same folder; name each part once"
    alone = f"{first} is the only folder named; name the parts that are to be joined with it"
    assert refusal(UsageError, first, first) == alone
    inside = first / "all"
    assert refusal(UsageError, inside, first, second) == f"{inside} lies inside of {first}; choose another --out"
    above = first.parent
    assert refusal(UsageError, above, first, second) == f"{first} lies inside of {above}; choose another --out"
    nested = copied(second, copied(first, tmp_path / "copy") / "deep")
    expected = f"{nested} lies inside of {tmp_path / 'copy'}; name folders that lie side by side"
    assert refusal(UsageError, out, tmp_path / "copy", nested) == expected
    assert not out.exists()


def test_an_out_that_is_something_else(tmp_path: Path, parts: Parts) -> None:
    file = tmp_path / "file"
    file.touch()
    assert refusal(UsageError, file, parts.first) == f"--out {str(file)!r} is a file; name a folder"
    open_cell(tmp_path / "runs", configuration())
    assert "is a folder of `bamgate run`, not of a study" in refusal(UsageError, tmp_path / "runs", parts.first)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "runs.csv").write_text("mine")
    assert "holds a runs.csv but no study.json" in refusal(UsageError, tmp_path / "mine", parts.first)
    (tmp_path / "lost" / "cells" / "mine").mkdir(parents=True)
    assert "holds cells but no study.json" in refusal(UsageError, tmp_path / "lost", parts.first)


def test_parts_of_different_studies(tmp_path: Path, parts: Parts) -> None:
    told = refusal(UsageError, tmp_path / "out", parts.first, parts.other)
    difference = "settings.lr is 0.01 there and null here"
    assert told == f"{parts.other} belongs to another study than {parts.first}: {difference}"
    assert told.replace(str(parts.first), str(parts.whole)) == refusal(UsageError, parts.whole, parts.other)


def test_parts_of_different_versions(tmp_path: Path, parts: Parts) -> None:
    other = pretended(parts, tmp_path / "other")
    told = refusal(UsageError, tmp_path / "out", parts.second, other)
    assert told == f"{other} was begun by another version of bamgate than {parts.second}, whose cells were others"
    told = refusal(UsageError, tmp_path / "out", parts.first, other)
    pair = f"{cell(parts.first, 'sigmoid')} and {cell(other, 'sigmoid', 1)}"
    difference = "training.lr is 0.2 there and 0.01 here"
    versions = "they were begun by different versions of bamgate"
    assert told == f"{pair} are the same arm with other settings: {difference}; {versions}"


def test_a_gate_that_is_another_function(tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    for number, slope in enumerate((3, 2)):
        code.write_text(f"def steep(z):\n    return ({slope} * z).tanh()\n")
        file = study_file(tmp_path, seeds=str(number), more=f'[arms.steep]\ngate = "{code}:steep"\n')
        opened(tmp_path / str(number), file)
    told = refusal(UsageError, tmp_path / "out", tmp_path / "0", tmp_path / "1")
    assert told == f"gate 'mine.py:steep' in {tmp_path / '1'} is not the function that it is in {tmp_path / '0'}"


def test_parts_that_saw_other_image_files(tmp_path: Path, parts: Parts) -> None:
    part = [copied(parts.first, tmp_path / "a"), copied(parts.second, tmp_path / "b")]
    for number, folder in enumerate(part):
        for path in folder.glob("cells/*/environment.json"):
            rewritten(path, listing_sha256=str(number))
    told = refusal(UsageError, tmp_path / "out", *part)
    pair = f"{cell(part[0], 'sigmoid')} and {cell(part[1], 'sigmoid', 1)}"
    assert told == f"{pair} were trained on other image files, and the two cannot be compared"


def test_a_damaged_part_is_refused_with_its_problems(
    tmp_path: Path, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    part = copied(parts.second, tmp_path / "part")
    (cell(part, "tanh", 1) / "checkpoint.pt").write_bytes(b"")
    (part / "cells" / "stray").mkdir()
    assert refusal(DataError, tmp_path / "out", parts.first, part) == "the parts are damaged; nothing was written"
    assert capsys.readouterr().out.splitlines() == verify(part)
    (part / "study.json").write_text('{"schema": 1}')
    assert refusal(DataError, tmp_path / "out", parts.first, part) == "the parts are damaged; nothing was written"
    assert capsys.readouterr().out.startswith(f"{part / 'study.json'}: name is missing, or is not as bamgate wrote it")


def test_tables_that_are_behind_are_no_damage(tmp_path: Path, parts: Parts) -> None:
    part = copied(parts.second, tmp_path / "part")
    (part / "runs.csv").write_text("")
    assert content(joined(tmp_path / "out", parts.first, part)) == content(parts.whole)


DIFFERENT: list[tuple[str, Callable[[Path], object], str]] = [
    ("result.json", lambda path: rewritten(path, test_loss=9.5), "result.json, test_loss is "),
    ("epochs.csv", lambda path: other_field(path, 3, "train_loss"), "epochs.csv, line 3, column 'train_loss' is "),
    ("gates.csv", lambda path: other_field(path, 2, "q50"), "gates.csv, line 2, column 'q50' is "),
    ("gates.csv", lambda path: (path.unlink(), resealed(path.parent)), "gates.csv, number of lines is "),
    ("outcomes.csv.gz", other_answers, "outcomes.csv.gz, line "),
]


@pytest.mark.parametrize(("name", "change", "expected"), DIFFERENT)
def test_other_results_of_one_cell_are_refused_or_the_first_are_kept(
    tmp_path: Path,
    parts: Parts,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: Callable[[Path], object],
    expected: str,
) -> None:
    part = copied(parts.whole, tmp_path / "part")
    mine, theirs = cell(parts.first, "tanh"), cell(part, "tanh")
    change(theirs / name)
    told = refusal(DataError, tmp_path / "out", parts.first, part)
    assert told == (
        "1 cell has different results in different parts (--keep-first keeps those of the first); nothing was written"
    )
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"tanh seed 0: {expected}")
    assert f" in {mine} and " in line
    assert line.endswith(f" in {theirs}")
    assert content(joined(tmp_path / "mine", parts.first, part, keep_first=True)) == content(parts.whole)
    assert f"kept the first: {line}" in capsys.readouterr().err
    found = content(joined(tmp_path / "theirs", part, parts.first, keep_first=True))
    assert {key for key, value in content(parts.whole).items() if found.get(key) != value} >= {
        str((theirs / name).relative_to(part))
    }


def test_times_attempts_and_machines_may_differ(
    tmp_path: Path, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    part = copied(parts.first, tmp_path / "part")
    folder = cell(part, "tanh")
    rewritten(folder / "result.json", wall_s=1e3, images_per_s=1.0)
    rewritten(folder / "environment.json", device_name="Another processor", cores=99)
    for line in (2, 3):
        other_field(folder / "epochs.csv", line, "wall_s")
    edited(folder / "attempts.csv", "\n1,1,", "\n1,1,2001-01-01T00:00:00+00:00,0\n1,2,")
    resealed(folder)
    out = joined(tmp_path / "out", parts.first, part, parts.second)
    told = capsys.readouterr()
    assert "2 with the same results in several parts, kept once" in told.out
    assert content(out) == content(parts.whole)
    joined(tmp_path / "theirs", part, parts.first, parts.second)
    told = capsys.readouterr()
    assert told.err.startswith("the cells were executed in different ways (device_name ")
    assert "Another processor" in told.err.splitlines()[0]


def test_weights_as_other_bytes_are_the_same_result_only_of_another_torch(tmp_path: Path, parts: Parts) -> None:
    part = copied(parts.first, tmp_path / "part")
    folder = cell(part, "tanh")
    other = cell(parts.first, "sigmoid")
    for name in ("checkpoint.pt", "checkpoint.sha256"):
        shutil.copy(other / name, folder / name)
    rewritten(folder / "result.json", checkpoint_sha256=(other / "checkpoint.sha256").read_text().strip())
    refusal(DataError, tmp_path / "out", parts.first, part)
    rewritten(folder / "environment.json", torch="0.1")
    joined(tmp_path / "out", parts.first, part)


def test_ended_at_any_moment_every_cell_is_whole_and_the_next_completes_it(
    tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun cells give way in `out`, so that both renames of a cell are among the moments."""
    whole = content(parts.whole)
    start = copied(parts.first, tmp_path / "start")
    begun_only(cell(start, "tanh"))
    moment = 0
    while True:
        out = copied(start, tmp_path / str(moment))
        if not killed_at(moment, lambda out=out: joined(out, parts.whole), monkeypatch):  # type: ignore[misc]
            break
        assert verify(out, tables=False) == []
        finished = [path.parent for path in out.glob("cells/*/result.json")]
        assert all(content(path) == content(parts.whole / "cells" / path.name) for path in finished)
        if moment % 5 == 0:
            assert content(joined(out, parts.whole)) == whole
        moment += 1
    assert moment == 1 + 3 * 10 + 4
    assert content(out) == whole


@pytest.mark.slow
def test_killed_in_the_middle_and_again(tmp_path: Path, parts: Parts) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", SUICIDAL, str(out), str(parts.first), str(parts.second)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert len(list(out.glob("cells/*"))) == 1
    assert verify(out) == []
    assert list(out.glob(".merge/*/*.tmp"))
    command = ["study", "merge", str(parts.first), str(parts.second), "--out"]
    finished = bamgate(*command, str(out))
    assert finished.returncode == 0, finished.stderr
    assert "3 copied, 1 there before, 0 missing" in finished.stdout
    assert content(out) == content(parts.whole)
    refused = bamgate(*command, str(tmp_path / "new"), str(parts.other), "--keep-first")
    assert refused.returncode == 2
    assert refused.stderr.startswith("bamgate: ")
    assert refused.stderr.count("\n") == 1


def test_a_folder_or_a_cell_that_changes_meanwhile(
    tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    found = survey(parts_of([parts.first, parts.second], out), out)
    opened(out, study_file(tmp_path, seeds="0"))
    expected = f"the study in {out} was changed meanwhile; nothing was written, try again"
    assert message(TryAgainError, merge.join, found, out) == expected
    part = copied(parts.second, tmp_path / "part")
    found = survey(parts_of([part], tmp_path / "new"), tmp_path / "new")
    edited(cell(part, "tanh", 1) / "result.json", '"cell"', '"sell"')
    told = message(DataError, merge.join, found, tmp_path / "new")
    assert told.startswith(f"{cell(part, 'tanh', 1)} was changed while it was copied: ")
    assert verify(tmp_path / "new") == []
    original = merge._copied

    def begun_meanwhile(source: Path, into: Path, gates: dict[str, str]) -> Path:
        beside = original(source, into, gates)
        (into / "cells" / source.name).mkdir()
        (into / "cells" / source.name / ".lock").touch()
        patch.setattr(Path, "exists", lambda path, exists=Path.exists: path.name != source.name and exists(path))
        return beside

    with monkeypatch.context() as patch:
        patch.setattr(merge, "_copied", begun_meanwhile)
        found = survey(parts_of([parts.second], tmp_path / "late"), tmp_path / "late")
        done = merge.join(found, tmp_path / "late")
    assert (done.copied, done.held) == (0, [tmp_path / "late" / "cells" / cell for cell in found.sources])


def test_the_order_of_arms_and_texts_are_those_of_the_first(tmp_path: Path) -> None:
    """Arms in another order are the same study, and contexts that share a cell stay so."""
    axes = '[axes]\ndilation = [2, 4]\n[arms.plain]\nattention = "none"\n'
    files = [study_file(tmp_path, seeds="0,5", more=axes).rename(tmp_path / "a.txt")]
    files.append(study_file(tmp_path, gates='"tanh", "sigmoid"', seeds="3", more=axes).rename(tmp_path / "b.txt"))
    edited(files[1], 'question = "q"', 'question = "another"')
    for number, file in enumerate(files):
        opened(tmp_path / str(number), file.rename(tmp_path / "tiny.toml"))
    joined(tmp_path / "out", tmp_path / "0", tmp_path / "1")
    file = study_file(tmp_path, seeds="0,3,5", more=axes)
    opened(tmp_path / "expected", file)
    stored = json.loads((tmp_path / "out" / "study.json").read_text())
    assert stored == json.loads((tmp_path / "expected" / "study.json").read_text())
    assert list(dict.fromkeys(row["cell"] for row in stored["cells"])) == cells_of(read_study(file))
    assert len({row["cell"] for row in stored["cells"]}) == 3 * 5


def test_a_merge_that_fails_or_is_killed_at_any_operation_is_completed_by_the_next(
    tmp_path: Path, parts: Parts
) -> None:
    """Also before anything says whose folder it is."""
    part = copied(parts.first, tmp_path / "part")
    shutil.rmtree(cell(part, "tanh"))  # one cell is enough: the others are copied in the same way
    whole = content(joined(tmp_path / "whole", part))
    for number in range(1, 1000):
        out = tmp_path / str(number)
        error = KilledError() if number % 2 else OSError(errno.ENOSPC, "No space left on device")
        with at_operation(out, number, raising(error)) as hook, contextlib.suppress(KilledError, BamgateError):
            joined(out, part)
        if hook.seen < number:
            break
        assert content(joined(out, part)) == whole, number
    assert 20 < number < 500


def test_a_folder_with_cells_of_a_stranger_is_not_taken(tmp_path: Path, parts: Parts) -> None:
    (tmp_path / "out" / "cells" / "mine").mkdir(parents=True)
    expected = f"{tmp_path / 'out'} holds cells but no study.json, so it is no folder of a study; choose another --out"
    assert refusal(UsageError, tmp_path / "out", parts.first) == expected
    (tmp_path / "out" / "cells" / "mine").rmdir()
    assert content(joined(tmp_path / "out", parts.first)) == content(parts.first)
