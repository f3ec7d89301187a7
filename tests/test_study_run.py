"""`bamgate study run`: what it leaves, how it goes on, what it refuses."""

import json
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import Started, bamgate, without_times
from record_samples import configuration, message
from study_samples import cells_of, opened, study_file, trained

from bamgate.cli.study_run import prepared as prepare
from bamgate.errors import UsageError
from bamgate.gates import load_gate
from bamgate.record.collect import collect
from bamgate.record.runlog import check_design, open_cell
from bamgate.record.tables import RUNS, read_rows
from bamgate.study.code import require_code
from bamgate.study.expand import expand
from bamgate.study.folder import check_study, open_study
from bamgate.study.runner import Options
from bamgate.study.study import gates_of_code, read_study

GIVEN = Options()
DEADLY = """
import os, signal, sys

def deadly(z):
    if "work" in sys.argv and z.dim() == 4 and z.shape[0] == 32:
        os.kill(os.getpid(), signal.SIGKILL)
    return z.tanh()
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_file(tmp_path_factory.mktemp("file"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    return trained(tmp_path_factory.mktemp("undisturbed") / "study", file)


@pytest.mark.slow
def test_a_study_is_run_by_processes_as_it_is_by_one(tmp_path: Path, file: Path, undisturbed: Path) -> None:
    out = tmp_path / "out"
    finished = bamgate("study", "run", str(file), "--out", str(out))
    assert finished.returncode == 0, finished.stderr
    lines = [line for line in finished.stderr.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == [f"[{k}/4" for k in (1, 2, 3, 4)]
    rows = {(row["gate"], row["seed"]): row for row in read_rows(RUNS, out / "runs.csv")}
    accuracy = {key: f"{100 * row['correct'] / row['total']:.2f}" for key, row in rows.items()}
    assert sorted(line.split("] ")[1] for line in lines) == sorted(
        f"{gate} seed {seed}  {value} %" for (gate, seed), value in accuracy.items()
    )
    assert {(row["study"], row["attempt"]) for row in rows.values()} == {("tiny", 1)}
    tanh = next(line.split() for line in finished.stdout.splitlines() if line.startswith("tanh "))
    assert tanh[1] == tanh[-1] == "2"
    assert f"Files: {out}/runs.csv, epochs.csv, gates.csv" in finished.stdout
    assert without_times(out) == without_times(undisturbed)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("cells/*/*") if path.name != ".lock"}
    again = bamgate("study", "run", str(file), "--out", str(out))
    assert again.returncode == 0, again.stderr
    assert again.stdout == finished.stdout
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_the_tables_do_not_depend_on_the_order_of_the_cells(tmp_path: Path, file: Path, undisturbed: Path) -> None:
    backwards = trained(tmp_path, file, cells_of(read_study(file))[::-1])
    assert without_times(backwards) == without_times(undisturbed)


def test_seeds_are_added_to_what_is_there(tmp_path: Path, undisturbed: Path) -> None:
    one = trained(tmp_path / "out", study_file(tmp_path, seeds="0"))
    before = {path: path.stat().st_mtime_ns for path in one.glob("cells/*/result.json")}
    both = trained(tmp_path / "out", study_file(tmp_path, seeds="0-1"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found, expected = without_times(both), without_times(undisturbed)
    assert found.pop("study.json") != expected.pop("study.json")
    assert found == expected
    content = json.loads((both / "study.json").read_text())
    assert (content["study"]["seeds"], len(content["cells"])) == ("0-1", 4)
    assert content["added_seeds"] == [1], "a result could be looked at before"
    path = study_file(tmp_path, seeds="0-1")
    opened(both, path)
    assert json.loads((both / "study.json").read_text())["added_seeds"] == [1]
    path.write_text(path.read_text().replace('expected = "e"', 'expected = "as I always said"'))
    assert message(UsageError, opened, both, path) == (
        f"{both} was begun with expected = 'e', and runs have ended since; put it back as it was or choose "
        "another --out"
    )


def test_seeds_that_a_file_gets_after_runs_have_ended_are_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = trained(tmp_path / "out", study_file(tmp_path, seeds="0"), [])
    file = str(study_file(tmp_path, seeds="0-1"))
    prepare(file, replace(GIVEN, out=out))
    assert "added_seeds" not in json.loads((out / "study.json").read_text()), "nothing had ended"
    assert capfd.readouterr().err == ""
    (out / "cells" / "x").mkdir(parents=True)
    (out / "cells" / "x" / "result.json").write_text("{}")
    prepare(str(study_file(tmp_path, seeds="0-3")), replace(GIVEN, out=out))
    assert json.loads((out / "study.json").read_text())["added_seeds"] == [2, 3]
    assert "seeds 2-3 are new, and runs had ended. Seeds added because of the results" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_asked_to_stop(tmp_path: Path, file: Path, undisturbed: Path, number: signal.Signals, code: int) -> None:
    out = tmp_path / "out"
    process = Started("study", "run", str(file), "--out", str(out), "--quiet", "--jobs", "1")
    deadline = time.monotonic() + 60
    while not list(out.glob("cells/*/epochs.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(60)
    assert process.returncode == code, errors
    assert output == ""
    pattern = (
        rf"{number.name}: \d of 4 cells are finished, what was begun is saved. The same command goes on from there"
    )
    assert re.match(pattern, errors)
    assert not list(out.glob("cells/*/result.json")) or len(list(out.glob("cells/*/result.json"))) < 4
    assert without_times(trained(out, file)) == without_times(undisturbed)


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_is_set_aside_and_the_others_are_finished(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DEADLY)
    file = study_file(tmp_path, gates='"sigmoid"', seeds="0", more='[arms.deadly]\ngate = "mine.py:deadly"\n')
    words = ["study", "run", str(file), "--out", "out", "--jobs", "1"]
    refused = bamgate(*words, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == (
        "bamgate: study tiny: gate 'mine.py:deadly' is code, and none of it was run; "
        "pass --allow-code if you trust it, or write it as a formula (expr:...)\n"
    )
    finished = bamgate(*words, "--allow-code", cwd=tmp_path)
    assert finished.returncode == 75, finished.stderr
    died = [line for line in finished.stderr.splitlines() if "its trainer process crashed" in line]
    how = "deadly seed 0: its trainer process crashed (SIGKILL) at epoch 0"
    assert died[:3] == [f"{how}, {k} of 3 times" for k in (1, 2, 3)]
    assert died[3].startswith("skipped: deadly seed 0: its trainer process crashed 3 times (SIGKILL); the same")
    (row,) = read_rows(RUNS, tmp_path / "out" / "runs.csv")
    assert row["gate"] == "sigmoid"
    (deadly,) = [path for path in (tmp_path / "out").glob("cells/*") if not (path / "result.json").exists()]
    assert len((deadly / "attempts.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.slow
def test_what_a_worker_refuses_ends_the_study_in_one_line(tmp_path: Path) -> None:
    file = study_file(tmp_path)
    file.write_text(file.read_text().replace('dataset = "digits"', 'dataset = "cifar10"'))
    words = ["study", "run", str(file), "--data-dir", str(tmp_path), "--out", str(tmp_path / "out"), "--jobs", "1"]
    finished = bamgate(*words)
    assert finished.returncode == 4
    assert finished.stderr.startswith("bamgate: ")
    assert "is missing; `bamgate data get cifar10` downloads it" in finished.stderr
    assert finished.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_diverged_seed_is_exit_code_3_and_is_not_run_again(tmp_path: Path) -> None:
    file = study_file(tmp_path, gates='"sigmoid", "expr:8*z**7"', seeds="0", more="lr = 100\n")
    out = trained(tmp_path / "out", file)
    status = {row["gate"]: row["status"] for row in collect(out)}
    assert status["expr:8*z**7"] == "diverged"
    times = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/result.json")}
    finished = bamgate("study", "run", str(file), "--out", str(out))
    assert finished.returncode == 3, finished.stderr
    assert "diverged: expr:8*z**7 seed 0 (counted as it ended)" in finished.stdout
    assert {path: path.stat().st_mtime_ns for path in times} == times


def refusal(out: Path, path: Path) -> str:
    study = read_study(path)
    return message(UsageError, open_study, out, study, expand(study, load=load_gate))


def test_a_folder_of_another_study_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    opened(out, study_file(tmp_path))
    before = (out / "study.json").read_bytes()
    expected = f"{out} belongs to another study: settings.epochs is 2 there and 3 here; choose another --out"
    file = study_file(tmp_path)
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 3"))
    assert refusal(out, file) == expected
    study = read_study(file)
    assert message(UsageError, check_study, out, study, expand(study, load=load_gate)) == expected
    fewer = study_file(tmp_path, seeds="0")
    expected = f"{out} has the seeds 0-1, the study now says 0: seeds may be added, not taken away"
    assert refusal(out, fewer) == expected
    assert (out / "study.json").read_bytes() == before


def test_a_folder_of_runs_and_foreign_tables_are_refused(tmp_path: Path) -> None:
    open_cell(tmp_path / "runs", configuration())
    expected = f"{tmp_path / 'runs'} is a folder of `bamgate run`, not of a study; choose another --out"
    assert refusal(tmp_path / "runs", study_file(tmp_path)) == expected
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "runs.csv").write_text("mine")
    assert "holds a runs.csv but no study.json" in refusal(tmp_path / "mine", study_file(tmp_path))
    assert (tmp_path / "mine" / "runs.csv").read_text() == "mine"


def test_bamgate_run_stays_out_of_a_study(tmp_path: Path) -> None:
    opened(tmp_path / "out", study_file(tmp_path))
    out = tmp_path / "out"
    expected = f"{out} is the folder of a study (bamgate study status {out}); choose another --out"
    assert message(UsageError, check_design, out, configuration()) == expected
    assert message(UsageError, open_cell, out, configuration()) == expected


def test_a_gate_that_is_another_function_now_is_refused(tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text("def steep(z):\n    return (3 * z).tanh()\n")
    file = study_file(tmp_path, more=f'[arms.steep]\ngate = "{code}:steep"\n')
    opened(tmp_path / "out", file)
    opened(tmp_path / "out", file)
    code.write_text("def steep(z):\n    return (2 * z).tanh()\n")
    assert refusal(tmp_path / "out", file).startswith("gate 'mine.py:steep' is not the function it was when")


def test_gates_that_are_code_want_to_be_allowed(tmp_path: Path) -> None:
    more = '[axes]\ngate = ["my.module:gate", "expr:clip(z, -1, 1)"]\n[arms.a]\nlr = 0.1\n[arms.b]\nlr = 0.2\n'
    file = study_file(tmp_path, gates="", more=more)
    file.write_text(file.read_text().replace('reference = "sigmoid"', 'reference = "a"'))
    study = read_study(file)
    assert gates_of_code(study) == ["my.module:gate"]
    assert "'my.module:gate' is code" in message(UsageError, require_code, study, False)
    require_code(study, True)
    require_code(read_study(study_file(tmp_path)), False)


def test_quiet_and_verbose_exclude_each_other(tmp_path: Path) -> None:
    shown = bamgate("study", "run", str(study_file(tmp_path)), "--quiet", "--verbose", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (
        2,
        "bamgate: --quiet and --verbose exclude each other; give one of them\n",
    )
    assert not (tmp_path / "runs").exists()


def test_what_is_wrong_with_the_options(tmp_path: Path) -> None:
    many = str(study_file(tmp_path, seeds="0-1000"))
    assert (
        message(UsageError, prepare, many, GIVEN)
        == "study tiny has 2,002 cells; pass --yes (many=True in Python) if that is meant"
    )
    began = time.monotonic()
    file = study_file(tmp_path, seeds="0-9999", more=f"[axes]\nreduction = {list(range(1, 129))}\n")
    expected = "study tiny has 2,560,000 cells; pass --yes (many=True in Python) if that is meant"
    assert message(UsageError, prepare, str(file), GIVEN) == expected
    wide = f"[axes]\nreduction = {list(range(1, 1001))}\nlr = {[k / 1000 for k in range(1, 1001)]}\n"
    expected = "study tiny has at least 10,000 cells; pass --yes (many=True in Python) if that is meant"
    assert message(UsageError, prepare, str(study_file(tmp_path, seeds="0", more=wide)), GIVEN) == expected
    assert time.monotonic() - began < 10, "it counts and expands nothing"
    few = str(study_file(tmp_path))
    for jobs in ("0", "many", "-1"):
        expected = f"jobs {jobs!r} cannot be read (allowed: auto, or a number from 1 on)"
        assert message(UsageError, prepare, few, replace(GIVEN, jobs=jobs)) == expected
    assert "workers would have no effect" in message(UsageError, prepare, few, replace(GIVEN, decoders=2))
    out = replace(GIVEN, out=Path(few))
    assert message(UsageError, prepare, few, out) == f"--out {few!r} is a file; name a folder"
    dots = str(Path(few).rename(tmp_path / "...toml"))
    assert "would make a study called '..'" in message(UsageError, prepare, dots, GIVEN)
    assert "did you mean 'quick'?" in message(UsageError, prepare, "quik", GIVEN)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
