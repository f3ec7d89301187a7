"""A cell's record: begun, continued, refused, finished."""

import gzip
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from record_samples import ENVIRONMENT, begun_cell, configuration, epoch_row, gate_row, identity, message, result

from bamgate._version import __version__
from bamgate.config import RunConfig
from bamgate.config.recipes import RECIPES
from bamgate.errors import DataError, UsageError
from bamgate.record import environment
from bamgate.record.columns import OUTCOMES
from bamgate.record.runlog import CellLog, open_cell
from bamgate.record.sealed import read_json, write_json


def test_a_cell_has_a_folder_of_its_own_under_its_design(tmp_path: Path) -> None:
    config = configuration("tanh", 3)
    log = open_cell(tmp_path / "deep" / "out", config)
    assert log.folder == tmp_path / "deep" / "out" / "cells" / config.cell
    assert log.folder.is_dir()
    stored = read_json(tmp_path / "deep" / "out" / "design.json")
    assert stored == {"schema": 2, "design_sha256": config.design_sha256, "design": config.design()}


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


def test_a_run_on_image_files_is_bound_to_them_and_to_what_decodes_them(tmp_path: Path) -> None:
    config = configuration()
    log = open_cell(tmp_path, config)
    files = {**ENVIRONMENT, "listing_sha256": "1" * 64, "torchvision": "0.24.0", "pillow": "12.0.0"}
    log.bind(files)
    log.bind(files)
    assert "was begun with other image files: since then some were added, removed, renamed or changed in size" in (
        message(UsageError, log.bind, {**files, "listing_sha256": "2" * 64})
    )
    for name in ("torchvision", "pillow"):
        assert f"was begun with {name} {files[name]}, this is {name} 99" in (
            message(UsageError, log.bind, {**files, name: "99"})
        )


@pytest.mark.parametrize(
    ("name", "now", "difference"),
    [
        ("torch", "2.10.0", "torch 2.9.0, this is torch 2.10.0"),
        ("device", "cuda", "device cpu, this is device cuda"),
        ("device_name", "Another", "device_name A processor, this is device_name Another"),
        ("threads", 2, "threads 1, this is threads 2"),
        ("engine", "fleet", "engine single, this is engine fleet"),
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


def test_a_run_of_before_engines_were_named_goes_on_with_the_one_there_was(tmp_path: Path) -> None:
    log = begun_cell(tmp_path, configuration())
    log.bind({**ENVIRONMENT, "engine": "single"})
    assert read_json(log.folder / "environment.json") == ENVIRONMENT


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
    assert message(DataError, log.cut_after, 2) == f"{path}, line 2, column 'epoch': '?' is not a whole number"


def test_a_table_that_is_no_text_any_more_is_named(tmp_path: Path) -> None:
    log = CellLog(tmp_path, "c1")
    log.append("epochs.csv", [epoch_row(1), epoch_row(2)])
    path = tmp_path / "epochs.csv"
    data = bytearray(path.read_bytes())
    data[-20] ^= 0x80
    path.write_bytes(data)
    assert message(DataError, log.cut_after, 2) == f"{path} is not a UTF-8 text (byte {len(data) - 20})"


def test_outcomes_are_one_row_an_image_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    contents = []
    values = {"index": range(3), "label": [3, 1, 4], "predicted": [3, 0, 4], "correct": [1, 0, 1]}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        CellLog(tmp_path / name, name).write_outcomes(OUTCOMES, values)
        contents.append((tmp_path / name / "outcomes.csv.gz").read_bytes())
    assert contents[0] == contents[1]
    text = gzip.decompress(contents[0]).decode()
    assert text == "schema,index,label,predicted,correct\n1,0,3,3,1\n1,1,1,0,0\n1,2,4,4,1\n"
    assert contents[0][4:8] == b"\0\0\0\0"  # the time in a gzip header (RFC 1952)


def test_outcomes_of_another_length_are_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^zip\(\) argument 2 is shorter than argument 1$"):
        CellLog(tmp_path, "c").write_outcomes(OUTCOMES, {"label": [1, 2], "predicted": [1]})


def test_a_result_means_finished(tmp_path: Path) -> None:
    log = CellLog(tmp_path / "c1", "c1")
    log.folder.mkdir()
    assert log.result() is None
    write_json(log.folder / "config.json", {"schema": 1, "a": 3})
    log.finish(result(correct=5))
    files = {"config.json": hashlib.sha256(b'{\n  "a": 3,\n  "schema": 1\n}\n').hexdigest()}
    assert log.result() == {"schema": 2, "cell": "c1", **result(correct=5), "files": files}


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
        (b"[1]", " has schema version None, this bamgate reads versions 1 and 2"),
        (b"{}", " has schema version None, this bamgate reads versions 1 and 2"),
        (b'{"schema": 3}', " has schema version 3, this bamgate reads versions 1 and 2"),
        (b'{"schema": true}', " has schema version True, this bamgate reads versions 1 and 2"),
        (b'{"schema": 2}', " is damaged: it is not as bamgate wrote it (its sha256 differs)"),
        (b'{"schema": 1, "sha256": "0"}', " is damaged: it is not as bamgate wrote it (its sha256 differs)"),
        (b'{"a": ' + b"[" * 100_000, " is damaged: it is nested too deeply"),
    ],
)
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    remedy = f"; put it right or move {tmp_path} away" if "damaged" in expected else ""
    assert message(DataError, CellLog(tmp_path, "c1").result) == f"{path}{expected}{remedy}"


def test_a_missing_json_file_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "result.json") is None
