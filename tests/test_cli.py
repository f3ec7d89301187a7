"""The command line as a user meets it: output, errors, exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import SMALL, bamgate
from record_samples import resealed

from bamgate.cli.app import main
from bamgate.cli.run import next_command
from bamgate.record.tables import RUNS, read_rows


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line of a command that is refused with exit code 2; in this process, for speed."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["bamgate", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        assert end.value.code == 2
        assert output.out == ""
        assert output.err.count("\n") == 1, output.err
        return output.err.strip()

    return call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "resnet19"], "bamgate: unknown model 'resnet19'; did you mean 'resnet18'? (allowed: "),
        (["--dataset", "cifar-100"], "bamgate: unknown dataset 'cifar-100'; did you mean 'cifar100'? (allowed: "),
        (["--layout", "papper"], "bamgate: unknown layout 'papper'; did you mean 'paper'? (allowed: paper, counted, "),
        (
            ["--recipe", "cifr"],
            "bamgate: unknown recipe 'cifr'; did you mean 'cifar'? (allowed: quick, cifar, imagenet)",
        ),
        (["--gate", "expr:z.real"], "bamgate: formula 'z.real': 'z.real' is not allowed (only numbers, z, pi, e, "),
        (["--gate", "expr:" + "z+" * 5000 + "z"], "has 10001 characters (at most 300)"),
        (["--gate", "tanh,tanh"], "bamgate: gate 'tanh,tanh' names a gate twice"),
        (["--gate", "tanh,"], "bamgate: gate 'tanh,' contains an empty name; remove the extra comma"),
        (["--seeds", "4-0"], "bamgate: seeds '4-0': a range goes from a lower to a higher seed and has at most 10,000"),
        (["--seeds", "one"], "bamgate: seeds 'one' cannot be read (allowed: 0, 0-4 or 0,3,7-9)"),
        (["--lr", "-1"], "bamgate: lr must be above 0, got -1.0"),
        (["--lr", "nan"], "bamgate: lr must be above 0, got nan"),
        (["--epochs", "0"], "bamgate: epochs must be at least 1, got 0"),
        (
            ["--milestones", "a"],
            "bamgate: milestones 'a' cannot be read (allowed: numbers separated by commas, as 60,120)",
        ),
        (
            ["--attention", "se", "--dilation", "2"],
            "bamgate: dilation=2 would have no effect: attention 'se' has no such",
        ),
        (
            ["--attention", "none", "--gate", "tanh"],
            "bamgate: gate='tanh' would have no effect: attention 'none' has no",
        ),
        (
            ["--attention", "extra-block", "--gate", "tanh"],
            "bamgate: gate='tanh' would have no effect: attention 'extra-block' has no",
        ),
        (["--config", "nowhere.toml"], "bamgate: there is no configuration file 'nowhere.toml'"),
        (["--attention", "none", "--attention-weight-decay", "0.1"], "attention_weight_decay would have no effect: "),
        (["--gate", "./mine.py"], "gate './mine.py': name the function or class in it, as in ./mine.py:NAME"),
        (["--batch-size", "100000", "--dry-run"], "batch_size 100000 is more than the 3891 training images"),
        (["--train-limit", "4000"], "train_limit 4000 is more than the 3891 training images of cluttered-digits"),
        (["--workers", "2"], "bamgate: workers would have no effect: cluttered-digits is in memory; leave it out"),
        (["--image-size", "64"], "image_size would have no effect: cluttered-digits images are 20x20; leave it out"),
        (["--device", "cpu:1"], "bamgate: device 'cpu:1' is not supported (allowed: cpu, cuda, cuda:N)"),
        (["--device", "cuda:9"], "bamgate: device 'cuda:9': this machine has "),
        (
            ["--batch-size", "5000"],
            "bamgate: batch_size 5000 is more than the 3891 training images; choose a smaller one",
        ),
    ],
    ids=lambda value: "-".join(value)[:30] if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    line = refused("run", *arguments, "--out", str(tmp_path / "out"), "--quiet")
    assert message in line
    assert not list((tmp_path).rglob("*.csv"))


def test_an_unknown_command_and_option_have_a_nearest_guess() -> None:
    for arguments, guess in ((["rnu"], "run"), (["run", "--gaet", "tanh"], "--gate")):
        finished = bamgate(*arguments)
        assert finished.returncode == 2
        assert f"Did you mean '{guess}'?" in finished.stderr or guess in finished.stderr


def test_a_toml_file_is_named_with_line_and_nearest_key(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('dataset = "digits"\n\n[attention]\ngat = "tanh"\n')
    line = refused("run", "--config", str(path))
    assert line.startswith(
        f"bamgate: {path}, line 4: unknown key 'gat' in [attention]; did you mean 'gate'? (allowed: "
    )


def test_missing_data_is_exit_code_4(tmp_path: Path) -> None:
    finished = bamgate("run", "--dataset", "cifar100", "--data-dir", str(tmp_path), "--out", str(tmp_path / "out"))
    assert finished.returncode == 4
    assert f"{tmp_path}/cifar-100-python/train is missing; `bamgate data get cifar100` downloads it" in finished.stderr
    assert not list((tmp_path / "out").rglob("*"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("study")
    return out, bamgate("run", "--gate", "sigmoid,tanh", "--seeds", "0-1", *SMALL, "--out", str(out))


def test_a_small_study_ends_with_tables_and_the_next_command(
    study: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, finished = study
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    runs = {(row["gate"], row["seed"]): row for row in read_rows(RUNS, out / "runs.csv")}
    assert set(runs) == {(gate, seed) for gate in ("sigmoid", "tanh") for seed in (0, 1)}
    tanh = next(line.split() for line in lines if line.startswith("tanh "))
    accuracy = [100 * runs["tanh", seed]["correct"] / runs["tanh", seed]["total"] for seed in (0, 1)]
    assert tanh[1:3] == [f"{value:.2f}" for value in accuracy]
    assert tanh[3:5] == ["2", f"{sum(accuracy) / 2:.2f}"]
    assert f"Files: {out}/runs.csv, epochs.csv, gates.csv" in finished.stdout
    epochs = [line for line in finished.stderr.splitlines() if "  epoch " in line]
    assert len(epochs) == 2 * 2 * 3
    following = finished.stderr.splitlines()[-1]
    assert following.startswith("Next: bamgate run --gate sigmoid,tanh ")
    planned = bamgate(*following.removeprefix("Next: bamgate ").split(), "--dry-run")
    assert planned.returncode == 0, planned.stderr


def test_json_is_the_result_and_nothing_else(study: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, _ = study
    again = bamgate("run", "--gate", "sigmoid,tanh", "--seeds", "0-1", *SMALL, "--out", str(out), "--json")
    content = json.loads(again.stdout)
    stored = {row["cell"]: row for row in read_rows(RUNS, out / "runs.csv")}
    assert {cell["cell"] for cell in content["cells"]} == set(stored)
    for cell in content["cells"]:
        assert cell["correct"] == stored[cell["cell"]]["correct"]


def test_later_seeds_join_the_same_folder(study: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    import shutil

    out = shutil.copytree(study[0], tmp_path / "grown")
    before = (out / "runs.csv").read_text().splitlines()
    finished = bamgate("run", "--gate", "softsign", "--seeds", "0", *SMALL, "--out", str(out), "--quiet")
    assert finished.returncode == 0, finished.stderr
    after = (out / "runs.csv").read_text().splitlines()
    assert set(before) < set(after)
    assert len(after) == len(before) + 1


def test_a_dry_run_writes_nothing_and_its_output_is_a_configuration_file(tmp_path: Path) -> None:
    words = ["run", "--gate", "tanh,expr:clip(z,-1,1)", "--seeds", "0-2", "--lr", "0.3", "--dry-run"]
    shown = bamgate(*words, "--out", str(tmp_path / "out"))
    assert shown.returncode == 0, shown.stderr
    assert not (tmp_path / "out").exists()
    facts = json.loads(bamgate(*words, "--json").stdout)
    path = tmp_path / "again.toml"
    path.write_text(shown.stdout)
    again = json.loads(bamgate("run", "--config", str(path), "--dry-run", "--json").stdout)
    assert (again["config"], again["gates"], again["seeds"]) == (facts["config"], facts["gates"], [0, 1, 2])
    assert facts["cells_missing"] == 6
    assert facts["parameters"] == 78273
    assert facts["steps_a_cell"] == 3891 // 64 * 4
    assert facts["seconds_a_cell"] > 0


@pytest.mark.parametrize(
    ("settings", "gates", "given", "expected"),
    [
        ({"gate": "tanh"}, ["tanh"], {}, "bamgate run --gate tanh,sigmoid --seeds 0-2"),
        ({}, ["sigmoid"], {"threads": 2}, "bamgate run --gate sigmoid,tanh --seeds 0-2 --threads 2"),
        (
            {"gate": "a,b"},
            ["a", "b"],
            {"out": Path("x y"), "device": "cuda", "data_dir": Path("d")},
            "bamgate run --gate a,b --seeds 0-4 --out 'x y' --data-dir d --device cuda",
        ),
        (
            {"attention": "none", "lr": 0.3},
            ["none"],
            {"out": Path("plain")},
            "bamgate run --attention bam --lr 0.3 --gate sigmoid,tanh",
        ),
    ],
)
def test_the_next_command_is_one_that_works(
    settings: dict[str, Any], gates: list[str], given: dict[str, Any], expected: str
) -> None:
    standing = {"out": None, "data_dir": None, "device": "cpu", "threads": 1}
    results = [{"gate": gate, "seed": 0} for gate in gates]
    assert next_command(results, settings, standing | given) == expected


def test_cells_that_were_executed_differently_are_not_compared(tmp_path: Path) -> None:
    words = ["run", "--gate", "sigmoid,tanh", *SMALL, "--epochs", "1", "--out", str(tmp_path), "--quiet"]
    assert bamgate(*words).returncode == 0
    # As if one of them had been given two threads.
    path = next(tmp_path.glob("cells/*/environment.json"))
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'))
    resealed(path.parent)
    finished = bamgate(*words)
    assert finished.returncode == 0, finished.stderr
    assert "not compared: the cells were executed in different ways (threads 1, 2)" in finished.stdout
    assert "minus" not in finished.stdout


def test_a_gate_from_a_file_is_trained_and_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def steep(z):\n    return (3 * z).tanh()\n")
    finished = bamgate("run", "--gate", f"{path}:steep", *SMALL, "--out", str(tmp_path / "out"), "--quiet")
    assert finished.returncode == 0, finished.stderr
    (row,) = read_rows(RUNS, tmp_path / "out" / "runs.csv")
    assert row["gate"] == "mine.py:steep"
    path.write_text("def steep(z):\n    return (2 * z).tanh()\n")
    edited = bamgate("run", "--gate", f"{path}:steep", *SMALL, "--out", str(tmp_path / "out"), "--quiet")
    assert edited.returncode == 2
    assert "gate 'mine.py:steep' is not the function it was" in edited.stderr


def test_a_gate_without_a_gradient_fails_its_check(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def stuck(z):\n    return z.detach().tanh()\n")
    finished = bamgate("gates", "check", f"{path}:stuck")
    assert finished.returncode == 3
    assert "FAIL a gradient where the value changes" in finished.stdout


def test_two_files_of_one_name_are_told_apart(tmp_path: Path, refused: Callable[..., str]) -> None:
    for folder, body in (("a", "z.tanh()"), ("b", "z.sigmoid()")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "g.py").write_text(f"def g(z):\n    return {body}\n")
    line = refused("run", "--gate", f"{tmp_path}/a/g.py:g,{tmp_path}/b/g.py:g")
    assert line == "bamgate: two different gates are called 'g.py:g'; rename one of the files"


def test_a_dry_run_refuses_the_folder_that_the_run_would_refuse(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "runs.csv").write_text("mine")
    assert "is no folder of runs" in refused("run", "--dry-run", "--out", str(tmp_path))


def test_a_diverged_cell_is_exit_code_3(tmp_path: Path) -> None:
    finished = bamgate("run", "--gate", "expr:8*z**7", *SMALL, "--lr", "100", "--out", str(tmp_path), "--quiet")
    assert finished.returncode == 3, finished.stderr
    assert "diverged: expr:8*z**7 seed 0 (counted as it ended)" in finished.stdout
    assert [row["status"] for row in read_rows(RUNS, tmp_path / "runs.csv")] == ["diverged"]


def test_gates_as_json_and_as_a_picture(tmp_path: Path) -> None:
    facts = {row["name"]: row for row in json.loads(bamgate("gates", "list", "--json").stdout)}
    assert len(facts) == 15
    assert facts["sigmoid"]["form"] == {"c": 1.5, "A": 1 / 3, "k": 0.5}
    assert facts["sigmoid"]["effect"] == "only amplifies"
    assert facts["tanh"]["effect"] == "attenuates and amplifies"
    drawn = [bamgate("gates", "plot", "sigmoid", "tanh", "--out", str(tmp_path / f"{n}.svg")) for n in ("a", "b")]
    assert [one.returncode for one in drawn] == [0, 0], drawn
    first, again = ((tmp_path / f"{n}.svg").read_text() for n in ("a", "b"))
    assert len(first) > 10_000
    assert first.replace("a-", "b-") == again.replace("a-", "b-")
    refused = bamgate("gates", "plot", "tanh", "--out", str(tmp_path / "curves.gif"))
    assert refused.returncode == 2


def test_models_are_listed_with_the_papers_counts() -> None:
    listed = json.loads(bamgate("models", "resnet50", "preresnet110", "--json").stdout)
    rows = {row["network"]: row for row in listed if row["images"] == "CIFAR-100"}
    millions = {
        n: [f"{row[c]['parameters'] / 1e6:.2f}" for c in ("plain", "SE", "BAM", "BAM-C")] for n, row in rows.items()
    }
    assert millions == {
        "resnet50": ["23.71", "26.24", "24.07", "28.98"],
        "preresnet110": ["1.73", "1.93", "1.73", "2.17"],
    }


def test_doctor_as_json() -> None:
    facts = json.loads(bamgate("doctor", "--json").stdout)
    assert facts["problems"] == []
    assert facts["torch"].startswith("2.")


def test_a_pipe_that_closes_early_is_no_error() -> None:
    command = f"{sys.executable} -m bamgate gates list --json | head -1"
    finished = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert finished.stdout == "[\n"
    assert "Traceback" not in finished.stderr
