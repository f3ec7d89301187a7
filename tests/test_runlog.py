"""The record of a run: who may write it, what a resumed run keeps, and the tables and figures made from it."""

import csv
import gzip
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bamgate import __version__, environment
from bamgate.collect import collect
from bamgate.config import AttentionConfig, RunConfig
from bamgate.errors import DataError, UsageError
from bamgate.recipes import RECIPES
from bamgate.reports.frames import last_gates_frame, runs_frame
from bamgate.reports.summary import accuracy_table, diverged, paired_difference, site_table
from bamgate.runlog import CellLog, open_cell, read_json
from bamgate.tables import GATES, RUNS

ENVIRONMENT: dict[str, Any] = {
    "schema": 1,
    "env_id": "0123456789ab",
    "git_commit": "c0ffee",
    "torch": "2.9.0",
    "python": "3.12.1",
    "device": "cpu",
    "device_name": "A processor",
    "threads": 1,
}


def configuration(gate: str = "sigmoid", seed: int = 0, **attention: Any) -> RunConfig:
    return RunConfig(seed=seed, attention=AttentionConfig(gate=gate, **attention), training=RECIPES.get("quick"))


def identity(config: RunConfig, fingerprint: str = "f00d") -> dict[str, Any]:
    return {
        "schema": 1,
        "cell": config.cell,
        "config": config.to_dict(),
        "config_sha256": config.sha256,
        "design_sha256": config.design_sha256,
        "gate": {"name": config.attention.gate, "source_sha256": "50ace", "fingerprint": fingerprint},
    }


def epoch_row(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "lr": 0.1 / epoch, "train_loss": 1.5, "test_correct": 10 * epoch, "wall_s": 0.25}


def gate_row(epoch: int, site: str = "layer1", **figures: Any) -> dict[str, Any]:
    return {"epoch": epoch, "site": site, "values": 200, "attenuated": 50, "q50": 1.0, **figures}


def result(correct: int = 900, status: str = "finished") -> dict[str, Any]:
    return {
        "status": status,
        "epochs": 4,
        "correct": correct,
        "total": 1000,
        "top5_correct": 990,
        "test_loss": 0.5 if status == "finished" else None,
        "params": 12,
        "macs": 34,
        "images_per_s": 100.0,
        "wall_s": 2.0,
        "checkpoint_sha256": "abc",
    }


def begun_cell(out: Path, config: RunConfig) -> CellLog:
    log = open_cell(out, config)
    log.claim(identity(config))
    log.bind(ENVIRONMENT)
    return log


def finished_cell(
    out: Path,
    config: RunConfig,
    *,
    gates: Iterable[dict[str, Any]] = (),
    **facts: Any,
) -> CellLog:
    log = begun_cell(out, config)
    log.append("epochs.csv", [epoch_row(epoch) for epoch in (1, 2)])
    log.append("gates.csv", gates or [gate_row(epoch) for epoch in (0, 1, 2)])
    log.finish(result(**facts))
    return log


def message(error: type[Exception], action: Any, *arguments: Any) -> str:
    with pytest.raises(error) as caught:
        action(*arguments)
    return str(caught.value)


def test_a_cell_has_a_folder_of_its_own_under_its_design(tmp_path: Path) -> None:
    config = configuration("tanh", 3)
    log = open_cell(tmp_path / "deep" / "out", config)
    assert log.folder == tmp_path / "deep" / "out" / "cells" / config.cell
    assert log.folder.is_dir()
    stored = json.loads((tmp_path / "deep" / "out" / "design.json").read_text())
    assert stored == {"schema": 1, "design_sha256": config.design_sha256, "design": config.design()}


def test_other_gates_and_seeds_share_a_folder(tmp_path: Path) -> None:
    for gate, seed in (("sigmoid", 0), ("tanh", 0), ("sigmoid", 1)):
        open_cell(tmp_path, configuration(gate, seed))
    assert len(list((tmp_path / "cells").iterdir())) == 3


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (configuration(reduction=8), "attention.reduction is 16 there and 8 here"),
        (configuration(residual=False), "attention.residual is true there and false here"),
        (
            RunConfig(model="resnet20", training=RECIPES.get("quick")),
            'model is "resnet8" there and "resnet20" here',
        ),
        (RunConfig(training=RECIPES.get("cifar")), 'training.augment is "none" there and "crop-flip" here'),
    ],
)
def test_a_folder_of_another_design_is_refused_with_the_first_difference(
    tmp_path: Path, config: RunConfig, difference: str
) -> None:
    open_cell(tmp_path, configuration())
    expected = f"{tmp_path} belongs to another configuration: {difference}; choose another --out"
    assert message(UsageError, open_cell, tmp_path, config) == expected


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cells").write_text("a file")
    config = configuration()
    folder = tmp_path / "cells" / config.cell
    expected = f"cannot create the folder {folder}: Not a directory; choose another --out"
    assert message(UsageError, open_cell, tmp_path, config) == expected


def test_a_folder_of_somebody_elses_tables_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("mine")
    expected = f"{tmp_path} holds a runs.csv but no design.json, so it is no folder of runs; choose another --out"
    assert message(UsageError, open_cell, tmp_path, configuration()) == expected
    assert (tmp_path / "runs.csv").read_text() == "mine"


def test_configuration_and_environment_are_written_once(tmp_path: Path) -> None:
    config = configuration()
    log = begun_cell(tmp_path, config)
    before = {path.name: path.read_bytes() for path in log.folder.iterdir()}
    assert {name: json.loads(data) for name, data in before.items()} == {
        "config.json": identity(config),
        "environment.json": ENVIRONMENT,
    }
    # Python and commit may change between two calls of the same run; the record stays that of the first.
    log.claim(identity(config))
    log.bind({**ENVIRONMENT, "python": "3.13.0", "git_commit": "beef", "env_id": "other"})
    assert {path.name: path.read_bytes() for path in log.folder.iterdir()} == before


def test_a_record_that_was_cut_off_after_its_configuration_is_completed(tmp_path: Path) -> None:
    config = configuration()
    open_cell(tmp_path, config).claim(identity(config))
    log = begun_cell(tmp_path, config)
    assert read_json(log.folder / "environment.json") == ENVIRONMENT


def test_a_gate_that_is_another_function_now_is_refused(tmp_path: Path) -> None:
    config = configuration("gates.py:mine")
    log = begun_cell(tmp_path, config)
    expected = (
        f"gate 'gates.py:mine' is not the function it was when {log.folder} was begun; "
        "give it another name or choose another --out"
    )
    assert message(UsageError, log.claim, identity(config, "beef")) == expected


@pytest.mark.parametrize(
    ("name", "now", "difference"),
    [
        ("torch", "2.10.0", "torch 2.9.0, this is torch 2.10.0"),
        ("device", "cuda", "device cpu, this is device cuda"),
        ("device_name", "Another", "device_name A processor, this is device_name Another"),
        ("threads", 2, "threads 1, this is threads 2"),
    ],
)
def test_a_run_does_not_go_on_where_rounding_would_differ(tmp_path: Path, name: str, now: Any, difference: str) -> None:
    config = configuration()
    log = begun_cell(tmp_path, config)
    expected = (
        f"{log.folder} was begun with {difference}, and a run must not mix the two; "
        "go on as it was begun or choose another --out"
    )
    assert message(UsageError, log.bind, {**ENVIRONMENT, name: now}) == expected


def test_the_environment_has_an_id_made_from_its_facts() -> None:
    facts = environment.describe(device="cpu", device_name="x", threads=3)
    given = {name: facts[name] for name in ("bamgate", "device", "device_name", "threads")}
    assert given == {"bamgate": __version__, "device": "cpu", "device_name": "x", "threads": 3}
    text = json.dumps({name: value for name, value in facts.items() if name != "env_id"}, sort_keys=True)
    assert facts["env_id"] == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert set(environment.BINDING) <= facts.keys()
    assert environment.package_version("no-such-package") == ""


def test_the_commit_is_that_of_the_checkout() -> None:
    git = shutil.which("git")
    root = Path(environment.__file__).parent
    answer = subprocess.run([str(git), "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("not run from a git checkout")
    assert environment.git_commit().removesuffix("+changed") == answer.stdout.strip()


def test_rows_are_logged_under_one_header(tmp_path: Path) -> None:
    log = CellLog(tmp_path, "c1")
    log.append("epochs.csv", [epoch_row(1)])
    log.append("epochs.csv", [epoch_row(2), epoch_row(3)])
    lines = (tmp_path / "epochs.csv").read_text().splitlines()
    assert lines[0].startswith("schema,cell,epoch,lr,")
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["1", "c1", "1", "0.1"],
        ["1", "c1", "2", "0.05"],
        ["1", "c1", "3", repr(0.1 / 3)],
    ]
    assert log.rows("gates.csv") == []


def epochs_of(log: CellLog) -> dict[str, list[int]]:
    return {table: [row["epoch"] for row in log.rows(table)] for table in ("epochs.csv", "gates.csv")}


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    log = CellLog(tmp_path, "c1")
    log.append("epochs.csv", [epoch_row(epoch) for epoch in (1, 2, 3)])
    log.append("gates.csv", [gate_row(epoch, site) for epoch in (0, 1, 2, 3) for site in ("layer1", "layer2")])
    log.cut_after(3)
    assert epochs_of(log) == {"epochs.csv": [1, 2, 3], "gates.csv": [0, 0, 1, 1, 2, 2, 3, 3]}
    before = (tmp_path / "epochs.csv").read_text().splitlines(keepends=True)
    log.cut_after(2)
    assert epochs_of(log) == {"epochs.csv": [1, 2], "gates.csv": [0, 0, 1, 1, 2, 2]}
    assert (tmp_path / "epochs.csv").read_text() == "".join(before[:3])
    log.cut_after(-1)
    assert (tmp_path / "epochs.csv").read_text() == before[0]
    assert epochs_of(log) == {"epochs.csv": [], "gates.csv": []}
    log.append("epochs.csv", [epoch_row(1)])
    assert (tmp_path / "epochs.csv").read_text() == "".join(before[:2])


@pytest.mark.parametrize("torn", ["1", "1,c1,2,0.05,1.5", "1,c1,2,0.05,1.5,,,,,,,,0.2"])
def test_a_torn_last_line_is_dropped_and_the_next_row_stands_alone(tmp_path: Path, torn: str) -> None:
    log = CellLog(tmp_path, "c1")
    log.append("epochs.csv", [epoch_row(1)])
    whole = (tmp_path / "epochs.csv").read_text()
    (tmp_path / "epochs.csv").write_text(whole + torn)
    log.cut_after(5)
    assert (tmp_path / "epochs.csv").read_text() == whole
    log.append("epochs.csv", [epoch_row(2)])
    assert [row["epoch"] for row in log.rows("epochs.csv")] == [1, 2]


@pytest.mark.parametrize("torn", ["", "schema,cell"])
def test_a_table_that_died_in_its_header_is_begun_anew(tmp_path: Path, torn: str) -> None:
    log = CellLog(tmp_path, "c1")
    (tmp_path / "epochs.csv").write_text(torn)
    log.cut_after(-1)
    log.append("epochs.csv", [epoch_row(1)])
    assert [row["epoch"] for row in log.rows("epochs.csv")] == [1]


def test_a_table_damaged_in_its_middle_is_no_reason_to_go_on(tmp_path: Path) -> None:
    log = CellLog(tmp_path, "c1")
    log.append("epochs.csv", [epoch_row(1), epoch_row(2)])
    path = tmp_path / "epochs.csv"
    path.write_text(path.read_text().replace("1,c1,1,", "1,c1,?,"))
    assert message(DataError, log.cut_after, 2) == f"{path}, line 2, column 'epoch': '?' is no int"


def test_a_table_that_is_no_text_any_more_is_named(tmp_path: Path) -> None:
    log = CellLog(tmp_path, "c1")
    log.append("epochs.csv", [epoch_row(1), epoch_row(2)])
    path = tmp_path / "epochs.csv"
    data = bytearray(path.read_bytes())
    data[-20] ^= 0x80
    path.write_bytes(data)
    assert message(DataError, log.cut_after, 2) == f"{path} is no UTF-8 text (byte {len(data) - 20})"


def test_outcomes_are_one_row_an_image_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        CellLog(tmp_path / name, name).write_outcomes([3, 1, 4], [3, 0, 4])
        contents.append((tmp_path / name / "outcomes.csv.gz").read_bytes())
    assert contents[0] == contents[1]
    text = gzip.decompress(contents[0]).decode()
    assert text == "schema,index,label,predicted,correct\n1,0,3,3,1\n1,1,1,0,0\n1,2,4,4,1\n"
    assert contents[0][4:8] == b"\0\0\0\0"  # the time in a gzip header (RFC 1952)


def test_outcomes_of_another_length_are_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^zip\(\) argument 2 is shorter than argument 1$"):
        CellLog(tmp_path, "c").write_outcomes([1, 2], [1])


def test_a_result_means_finished(tmp_path: Path) -> None:
    log = CellLog(tmp_path, "c1")
    assert log.result() is None
    log.finish({"status": "finished", "correct": 5})
    assert log.result() == {"schema": 1, "cell": "c1", "status": "finished", "correct": 5}
    expected = '{\n  "cell": "c1",\n  "correct": 5,\n  "schema": 1,\n  "status": "finished"\n}\n'
    assert (tmp_path / "result.json").read_text() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", " is damaged: Expecting value: line 1 column 1 (char 0)"),
        (
            b'{"schema": 1,',
            " is damaged: Expecting property name enclosed in double quotes: line 1 column 14 (char 13)",
        ),
        (
            b'{"schema": "\xff"}',
            " is damaged: 'utf-8' codec can't decode byte 0xff in position 12: invalid start byte",
        ),
        (b"[1]", " has schema version None, this bamgate reads version 1"),
        (b"{}", " has schema version None, this bamgate reads version 1"),
        (b'{"schema": 2}', " has schema version 2, this bamgate reads version 1"),
    ],
)
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    remedy = f"; put it right or move {tmp_path} away" if "damaged" in expected else ""
    assert message(DataError, CellLog(tmp_path, "c1").result) == f"{path}{expected}{remedy}"


def test_a_missing_json_file_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "result.json") is None


CELLS = [("tanh", 10), ("sigmoid", 2), ("tanh", 2), ("sigmoid", 10)]


def collected(out: Path, cells: list[tuple[str, int]]) -> dict[str, bytes]:
    for gate, seed in cells:
        finished_cell(out, configuration(gate, seed), correct=900 + seed)
    collect(out)
    return {path.name: path.read_bytes() for path in out.glob("*.csv")}


def test_collected_rows_are_sorted_by_gate_and_seed(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    runs = list(csv.DictReader(io.StringIO(tables["runs.csv"].decode())))
    assert [(row["gate"], row["seed"]) for row in runs] == [
        ("sigmoid", "2"),
        ("sigmoid", "10"),
        ("tanh", "2"),
        ("tanh", "10"),
    ]
    assert [row["correct"] for row in runs] == ["902", "910", "902", "910"]
    order = [row["cell"] for row in runs]
    for table, rows_a_cell in (("epochs.csv", 2), ("gates.csv", 3)):
        rows = csv.DictReader(io.StringIO(tables[table].decode()))
        assert [row["cell"] for row in rows] == [cell for cell in order for _ in range(rows_a_cell)]


def test_a_collected_row_holds_what_the_cell_holds(tmp_path: Path) -> None:
    config = configuration("tanh", 2)
    finished_cell(tmp_path, config, correct=903)
    (row,) = collect(tmp_path)
    assert row == {
        "cell": config.cell,
        "dataset": "cluttered-digits",
        "model": "resnet8",
        "attention": "bam",
        "gate": "tanh",
        "seed": 2,
        "status": "finished",
        "epochs": 4,
        "correct": 903,
        "total": 1000,
        "top5_correct": 990,
        "test_loss": 0.5,
        "params": 12,
        "macs": 34,
        "images_per_s": 100.0,
        "wall_s": 2.0,
        "device": "cpu",
        "device_name": "A processor",
        "threads": 1,
        "torch": "2.9.0",
        "precision": "fp32",
        "compile": "off",
        "executor": "single",
        "config_sha256": config.sha256,
        "design_sha256": config.design_sha256,
        "gate_fingerprint": "f00d",
        "gate_source_sha256": "50ace",
        "git_commit": "c0ffee",
        "env_id": "0123456789ab",
    }
    assert {*row, "schema"} == set(RUNS)


def test_the_tables_do_not_depend_on_the_order_of_the_runs(tmp_path: Path) -> None:
    first = collected(tmp_path / "first", CELLS)
    second = collected(tmp_path / "second", CELLS[::-1])
    assert sorted(first) == ["epochs.csv", "gates.csv", "runs.csv"]
    assert first == second


def test_tables_are_rebuilt_from_the_cells_alone(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    (tmp_path / "runs.csv").write_text("nonsense")
    (tmp_path / "gates.csv").unlink()
    collect(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables


def test_unfinished_cells_are_left_out(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    begun = configuration("softsign", 0)
    open_cell(tmp_path, begun)
    assert len(collect(tmp_path)) == 4
    log = begun_cell(tmp_path, begun)
    log.append("epochs.csv", [epoch_row(1)])
    assert len(collect(tmp_path)) == 4
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables
    log.finish(result())
    assert [row["gate"] for row in collect(tmp_path)] == ["sigmoid", "sigmoid", "softsign", "tanh", "tanh"]


def test_a_damaged_cell_is_named_and_no_table_is_changed(tmp_path: Path) -> None:
    tables = collected(tmp_path, CELLS)
    path = tmp_path / "cells" / configuration(*CELLS[0]).cell / "config.json"
    path.write_text("{")
    expected = "is damaged: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    assert message(DataError, collect, tmp_path) == f"{path} {expected}; put it right or move {path.parent} away"
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """sigmoid with seeds 0, 1 and 2, tanh with 0 and 2 (diverged), softsign with 1 alone."""
    correct = {("sigmoid", 0): 900, ("sigmoid", 1): 910, ("sigmoid", 2): 920, ("tanh", 0): 930, ("softsign", 1): 905}
    for (gate, seed), right in correct.items():
        figures = {"q05": 0.5 + seed, "q50": 1.0 + seed, "q95": 1.5 + seed, "attenuated": 20 * (seed + 1)}
        rows = [gate_row(epoch, site, **figures) for epoch in (0, 4) for site in ("layer1", "layer2")]
        rows[0] |= {"q50": 77.0, "attenuated": 0}  # of epoch 0: not in the table
        rows[3] |= {"on_object": 1.25 + seed, "off_object": 0.75}
        finished_cell(tmp_path, configuration(gate, seed), gates=rows, correct=right)
    finished_cell(tmp_path, configuration("tanh", 2), correct=100, status="diverged")
    collect(tmp_path)
    return tmp_path


def test_accuracy_by_gate_and_seed(study: Path) -> None:
    nan = float("nan")
    expected = pd.DataFrame(
        {
            0: [90.0, nan, 93.0],
            1: [91.0, 90.5, nan],
            2: [92.0, nan, 10.0],
            "n": [3, 1, 2],
            "mean": [91.0, 90.5, 51.5],
            "sd": [1.0, nan, 83.0 / np.sqrt(2)],  # two values: their distance by the square root of 2
        },
        index=["sigmoid", "softsign", "tanh"],
    )
    found = accuracy_table(study)
    assert list(found.index) == list(expected.index)
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), rtol=1e-12)


def test_a_diverged_run_is_counted_and_named(study: Path) -> None:
    assert diverged(study).to_dict("records") == [{"gate": "tanh", "seed": 2}]
    runs = runs_frame(study)
    row = runs[(runs["gate"] == "tanh") & (runs["seed"] == 2)].iloc[0]
    assert (row["accuracy"], row["status"]) == (10.0, "diverged")
    assert np.isnan(row["test_loss"])
    assert len(runs) == 6


def test_differences_are_taken_over_the_seeds_that_both_have(study: Path) -> None:
    found = paired_difference(study, "tanh", "sigmoid")
    assert found.index.tolist() == [0, 2]
    np.testing.assert_allclose(found.to_numpy(), [3.0, -82.0], rtol=1e-12)
    alone = paired_difference(study, "softsign", "sigmoid")
    assert alone.index.tolist() == [1]
    np.testing.assert_allclose(alone.to_numpy(), [-0.5], rtol=1e-12)
    assert paired_difference(study, "tanh", "softsign").empty


def test_a_site_is_described_by_its_last_epoch_averaged_over_seeds(study: Path) -> None:
    table = site_table(study)
    assert table.columns.tolist() == ["q05", "q50", "q95", "attenuated", "on_object", "off_object"]
    # sigmoid has seeds 0, 1 and 2: q50 of 1, 2 and 3; 20, 40 and 60 of 200 values attenuated.
    np.testing.assert_allclose(
        table.loc[[("sigmoid", "layer1"), ("sigmoid", "layer2")]].to_numpy(float),
        [[1.5, 2.0, 2.5, 20.0, np.nan, np.nan], [1.5, 2.0, 2.5, 20.0, 2.25, 0.75]],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        table.loc[("softsign", "layer2")].to_numpy(float), [1.5, 2.0, 2.5, 20.0, 2.25, 0.75], rtol=1e-12
    )


def test_the_last_epoch_is_that_of_each_cell(tmp_path: Path) -> None:
    for seed, last in ((0, 4), (1, 2)):
        gates = [gate_row(epoch, q50=float(epoch)) for epoch in range(last + 1)]
        finished_cell(tmp_path, configuration("tanh", seed), gates=gates)
    collect(tmp_path)
    found = last_gates_frame(tmp_path)
    assert sorted(found[["seed", "epoch", "gate", "attention"]].to_numpy().tolist()) == [
        [0, 4, "tanh", "bam"],
        [1, 2, "tanh", "bam"],
    ]
    assert set(found.columns) == {*GATES, "attention", "gate", "seed"}


def test_a_data_set_without_masks_has_no_means_on_the_object(tmp_path: Path) -> None:
    finished_cell(tmp_path, configuration(), gates=[gate_row(1, on_object=None, off_object=None)])
    collect(tmp_path)
    table = site_table(tmp_path)
    assert table["attenuated"].tolist() == [25.0]
    assert table[["on_object", "off_object"]].isna().all(axis=None)


def test_a_study_without_attention_has_no_sites(tmp_path: Path) -> None:
    config = RunConfig(attention=AttentionConfig(name="none", gate="none"), training=RECIPES.get("quick"))
    log = begun_cell(tmp_path, config)
    log.append("epochs.csv", [epoch_row(1)])
    log.finish(result(correct=875))
    collect(tmp_path)
    assert site_table(tmp_path).empty
    assert accuracy_table(tmp_path).to_dict("records")[0] | {"sd": None} == {0: 87.5, "n": 1, "mean": 87.5, "sd": None}


def test_where_every_run_diverged_the_loss_is_missing_and_the_accuracy_stays(tmp_path: Path) -> None:
    finished_cell(tmp_path, configuration(), correct=98, status="diverged")
    collect(tmp_path)
    runs = runs_frame(tmp_path)
    assert runs["accuracy"].tolist() == [pytest.approx(9.8, rel=1e-12)]
    assert runs["test_loss"].isna().all()


def test_damage_in_a_collected_table_is_named(tmp_path: Path) -> None:
    finished_cell(tmp_path, configuration())
    collect(tmp_path)
    path = tmp_path / "runs.csv"
    path.write_text(path.read_text().replace(",900,", ",many,"))
    assert message(DataError, accuracy_table, tmp_path) == f"{path}, line 2, column 'correct': 'many' is no int"
