"""Numbers and wording of a report apart: what another version says differently is no difference, a number is."""

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from csv_samples import made_study

from bamgate.cli.report import reproduce as command
from bamgate.errors import DataError
from bamgate.record.study_file import study_digest
from bamgate.reports.analysis import SCHEMA, analyse
from bamgate.reports.analysis.attribution import CONTROLS
from bamgate.reports.build import build
from bamgate.reports.design import design_of
from bamgate.reports.figures import FIGURES
from bamgate.reports.records import Outcomes, read_records, read_runs
from bamgate.reports.stored import CODES_OF_1, read_stats
from bamgate.reports.words.gate_properties import CONTROLS as CONTROL_WORDS
from bamgate.reports.words.gate_properties import PROPERTIES
from bamgate.reports.words.sections import mechanism
from bamgate.reports.words.status import PHRASES, phrase
from bamgate.reports.words.verdict import WORDS
from bamgate.stats import VERDICTS
from bamgate.stats.status import CODES, OK

# A report of 4 arms on 3 networks, one run diverged, as version 0.1.0 wrote it when stats.json still held sentences.
# It cannot be made again; pictures, HTML and LaTeX are left out of it.
VERSION_1 = Path(__file__).parent / "report_of_version_1.zip"


@pytest.fixture(scope="module", autouse=True)
def one_figure() -> Iterator[None]:
    """Drawing is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in FIGURES if name != "differences"]:
            patch.delitem(FIGURES, name)
        yield


def analysed(folder: Path) -> dict[str, Any]:
    runs = read_runs([folder])
    design = design_of([folder], runs)
    found = analyse(design, read_records([folder], design, runs), Outcomes([folder]))
    return dict(json.loads(json.dumps(found, allow_nan=False)))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study with its report."""
    counts = {"sigmoid": (9000, 9010), "tanh": (9031, 9052), "tanh-half": (9017, 9001)}
    folder = made_study(
        tmp_path_factory.mktemp("made") / "s", lambda a, c, s: counts[a][s], arms=tuple(counts), seeds=range(2)
    )
    runs = read_runs([folder])
    design = design_of([folder], runs)
    build(design, read_records([folder], design, runs), [folder], folder / "report")
    return folder


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(VERSION_1) as archive:
        archive.extractall(folder)
    path = folder / "s" / "study.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "study_sha256": study_digest(content["study"])}))
    return folder / "s"


def exit_code(study: Path, report: Path) -> int:
    try:
        command([study], report, json=False)
    except typer.Exit as end:
        return end.exit_code
    return 0


def changed(report: Path, to: Path, file: str, old: str, new: str) -> Path:
    """A copy of a report with one text replaced."""
    shutil.copytree(report, to)
    text = (to / file).read_text()
    assert old in text
    (to / file).write_text(text.replace(old, new, 1))
    return to


def by_another_version(report: Path) -> Path:
    path = report / "provenance.json"
    content = json.loads(path.read_text())
    content["versions"]["bamgate"] = "0.0.9"
    path.write_text(json.dumps(content))
    return report


def test_a_report_is_equal_to_itself(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(study, study / "report") == 0
    assert "wording" not in capsys.readouterr().err


def test_new_words_and_pictures_are_a_difference_only_of_the_same_version(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mechanism, "_MEANING", "Said in other words.")
    assert exit_code(study, study / "report") == 5
    assert "report.md, line " in capsys.readouterr().out
    report = by_another_version(changed(study / "report", tmp_path / "r", "figures/differences.svg", "<g", "<g "))
    assert exit_code(study, report) == 0
    said = capsys.readouterr()
    assert said.out.endswith("recomputed: all equal\n")
    assert said.err == "wording not compared: written by version 0.0.9\n"


@pytest.mark.parametrize("file", ["stats.json", "figures/differences.csv", "tables/seeds.csv"])
@pytest.mark.parametrize("other", [False, True])
def test_a_changed_number_is_a_difference_of_every_version(
    study: Path, tmp_path: Path, file: str, other: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    report = changed(study / "report", tmp_path / "r", file, "90.31", "90.32")
    assert exit_code(study, by_another_version(report) if other else report) == 5
    assert file in capsys.readouterr().out


def test_a_changed_name_is_a_difference_of_every_version(study: Path, tmp_path: Path) -> None:
    report = changed(study / "report", tmp_path / "r", "tables/seeds.csv", "tanh", "tahn")
    assert exit_code(study, by_another_version(report)) == 5


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, truth value and null of a tree, with its place."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from numbers(item, f"{place}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from numbers(item, f"{place}[{number}]")
    elif not isinstance(value, str):
        yield place, value


def test_every_number_is_that_of_version_1(old: Path) -> None:
    before = dict(numbers(json.loads((old / "report" / "stats.json").read_text())))
    after = dict(numbers(analysed(old)))
    before.pop(".schema"), after.pop(".schema")
    assert len(before) > 4000
    nothing = [place for place, value in before.items() if value is None]
    assert {after[place] for place in nothing} == {None}
    known = {place: value for place, value in before.items() if value is not None}
    assert {place: after[place] for place in known} == pytest.approx(known, rel=1e-9)


def test_verdicts_are_those_of_version_1(old: Path) -> None:
    before = json.loads((old / "report" / "stats.json").read_text())
    words = [row["verdict"]["word"] for row in before["contrasts"]]
    assert len(set(words)) > 2
    assert [row["verdict"]["code"] for row in analysed(old)["contrasts"]] == [CODES_OF_1.get(w, w) for w in words]


def test_a_report_with_sentences_is_still_reproduced(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(old, old / "report") == 0
    # The other line is of study.json, whose digest the made-up study of then did not have.
    said = "wording not compared: written by version 0.1.0 (stats.json version 1)"
    assert said in capsys.readouterr().err.splitlines()
    stats = json.loads((old / "report" / "stats.json").read_text())
    mean = stats["contrasts"][0]["t"]["mean"]
    report = changed(old / "report", tmp_path / "r", "stats.json", f'"mean": {mean}', f'"mean": {mean + 1}')
    assert exit_code(old, report) == 5
    worded = changed(old / "report", tmp_path / "w", "stats.json", '"word": "undecided"', '"word": "better"')
    assert exit_code(old, worded) == 5


def test_a_newer_stats_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({"schema": SCHEMA + 1}))
    with pytest.raises(DataError, match=f"was written by a newer bamgate: version {SCHEMA + 1}, .* up to {SCHEMA}"):
        read_stats(path)
    path.write_text(json.dumps({"schema": "two"}))
    with pytest.raises(DataError, match="is damaged: its schema version is 'two'"):
        read_stats(path)


def test_stats_json_holds_no_sentences(study: Path, old: Path) -> None:
    """Texts are names and codes; what the study itself declares, in `design`, is the user's."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (text for name, item in value.items() if name != "design" for text in texts(item))
        elif isinstance(value, list):
            yield from (text for item in value for text in texts(item))
        elif isinstance(value, str):
            yield value

    for folder in (study, old):
        found = set(texts(analysed(folder)))
        assert {text for text in found if re.search(r"\s", text)} == {"A processor"}  # a name: the device's


def test_every_code_has_words_and_no_word_lacks_a_code() -> None:
    assert set(PHRASES) == set(CODES) - {OK}
    assert set(WORDS) == {*VERDICTS, "interim"}
    assert {(c.treatment, c.control) for c in CONTROLS} == set(CONTROL_WORDS)
    assert {c.property for c in CONTROLS} == set(PROPERTIES)
    for code in PHRASES:
        assert re.fullmatch(r"[^{}]+[^.{}]", phrase(code, ("one", "two")))
