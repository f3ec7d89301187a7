"""Seeds that are added to a study after it was begun: what study.json keeps, and how the study goes on."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from file_faults import KilledError, at_operation, raising
from helpers import bamgate
from merge_samples import content, copied
from record_samples import message
from study_samples import opened, study_file, trained

from bamgate.cli.study_merge import add, merge_parts
from bamgate.cli.study_run import prepared as prepare
from bamgate.config.settings import format_seeds, parse_seeds
from bamgate.engines import Execution
from bamgate.errors import BusyError, TryAgainError, UsageError
from bamgate.gates import load_gate
from bamgate.record.collect import collect
from bamgate.record.sealed import read_json, write_sealed
from bamgate.record.storage import sole_writer
from bamgate.study.add_seeds import Added, add_seeds
from bamgate.study.catalogue import find_study
from bamgate.study.expand import expand
from bamgate.study.folder import open_study
from bamgate.study.plan import plan
from bamgate.study.runner import Options, located
from bamgate.study.study import read_study
from bamgate.study.trainer import Orders, each_cell
from bamgate.study.verify import verify

GIVEN = Options(jobs=1)
TWO_CONTEXTS = '[axes]\ndilation = [2, 4]\n[arms.plain]\nattention = "none"\n'


def stored(out: Path) -> dict[str, Any]:
    content = read_json(out / "study.json")
    assert content is not None
    return content


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A study with the seeds 0 and 1, nothing trained."""
    opened(tmp_path / "out", study_file(tmp_path, more=TWO_CONTEXTS))
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([0], "0"),
        ([0, 1, 2, 7], "0-2,7"),
        ([3, 1, 2, 0], "3,1-2,0"),
        ([], ""),
        (range(10_001), "0-9999,10000"),
    ],
)
def test_seeds_as_a_text(seeds: list[int], text: str) -> None:
    assert format_seeds(seeds) == text
    assert not text or parse_seeds(text) == list(seeds)


def test_the_next_seeds_and_their_cells_are_appended(tmp_path: Path, out: Path) -> None:
    """The same study.json as a file with all the seeds makes, but for the note of what was added."""
    assert add_seeds(out, 1) == Added(seeds="2", cells_before=10, cells=15)
    assert add_seeds(out, 2) == Added(seeds="3-4", cells_before=15, cells=25)
    opened(tmp_path / "at-once", study_file(tmp_path, seeds="0-4", more=TWO_CONTEXTS))
    found = stored(out)
    assert found.pop("added_seeds") == [2, 3, 4]
    assert found == stored(tmp_path / "at-once")
    assert verify(out) == []


def test_the_next_seeds_follow_the_largest(tmp_path: Path) -> None:
    opened(tmp_path / "out", study_file(tmp_path, seeds="7,3"))
    add_seeds(tmp_path / "out", 2)
    assert (stored(tmp_path / "out")["study"]["seeds"], stored(tmp_path / "out")["added_seeds"]) == ("7,3,8-9", [8, 9])
    opened(tmp_path / "large", study_file(tmp_path, seeds="2147483646"))
    add_seeds(tmp_path / "large", 1)
    expected = "1 seed cannot be added above 2147483647: the largest possible is 2147483647"
    assert message(UsageError, add_seeds, tmp_path / "large", 1) == expected


def test_a_study_with_added_seeds_is_run_as_one_that_had_them(tmp_path: Path) -> None:
    one = trained(tmp_path / "out", study_file(tmp_path, gates='"sigmoid"', seeds="0"))
    add_seeds(one, 1)
    for _ in each_cell(one, Execution(), Orders(skipped=set, tell=lambda line: None)):
        pass
    both = trained(tmp_path / "both", study_file(tmp_path, gates='"sigmoid"', seeds="0-1"))
    collect(one)
    assert verify(one) == []
    found, expected = content(one), content(both)
    assert found.pop("study.json") != expected.pop("study.json")
    assert found == expected


def test_the_file_goes_on_with_the_seeds_that_were_added(tmp_path: Path, out: Path) -> None:
    add_seeds(out, 2)
    before = stored(out)
    file = str(study_file(tmp_path, more=TWO_CONTEXTS))
    given = replace(GIVEN, out=out)
    prepare(file, given)
    assert stored(out) == before
    facts = plan(file, out, measured=False)
    assert (facts["seeds"], facts["cells"]) == ([0, 1, 2, 3], 20)
    assert plan(file, tmp_path / "new", measured=False)["seeds"] == [0, 1]
    study_file(tmp_path, seeds="0-1,9", more=TWO_CONTEXTS)
    prepare(file, given)
    assert (stored(out)["study"]["seeds"], stored(out)["added_seeds"]) == ("0-1,9,2-3", [2, 3])
    study_file(tmp_path, seeds="0-9", more=TWO_CONTEXTS)
    prepare(file, given)
    assert (stored(out)["study"]["seeds"], stored(out)["added_seeds"]) == ("0-9", [2, 3])
    assert len({row["cell"] for row in stored(out)["cells"]}) == 50


@pytest.mark.parametrize(("seeds", "now"), [("1", "1"), ("0,2-3", "0"), ("2-3", "none of them")])
def test_a_file_that_takes_its_own_seeds_away_is_refused(tmp_path: Path, out: Path, seeds: str, now: str) -> None:
    add_seeds(out, 2)
    before = stored(out)
    file = str(study_file(tmp_path, seeds=seeds, more=TWO_CONTEXTS))
    expected = f"{out} has the seeds 0-1, the study now says {now}: seeds may be added, not taken away"
    assert message(UsageError, prepare, file, replace(GIVEN, out=out)) == expected
    assert stored(out) == before


def test_seeds_that_are_added_between_two_looks(tmp_path: Path, out: Path) -> None:
    study = read_study(study_file(tmp_path, more=TWO_CONTEXTS))
    cells = expand(study)
    add_seeds(out, 1)
    before = stored(out)
    expected = f"seeds were added to {out} meanwhile; the same command takes them up"
    assert message(TryAgainError, open_study, out, study, cells) == expected
    assert stored(out) == before


def test_a_folder_stands_for_its_study(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_seeds(out, 1)
    before = stored(out)
    study, folder = located(str(out), None)
    assert (study.seeds, folder) == ("0-2", out)
    assert prepare(str(out), GIVEN).out == out
    assert stored(out) == before
    assert located(str(out), tmp_path / "elsewhere")[1] == tmp_path / "elsewhere"
    monkeypatch.chdir(tmp_path)
    out.rename("quick")
    assert find_study("quick").name == "quick"  # the catalogue's
    assert find_study("./quick").name == "tiny"
    assert "did you mean" in message(UsageError, find_study, "./quik")


@pytest.mark.parametrize("number", [0, -3, 10_001])
def test_a_number_that_cannot_be_added(out: Path, number: int) -> None:
    before = stored(out)
    expected = f"{number} seeds cannot be added (allowed: 1 to 10,000 at a time)"
    assert message(UsageError, add_seeds, out, number) == expected
    assert stored(out) == before


def test_where_no_seeds_can_be_added(tmp_path: Path, out: Path) -> None:
    (tmp_path / "other").mkdir()
    expected = f"{tmp_path / 'other'} is no folder of a study: it has no study.json"
    assert message(UsageError, add_seeds, tmp_path / "other", 1) == expected
    assert not list((tmp_path / "other").iterdir())
    before = stored(out)
    folder = out / "cells" / before["cells"][-1]["cell"]
    folder.mkdir(parents=True)
    with sole_writer(folder):
        expected = f"a process is at work on {folder}; add seeds when the study has ended or was stopped"
        assert message(BusyError, add_seeds, out, 1) == expected
    assert stored(out) == before
    other = {**before, "cells": [{**row, "cell": "f" * 16} for row in before["cells"]]}
    write_sealed(out / "study.json", other)
    expected = f"{out} was begun by another version of bamgate, whose cells were others; go on with that one"
    assert message(UsageError, add_seeds, out, 1) == expected
    assert stored(out) == other


def test_a_gate_that_is_code(tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text("def steep(z):\n    return (3 * z).tanh()\n")
    opened(tmp_path / "out", study_file(tmp_path, more=f'[arms.steep]\ngate = "{code}:steep"\n'))
    with pytest.raises(UsageError, match="is code, and none of it was run; pass --allow-code"):
        add(tmp_path / "out", 1, None, code=False)
    add(tmp_path / "out", 1, None, code=True)
    before = stored(tmp_path / "out")
    code.write_text("def steep(z):\n    return (2 * z).tanh()\n")
    expected = f"gate 'mine.py:steep' is not the function it was when {tmp_path / 'out'} was begun"
    assert message(UsageError, add_seeds, tmp_path / "out", 1, None, load_gate) == expected
    with pytest.raises(UsageError, match=f"{code}:steep' has changed: .* none of it was run"):
        add(tmp_path / "out", 1, None, code=True)
    assert stored(tmp_path / "out") == before


def test_the_command_says_what_it_does_to_p_values(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(out, 2, None, code=False)
    told = capsys.readouterr()
    assert told.out == f"{out}: seeds 2-3 added, 10 cells more, 20 in all\n"
    warning, following = told.err.splitlines()
    assert warning.startswith("Seeds added because of the results make p values too small: ")
    assert following == f"Next: bamgate study run {out}"
    add(out, 999, None, code=False)
    assert capsys.readouterr().err.splitlines()[-1] == f"Next: bamgate study run {out} --yes"


@pytest.mark.slow
def test_the_command_line(out: Path) -> None:
    """Below 0 is answered as a number, not as an option."""
    refused = bamgate("study", "add-seeds", str(out), "-3")
    assert refused.returncode == 2
    assert refused.stderr == "bamgate: -3 seeds cannot be added (allowed: 1 to 10,000 at a time)\n"
    done = bamgate("study", "add-seeds", str(out), "1")
    assert (done.returncode, done.stdout) == (0, f"{out}: seeds 2 added, 5 cells more, 15 in all\n")


def test_parts_to_which_seeds_were_added_are_joined(tmp_path: Path) -> None:
    for name, number in (("a", 1), ("b", 2), ("c", 0)):
        opened(tmp_path / name, study_file(tmp_path))
        if number:
            add_seeds(tmp_path / name, number)
    merge_parts([tmp_path / name for name in "cab"], tmp_path / "out", keep_first=False)
    found = stored(tmp_path / "out")
    assert (found["study"]["seeds"], found["added_seeds"]) == ("0-3", [2, 3])
    assert found == stored(tmp_path / "b")
    assert list(found) == list(stored(tmp_path / "b"))
    prepare(str(study_file(tmp_path)), replace(GIVEN, out=tmp_path / "out"))
    for name, seeds in (("d", "7,3"), ("e", "3")):
        opened(tmp_path / name, study_file(tmp_path, seeds=seeds))
    before = stored(tmp_path / "d")
    merge_parts([tmp_path / "e"], tmp_path / "d", keep_first=False)
    assert stored(tmp_path / "d") == before


def test_added_seeds_that_are_not_there_are_damage(out: Path) -> None:
    content = {**stored(out), "added_seeds": [5]}
    write_sealed(out / "study.json", content)
    problem = "the cells, or the seeds that were added, are not those of the seeds 0-1"
    assert verify(out) == [f"{out / 'study.json'}: {problem}"]


def raised(action: Callable[[], None]) -> BaseException | None:
    try:
        action()
    except (KilledError, TryAgainError) as error:
        return error
    return None


def test_whatever_interrupts_it_the_same_command_adds_the_seeds_once(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And whoever is told that it failed is told the truth."""
    for number in range(1, 1000):
        folder = copied(out, tmp_path / str(number))
        before, error = stored(folder), KilledError() if number % 2 else OSError(errno.EIO, "Input/output error")
        capsys.readouterr()
        with at_operation(folder, number, raising(error)) as hook:
            told = raised(lambda folder=folder: add(folder, 2, None, code=False))  # type: ignore[misc]
        if isinstance(told, TryAgainError):
            assert str(told).endswith("; no seeds were added")
            assert stored(folder) == before
        said = capsys.readouterr().out
        if hook.seen < number:
            break
        if "seeds 2-3 added" not in said:
            add(folder, 2, None, code=False)
        assert stored(folder)["added_seeds"] == [2, 3]
        assert stored(folder)["study"]["seeds"] == "0-3"
    assert 4 < number < 100


def test_seeds_that_were_written_but_not_told_of_are_not_added_again(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(added: Added) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        add_seeds(out, 2, tell=killed)
    add(out, 2, None, code=False)
    assert capsys.readouterr().out == (
        f"{out}: seeds 2-3 are there already: the same command added them and was interrupted. Nothing was added now; "
        "repeat it to add more\n"
    )
    assert stored(out)["added_seeds"] == [2, 3]
    add(out, 2, None, code=False)
    assert stored(out)["added_seeds"] == [2, 3, 4, 5]
    assert verify(out) == []


def test_a_folder_that_cannot_be_synced_has_the_seeds_and_says_so(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last thing that can fail: the new file is in its place already."""
    calls = iter(range(100))
    real = os.fsync

    def failing(descriptor: int) -> None:
        if next(calls) == 3:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    add(out, 1, None, code=False)
    assert next(calls) > 3
    assert "seeds 2 added" in capsys.readouterr().out
    assert stored(out)["added_seeds"] == [2]
