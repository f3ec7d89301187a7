"""`bamgate report` and `bamgate reproduce` as users type them."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csv_samples import edit, made_study
from helpers import bamgate

NOISE = np.random.default_rng(0).normal(0, 30, 1000)
ARMS = ("sigmoid", "tanh", "centred-sigmoid", "tanh-half")


def correct(arm: str, context: dict[str, Any], seed: int) -> int:
    return round(9000 + 40 * (arm == "tanh") + NOISE[10 * ARMS.index(arm) + seed])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with its report."""
    folder = made_study(tmp_path_factory.mktemp("made") / "s", correct, arms=ARMS, seeds=range(4), outcomes=True)
    finished = bamgate("report", str(folder))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith(f"Report: {folder / 'report' / 'report.html'}\n")
    assert finished.stderr.endswith(f"Next: bamgate reproduce {folder}\n")
    return folder


def test_a_report_is_all_its_files(study: Path) -> None:
    files = content(study / "report")
    assert {"report.html", "report.md", "report.tex", "stats.json", "provenance.json"} <= set(files)
    figures = {Path(name).stem for name in files if name.startswith("figures/")}
    assert {"differences", "forest", "curves", "scales", "attenuation", "gates"} <= figures
    assert {f"figures/{name}.{end}" for name in figures for end in ("csv", "svg", "pdf", "png")} <= set(files)
    tables = {Path(name).stem for name in files if name.startswith("tables/")}
    assert tables
    assert {f"tables/{name}.{end}" for name in tables for end in ("csv", "tex")} <= set(files)
    stats = json.loads(files["stats.json"])
    t = stats["contrasts"][0]["t"]
    assert f'verdict: "{stats["headline"]["code"]}"\n' in files["report.md"].decode()
    assert f"interval {t['low']:+.2f} to {t['high']:+.2f}".replace("-", "−") in files["report.html"].decode()
    provenance = json.loads(files["provenance.json"])
    assert set(provenance["inputs_sha256"]) == {f"s/{n}" for n in ("runs.csv", "epochs.csv", "gates.csv", "study.json")}


def test_a_report_is_the_same_bytes_on_another_day_in_another_place(study: Path, tmp_path: Path) -> None:
    """Rows in another order, another time zone, another locale: nothing changes but the time in provenance.json."""
    other = tmp_path / "s"
    other.mkdir()
    (other / "study.json").write_bytes((study / "study.json").read_bytes())
    (other / "cells").symlink_to(study / "cells")
    for name in ("runs.csv", "epochs.csv", "gates.csv"):
        head, *lines = (study / name).read_text().splitlines(keepends=True)
        random.Random(1).shuffle(lines)
        (other / name).write_text(head + "".join(lines))
    environment = {**os.environ, "TZ": "Asia/Seoul", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    finished = bamgate("report", str(other), env=environment)
    assert finished.returncode == 0, finished.stderr
    before, after = content(study / "report"), content(other / "report")
    for files in (before, after):
        provenance = json.loads(files.pop("provenance.json"))
        assert provenance.pop("made")
        for name in provenance["inputs_sha256"]:  # the files' own bytes have changed, and the pages say so
            files["report.html"] = files["report.html"].replace(provenance["inputs_sha256"][name].encode(), b"")
    different = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    assert [name for name in different if not name.startswith(("report.", "tables/inputs"))] == []
    again = bamgate("reproduce", str(other), "--report", str(study / "report"), env=environment)
    assert (again.returncode, again.stdout.split("recomputed: ")[1]) == (0, "all equal\n")


def test_reproduce_never_loads_torch(study: Path) -> None:
    code = (
        "import sys; sys.argv = ['bamgate', 'reproduce', sys.argv[1]]\n"
        "from bamgate.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("recomputed: all equal\n")


def test_reproduce_names_what_differs_and_by_how_much(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "s"
    copy.mkdir()
    for name in ("runs.csv", "epochs.csv", "gates.csv"):
        (copy / name).write_bytes((study / name).read_bytes())
    (copy / "report").symlink_to(study / "report")
    renamed = tmp_path / "renamed"
    shutil.copytree(study, renamed)
    same = bamgate("reproduce", str(renamed))
    assert (same.returncode, same.stdout.split("recomputed: ")[1]) == (0, "all equal\n")
    fine = bamgate("reproduce", str(copy))
    assert fine.returncode == 0, fine.stdout
    assert "not checked: image-level figures of tanh: the cells' outcomes.csv.gz are not here" in fine.stderr
    run = next(csv.DictReader((copy / "runs.csv").read_text().splitlines()))
    epochs = (copy / "epochs.csv").read_text().splitlines()
    last = max(number for number, line in enumerate(epochs, start=1) if f",{run['cell']}," in line)
    edit(copy / "runs.csv", 2, correct=str(int(run["correct"]) + 10))
    edit(copy / "epochs.csv", last, test_correct=str(int(run["correct"]) + 10))
    finished = bamgate("reproduce", str(copy))
    assert finished.returncode == 5
    assert "stats.json: levels[0].accuracies.0: the report says" in finished.stdout
    assert "(by +0.1)" in finished.stdout
    parsed = json.loads(bamgate("reproduce", str(copy), "--json").stdout)
    assert parsed["compared"] > 1000
    assert all(set(one) == {"where", "stored", "found", "by"} for one in parsed["differences"])


EDITS = {  # file -> what stands there, what is put in its place, and where the difference is found
    "figures/differences.csv": (",90.04,", ",91.04,", "figures/differences.csv, line "),
    "figures/curves.svg": ("<g", "<g ", "figures (sha256): curves.svg"),
    "report.html": ("seeds", "needs", "report.html, line "),
    "report.md": ("seeds", "needs", "report.md, line "),
    "report.tex": ("seeds", "needs", "report.tex, line "),
    "tables/arms.tex": ("tanh", "tahn", "tables/arms.tex, line "),
    "tables/seeds.csv": ("sigmoid", "sigmund", "tables/seeds.csv, line "),
    "stats.json": ('"question": "Is', '"question": "Was', "study.json: question"),
}


def test_reproduce_sees_a_report_that_was_edited(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "report"
    for name, data in content(study / "report").items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    for file, (old, new, _) in EDITS.items():
        text = (copy / file).read_text()
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1))
    finished = bamgate("reproduce", str(study), "--report", str(copy), "--json")
    assert finished.returncode == 5, finished.stderr
    found = [one["where"] for one in json.loads(finished.stdout)["differences"]]
    assert [where for _, _, where in EDITS.values() if not any(one.startswith(where) for one in found)] == []


def test_verdicts_on_the_terminal_write_nothing(study: Path) -> None:
    before = content(study)
    finished = bamgate("report", str(study), "--print", "--arms", "tanh", "--rope", "0.3")
    assert finished.returncode == 0, finished.stderr
    assert "tanh-half" not in finished.stdout
    assert finished.stdout.splitlines()[0] == "Is tanh better?"
    stats = json.loads(bamgate("report", str(study), "--json", "--reference", "tanh").stdout)
    assert stats["design"]["reference"] == "tanh"
    assert stats["headline"]["arm"] == "sigmoid"
    assert content(study) == before


def test_a_report_does_not_take_the_place_of_something_else(study: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "report.html").write_text("my own")
    finished = bamgate("report", str(study), "--out", str(tmp_path))
    assert (finished.returncode, finished.stderr.splitlines()[-1]) == (
        2,
        f"bamgate: --out '{tmp_path}' holds something that is not a report; name another folder",
    )
    assert content(tmp_path) == {"thesis.tex": b"years of work", "report.html": b"my own"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["report", "nowhere"], 2, "bamgate: there is no folder 'nowhere'"),
        (["report", "{s}", "{s}"], 2, "bamgate: the same folder is given twice"),
        (["report", "{s}", "--arms", "tahn"], 2, "bamgate: unknown arm 'tahn'; did you mean 'tanh'? (allowed: "),
        (["report", "{s}", "--where", "model"], 2, "bamgate: --where 'model' cannot be read (allowed: NAME=VALUE, "),
        (["report", "{s}", "--where", "a=b"], 2, "bamgate: --where a=b: this study has no axes"),
        (["report", "{s}", "--rope", "-1"], 2, "bamgate: --rope must be points of accuracy above 0 and below 100"),
        (["report", "{empty}"], 2, "bamgate: {empty} has no runs.csv and no finished cells; "),
        (["reproduce", "{s}", "--report", "{empty}"], 4, "bamgate: {empty}/stats.json is missing: "),
    ],
)
def test_bad_input_is_one_line(study: Path, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    names = {"s": str(study), "empty": str(tmp_path)}
    finished = bamgate(*(word.format(**names) for word in arguments))
    assert finished.returncode == code
    assert finished.stderr.startswith(said.format(**names)), finished.stderr
    assert finished.stderr.count("\n") == 1


def test_tables_that_lag_behind_the_cells_are_rebuilt(tmp_path: Path) -> None:
    finished = bamgate(
        "run", "--gate", "sigmoid,tanh", "--dataset", "digits", "--train-limit", "320", "--batch-size", "32",
        "--epochs", "1", "--seeds", "0-1", "--threads", "1", "--out", str(tmp_path / "out"), "--quiet",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    (tmp_path / "out" / "runs.csv").unlink()
    shown = bamgate("report", str(tmp_path / "out"), "--print")
    assert shown.returncode == 0, shown.stderr
    assert "no margin was declared: ±0.5 points is taken" in shown.stderr
    assert (tmp_path / "out" / "runs.csv").is_file()
