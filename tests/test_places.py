"""Names of arms and values of axes with separators in them: what is written is what is read, up to the report."""

import json
from pathlib import Path
from typing import Any

import pytest
from csv_samples import made_study
from hypothesis import example, given
from hypothesis import strategies as st
from record_samples import message
from typer.testing import CliRunner

from bamgate.cli.app import app
from bamgate.errors import DataError
from bamgate.record.tables import RUNS, arms_text, context_text, context_values, format_rows, parse_rows, places_in
from bamgate.reports.design import arms_in, design_of, restrict
from bamgate.reports.records import read_records, read_runs

ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
HARD = st.text(st.sampled_from("|; =\\nr,'\"\n\r\ta"), max_size=8)
CONTEXTS = st.dictionaries(st.sampled_from(["dataset", "model", "lr"]), ANY | HARD)


@given(context=CONTEXTS)
@example(context={"dataset": "folder:my; data", "model": "a=b; c=d"})
@example(context={"dataset": "\\", "model": "\\; lr=2"})
@example(context={"dataset": "a\\nb", "model": "a\nb"})
def test_a_context_comes_back(context: dict[str, str]) -> None:
    assert context_values(context_text(context)) == context


@given(
    places=st.lists(st.tuples((ANY | HARD).filter(bool), CONTEXTS.filter(bool)), min_size=1, max_size=3),
    with_contexts=st.booleans(),
)
def test_the_places_of_a_cell_come_back_from_the_file(
    places: list[tuple[str, dict[str, str]]], with_contexts: bool
) -> None:
    contexts = [context_text(context) if with_contexts else "" for _, context in places]
    row = {"arm": arms_text([arm for arm, _ in places]), "context": " | ".join(contexts) if with_contexts else None}
    (found,) = parse_rows(RUNS, format_rows(RUNS, [{"correct": 1, "total": 2, **row}], header=True), Path("runs.csv"))
    assert places_in(found["arm"], found["context"]) == list(zip([arm for arm, _ in places], contexts, strict=True))


@given(one=CONTEXTS, other=CONTEXTS)
def test_two_contexts_have_two_texts(one: dict[str, str], other: dict[str, str]) -> None:
    assert (list(one.items()) == list(other.items())) == (context_text(one) == context_text(other))


def test_plain_contexts_stand_as_they_always_did() -> None:
    assert context_text({"model": "resnet20", "reduction": 16}) == "model=resnet20; reduction=16"
    assert arms_text(["sigmoid", "expr:clip(z,0,1)"]) == "sigmoid | expr:clip(z,0,1)"


FORMULA = "expr:max(min(z, 1), -1)"
ARMS = ("sigmoid", FORMULA, "./a|b; c.py:g", "d | e")
AXES = ({"dataset": "folder:my; data", "model": "x"}, {"dataset": "folder:a=b; c=d | e", "model": "x"})


def correct(arm: str, context: dict[str, Any], seed: int) -> int:
    return 7000 + 30 * ARMS.index(arm) * (1 + seed % 3) + 10 * (context == AXES[0])


@pytest.mark.parametrize("declared", [True, False])
def test_the_rows_are_those_of_their_places(tmp_path: Path, declared: bool) -> None:
    folder = made_study(tmp_path / "s", correct, arms=ARMS, contexts=AXES, seeds=range(3))
    if not declared:
        (folder / "study.json").unlink()
    runs = read_runs([folder])
    design = design_of([folder], runs, None)
    assert set(design.arms) == set(ARMS)
    found = [context_values(context) for context in design.contexts]
    assert found == list(AXES) if declared else sorted(map(str, found)) == sorted(map(str, AXES))
    part = restrict(design, arms=[FORMULA], where={"dataset": AXES[1]["dataset"]}, rope=None)
    assert part.shown.contexts == (context_text(AXES[1]),)
    records = read_records([folder], design, runs)
    for arm in ARMS:
        for context in AXES:
            of_place = records.of(arm, context_text(context))
            assert list(of_place["correct"]) == [correct(arm, context, seed) for seed in range(3)]


def test_arms_with_commas_are_chosen_by_their_names() -> None:
    assert arms_in(f"{FORMULA},sigmoid", ARMS) == [FORMULA, "sigmoid"]
    assert arms_in(f" sigmoid , {FORMULA} ,, d | e", ARMS) == ["sigmoid", FORMULA, "d | e"]
    assert arms_in("", ARMS) == []
    assert arms_in("tahn,sigmoid", ARMS) == ["tahn", "sigmoid"]


def test_arms_and_contexts_that_do_not_match_are_named(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", correct, arms=ARMS[:2], seeds=range(3))
    text = (folder / "runs.csv").read_text()
    (folder / "runs.csv").write_text(text.replace(",sigmoid,,", ",sigmoid,a=1 | a=2,", 1))
    assert message(DataError, read_runs, [folder]) == (
        f"{folder / 'runs.csv'}, line 2, column 'context': 'a=1 | a=2' is not a context for each arm"
    )


def test_the_report_of_such_a_study(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", correct, arms=ARMS, contexts=AXES, seeds=range(3))
    where = f"dataset={AXES[1]['dataset']}"
    run = CliRunner().invoke(app, ["report", str(folder), "--arms", FORMULA, "--where", where, "--json"])
    assert run.exit_code == 0, run.output
    (row,) = json.loads(run.stdout)["contrasts"]
    assert (row["arm"], row["context"], row["t"]["n"]) == (FORMULA, context_text(AXES[1]), 3)


@pytest.mark.slow
def test_the_pages_of_such_a_study(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", correct, arms=ARMS, contexts=AXES, seeds=range(3))
    run = CliRunner().invoke(app, ["report", str(folder)])
    assert run.exit_code == 0, run.output
    assert CliRunner().invoke(app, ["reproduce", str(folder)]).stdout.endswith("all equal\n")
