"""Files that a report reads, damaged by hand: one line that names them, never a traceback."""

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from csv_samples import made_study
from record_samples import configuration, finished_cell, message

from bamgate.cli.report_show import Asked, read
from bamgate.errors import BamgateError, DataError
from bamgate.record.collect import collect
from bamgate.record.tables import RUNS, read_rows
from bamgate.reports.design import Design, design_of, restrict
from bamgate.reports.records import read_records, read_runs
from bamgate.reports.reproduce import _Comparison
from bamgate.reports.stored import read_provenance, read_stats

WRONG = ("missing", None, 7, -1.5, "x", [], {}, [[]], float("nan"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    axes = ({"model": "resnet20"}, {"model": "resnet56"})
    return made_study(tmp_path_factory.mktemp("made") / "s", lambda *_: 9000, contexts=axes, seeds=range(2))


def keys(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield (*path, key)
        yield from keys(value, (*path, key))


def changed(tree: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    tree = inner = copy.deepcopy(tree)
    for key in path[:-1]:
        inner = inner[key]
    if value == "missing":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return tree


def test_a_study_json_with_any_value_gone_or_wrong_is_read_or_named(study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(study, tmp_path / "s")
    whole = json.loads((study / "study.json").read_text())
    runs, refused = read_runs([folder]), []
    for path in keys(whole):
        for value in WRONG:
            (folder / "study.json").write_text(json.dumps(changed(whole, path, value)))
            try:
                design = restrict(design_of([folder], runs, None), arms=[], where={}, rope=None)
                read_records([folder], design, runs)
                assert design.to_dict()
            except BamgateError as error:
                refused.append(str(error))
    assert len(refused) > 50
    assert "\n" not in "".join(refused)


def test_a_design_with_any_value_gone_or_wrong_is_the_same_or_named(study: Path) -> None:
    design = design_of([study], read_runs([study]), None)
    plain = json.loads(json.dumps(design.to_dict()))
    for path in [path for path in keys(plain) if len(path) == 1]:
        for value in WRONG:
            edited = changed(plain, path, value)
            try:
                found = Design.from_dict(edited).to_dict()
            except DataError:
                continue
            assert found == edited


def test_what_a_report_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    whole = {"inputs_sha256": {}, "versions": {}, "runs": {"git_commit": [], "env_id": []}}
    path.write_text(json.dumps(whole))
    assert read_provenance(path) == whole
    for gone in (("runs",), ("runs", "env_id"), ("versions",), ("inputs_sha256",)):
        path.write_text(json.dumps(changed(whole, gone, "missing")))
        assert f"{path}: {'.'.join(gone)}" in message(DataError, read_provenance, path)
    for text in ("[]", "null", "7", "{", '"x"', "[" * 100_000, "\ufeff{}"):
        path.write_text(text)
        for reader in (read_provenance, read_stats):
            assert message(DataError, reader, path).startswith(f"{path} is damaged: ")


def test_a_field_of_any_length_in_a_reports_table_is_a_difference() -> None:
    comparison = _Comparison(frozenset())
    comparison.tables("tables/x.csv", "a,b\n" + "x" * 200_000 + ",1\n", "a,b\n1,2\n")
    (one,) = comparison.differences
    assert one.where == "tables/x.csv"


def test_a_file_that_the_disk_does_not_give_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").mkdir()
    said = f"{tmp_path / 'runs.csv'} is not a file; move it away"
    assert message(DataError, read_rows, RUNS, tmp_path / "runs.csv") == said


def test_tables_that_lag_behind_in_a_folder_that_cannot_be_written() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        finished_cell(folder, configuration())
        collect(folder)
        text = (folder / "runs.csv").read_text()
        (folder / "runs.csv").write_text(text.partition("\n")[0] + "\n")
        (folder / ".lock").unlink()
        folder.chmod(0o555)
        assert _as_somebody_else(folder) == 2
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def _as_somebody_else(folder: Path) -> int:
    """The exit code of the refusal, in a process that is not root's; 99 where it is not the right one."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            read([folder], Asked(None, "", None, ()))
        except BamgateError as error:
            code = error.exit_code if "make it writable, or report a copy of it" in str(error) else 98
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
