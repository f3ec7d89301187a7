"""What a report is made of: rows in one order, and one clear line for what cannot be."""

from pathlib import Path
from typing import Any

import pytest
from csv_samples import cell_of, edit, made_study, run_row, write_tables
from record_samples import message

from bamgate.errors import DataError, UsageError
from bamgate.reports.design import Design, design_of, restrict
from bamgate.reports.records import Outcomes, Records, read_records, read_runs

AXES = ({"model": "resnet20", "reduction": 4}, {"model": "resnet20", "reduction": 16})


def read(*folders: Path, reference: str | None = None) -> tuple[Design, Records]:
    runs = read_runs(folders)
    design = design_of(folders, runs, reference)
    return design, read_records(folders, design, runs)


def plain(arm: str, context: dict[str, Any], seed: int) -> int:
    return 9000 + seed + (7 if arm == "tanh" else 0)


def test_rows_stand_in_the_order_of_the_study_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain, arms=("tanh", "sigmoid"), contexts=AXES, seeds=range(2))
    _, before = read(folder)
    for name in ("runs.csv", "epochs.csv", "gates.csv"):
        head, *lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text(head + "".join(lines[::-1]))
    design, after = read(folder)
    for name in ("runs", "epochs", "gates"):
        assert getattr(before, name).equals(getattr(after, name)), name
    assert design.contexts == ("model=resnet20; reduction=4", "model=resnet20; reduction=16")
    found = list(zip(after.runs["context"], after.runs["arm"], after.runs["seed"], strict=True))
    assert found == [(c, a, s) for c in design.contexts for a in ("tanh", "sigmoid") for s in (0, 1)]
    assert list(after.runs["value"])[:2] == pytest.approx([90.07, 90.08])
    assert list(after.epochs["value"])[:1] == pytest.approx([(after.epochs["test_correct"].iloc[0]) / 100])


@pytest.mark.parametrize(
    ("column", "value", "here"),
    [
        ("arm", "tahn", "arm tahn, model=resnet20; reduction=4, seed 1"),
        ("seed", "7", "arm tanh, model=resnet20; reduction=4, seed 7"),
        ("context", "model=resnet20; reduction=16", "arm tanh, model=resnet20; reduction=16, seed 1"),
    ],
)
def test_a_row_that_is_not_what_the_study_has_for_its_cell_is_named(
    tmp_path: Path, column: str, value: str, here: str
) -> None:
    path = made_study(tmp_path / "s", plain, contexts=AXES, seeds=range(3)) / "runs.csv"
    lines = path.read_text().splitlines()
    line = next(
        i for i, text in enumerate(lines, 1) if ",tanh,model=resnet20; reduction=4," in text and ",tanh,1," in text
    )
    edit(path, line, **{column: value})
    expected = f"{here} here; in the study it is arm tanh, model=resnet20; reduction=4, seed 1"
    assert message(DataError, read, path.parent) == f"{path}, line {line}, column 'cell': {expected}"


def test_a_cell_that_stands_in_two_contexts_counts_in_both(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    shared = run_row("none", {}, 0, 9000, arm="none | none", context="reduction=4 | reduction=16")
    others = [run_row("sigmoid", {"reduction": r}, 0, 9000 + r) for r in (4, 16)]
    write_tables(tmp_path, [shared, *others])
    design, records = read(tmp_path)
    assert design.contexts == ("reduction=4", "reduction=16")
    assert [int(records.of("none", c)["correct"].iloc[0]) for c in design.contexts] == [9000, 9000]


def test_without_a_study_file_the_csv_files_say_what_is_compared(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain, contexts=AXES, seeds=range(3))
    declared, with_study = read(folder)
    (folder / "study.json").unlink()
    design, records = read(folder)
    assert (design.reference, design.rope, design.rope_declared) == ("sigmoid", 0.5, False)
    assert (design.arms, set(design.places)) == (declared.arms, set(declared.places))
    assert len(records.runs) == len(with_study.runs)


def test_a_design_comes_back_from_its_plain_form(tmp_path: Path) -> None:
    design, _ = read(made_study(tmp_path / "s", plain, contexts=AXES))
    assert Design.from_dict(design.to_dict()) == design


def test_two_parts_of_one_study_are_joined(tmp_path: Path) -> None:
    one = made_study(tmp_path / "a", plain, seeds=range(3))
    two = made_study(tmp_path / "b", plain, seeds=range(2, 5))
    design, records = read(one, two)
    assert design.seeds == (0, 1, 2, 3, 4)
    assert len(records.runs) == 10
    _, whole = read(made_study(tmp_path / "c", plain, seeds=range(5)))
    assert list(records.runs["correct"]) == list(whole.runs["correct"])


def test_folders_that_disagree_are_refused(tmp_path: Path) -> None:
    one = made_study(tmp_path / "a", plain)
    two = made_study(tmp_path / "b", plain)
    edit(two / "runs.csv", 2, correct="1")
    cell = (two / "runs.csv").read_text().splitlines()[1].split(",")[4]
    assert message(DataError, read, one, two).startswith(f"cell {cell} ended differently in two of the folders")
    other = made_study(tmp_path / "c", plain, rope=2.0)
    assert message(UsageError, read, one, other) == (
        f"{one} and {other} are different studies: rope is 1.0 there and 2.0 here"
    )


def test_runs_that_differ_in_more_than_the_gate_are_refused(tmp_path: Path) -> None:
    rows = [
        run_row("sigmoid", {}, 0, 9000, study=None, context=None),
        run_row("tanh", {}, 0, 9000, study=None, context=None, model="resnet20", design_sha256="other"),
    ]
    write_tables(tmp_path, rows)
    assert message(UsageError, read, tmp_path) == (
        "these runs differ in more than the gate (model: resnet20, resnet8); they cannot be compared"
    )


def test_two_runs_of_one_gate_and_seed_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        facts = {"study": None, "context": None, "gate_fingerprint": "f1"}
        rows = [run_row(gate, {}, 0, 9000, **facts, cell=f"{name}{gate}") for gate in ("sigmoid", "tanh")]
        (tmp_path / name).mkdir()
        write_tables(tmp_path / name, rows)
    with pytest.raises(UsageError, match=r"two runs of gate 'sigmoid' with seed 0 \(cells asigmoid and bsigmoid\)"):
        read(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("gate", "changed"),
    [
        ("tanh", {"gate_fingerprint": "other"}),
        ("mine.py:g", {"gate_fingerprint": "other"}),
        ("mine.py:g", {"gate_source_sha256": "0" * 64}),  # the same values on the grid, from another source
    ],
)
def test_two_functions_under_one_name_are_refused(tmp_path: Path, gate: str, changed: dict[str, str]) -> None:
    rows = [run_row(arm, {}, seed, 9000, study=None) for arm in ("sigmoid", gate) for seed in (0, 1)]
    write_tables(tmp_path, rows)
    read(tmp_path)
    write_tables(tmp_path, [*rows[:-1], rows[-1] | changed])
    cells = [row["cell"] for row in sorted(rows[2:], key=lambda row: row["cell"])]
    assert message(UsageError, read, tmp_path) == (
        f"gate {gate!r} is not the same function in cells {cells[0]} and {cells[1]}, so their runs are not of one arm; "
        "train one of the two again, under a name of its own"
    )


def test_a_reference_is_needed(tmp_path: Path) -> None:
    write_tables(tmp_path, [run_row(gate, {}, 0, 9000, study=None) for gate in ("tanh", "softsign")])
    assert message(UsageError, read, tmp_path) == "no reference arm: say --reference with one of softsign, tanh"
    design, _ = read(tmp_path, reference="softsign")
    assert design.name == tmp_path.name  # not a NaN, where no row names a study
    assert (design.reference, design.headline) == ("softsign", "tanh")
    with pytest.raises(UsageError, match=r"unknown reference arm 'tahn'; did you mean 'tanh'\?"):
        read(tmp_path, reference="tahn")


def test_one_arm_alone_is_no_comparison(tmp_path: Path) -> None:
    write_tables(tmp_path, [run_row("tanh", {}, 0, 9000, study=None)])
    assert message(UsageError, read, tmp_path) == "these runs have one arm only, tanh: a report compares two or more"


def test_a_part_of_a_design(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", "softsign")
    design, _ = read(made_study(tmp_path / "s", plain, arms=arms, contexts=AXES))
    whole = restrict(design, arms=["softsign"], where={"reduction": "4"}, rope=0.3)
    assert whole.places == design.places
    part = whole.shown
    assert (part.arms, part.contexts, part.rope) == (("sigmoid", "softsign"), (design.contexts[0],), 0.3)
    assert (part.rope_declared, part.rope_of_study, part.headline) == (False, 1.0, "softsign")
    assert {(p.arm, p.context) for p in part.places} == {(a, design.contexts[0]) for a in part.arms}
    assert restrict(design, arms=[], where={}, rope=None) == design


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"arms": ["tahn"]}, "unknown arm 'tahn'; did you mean 'tanh'? (allowed: sigmoid, tanh)"),
        ({"arms": ["sigmoid"]}, "there is nothing to compare: sigmoid alone; a report needs two arms"),
        ({"where": {"modle": "x"}}, "unknown axis 'modle'; did you mean 'model'? (allowed: model, reduction)"),
        ({"where": {"reduction": "5"}}, "unknown reduction of --where '5' (allowed: 4, 16)"),
        ({"rope": 0.0}, "--rope must be points of accuracy above 0 and below 100, got 0"),
        ({"rope": float("nan")}, "--rope must be points of accuracy above 0 and below 100, got nan"),
    ],
)
def test_a_part_that_is_not_there_is_refused(tmp_path: Path, choice: dict[str, Any], said: str) -> None:
    design, _ = read(made_study(tmp_path / "s", plain, contexts=AXES))
    with pytest.raises(UsageError) as caught:
        restrict(design, **{"arms": [], "where": {}, "rope": None, **choice})
    assert str(caught.value) == said


COMMA = " (decimal comma? write 2.5)"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"correct": ""}, "line 3, column 'correct': is empty"),
        ({"correct": "nan"}, "line 3, column 'correct': 'nan' is not a whole number"),
        ({"correct": "10001"}, "line 3, column 'correct': 10001 correct of 10000 test images"),
        ({"correct": "-1"}, "line 3, column 'correct': '-1' is negative"),
        ({"threads": ""}, "line 3, column 'threads': is empty"),
        ({"total": "0"}, "line 3, column 'total': 0 test images"),
        ({"status": "fine"}, "line 3, column 'status': 'fine' (allowed: finished, diverged)"),
        ({"seed": "one"}, "line 3, column 'seed': 'one' is not a whole number"),
        ({"schema": "3"}, "line 3: written by a newer bamgate; table runs version 3, this one reads up to 2"),
        ({"wall_s": "2,5"}, f"line 3, column 'wall_s': '2,5' is not a number{COMMA}"),
        ({"arm": ""}, "line 3, column 'arm': is empty"),
        ({"top5_correct": "10001"}, "line 3, column 'top5_correct': 10001 among the five best of 10000 test images"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path: Path, values: dict[str, str], said: str) -> None:
    folder = made_study(tmp_path / "s", plain)
    edit(folder / "runs.csv", 3, **values)
    assert message(DataError, read, folder) == f"{folder / 'runs.csv'}, {said}"


def test_a_cell_twice_is_named(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain)
    lines = (folder / "runs.csv").read_text().splitlines(keepends=True)
    (folder / "runs.csv").write_text("".join([*lines, lines[1]]))
    cell = lines[1].split(",")[4]
    assert message(DataError, read, folder).endswith(f"line 12, column 'cell': cell {cell} stands here a second time")


def test_rows_of_no_run_and_rows_twice_are_named(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain)
    text = (folder / "epochs.csv").read_text()
    edit(folder / "epochs.csv", 4, cell="abc")
    assert message(DataError, read, folder) == (
        f"{folder / 'epochs.csv'}, line 4, column 'cell': cell 'abc' is not in runs.csv"
    )
    lines = text.splitlines(keepends=True)
    (folder / "epochs.csv").write_text("".join([*lines, lines[1]]))
    assert message(DataError, read, folder).endswith("epoch 1 is there already")


def test_files_that_a_spreadsheet_saved_are_named(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain)
    path = folder / "runs.csv"
    text = path.read_text()
    path.write_text("\ufeff" + text)
    assert message(DataError, read, folder).startswith(f"{path} starts with a byte order mark")
    path.write_text(text.replace(",", ";"))
    assert message(DataError, read, folder).startswith(f"{path}, line 1: semicolons instead of commas")
    path.write_bytes(text.replace("made-data", "dät").encode("latin-1"))
    assert message(DataError, read, folder).startswith(f"{path} is not a UTF-8 text")


def test_columns_that_are_missing_and_files_without_runs_are_named(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain)
    path = folder / "runs.csv"
    text = path.read_text()
    path.write_text(text.replace("correct", "korrekt", 1))
    assert message(DataError, read, folder).startswith(f"{path}, line 1: no column 'correct'")
    path.write_text(text.splitlines(keepends=True)[0])
    assert message(DataError, read, folder) == f"{path} holds no runs yet"
    path.write_text("")
    assert message(DataError, read, folder) == f"{path} holds no runs yet"
    path.unlink()
    assert message(DataError, read, folder) == f"{path} is missing"


def test_a_torn_last_line_was_never_written(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain)
    _, before = read(folder)
    with (folder / "epochs.csv").open("a") as file:
        file.write("1,abc,5")
    _, after = read(folder)
    assert before.epochs.equals(after.epochs)


def test_names_that_a_spreadsheet_would_run_come_back_as_they_were(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain, arms=("sigmoid", "=cmd()", "'-x"))
    assert ",'=cmd()," in (folder / "runs.csv").read_text()
    _, records = read(folder)
    assert set(records.runs["arm"]) == {"sigmoid", "=cmd()", "'-x"}


def test_outcomes_are_read_where_they_are(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", plain, seeds=range(1), outcomes=True)
    cell = cell_of("tanh", "", 0)
    found = Outcomes([folder]).of(cell)
    assert found is not None
    assert (len(found), int(found.sum())) == (10_000, 9007)
    assert Outcomes([folder]).of("nowhere") is None
    path = folder / "cells" / cell / "outcomes.csv.gz"
    path.write_bytes(path.read_bytes()[:50])
    assert message(DataError, Outcomes([folder]).of, cell).startswith(f"{path} is damaged: ")
