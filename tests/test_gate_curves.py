"""The curves of a report are those of the gates that train: as a run stores them, and by formulas for older runs."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from csv_samples import made_study
from record_samples import configuration, finished_cell, gate_row, message
from study_samples import study_file, trained

from bamgate.errors import DataError
from bamgate.gates import GATES, gate_curve, load_gate
from bamgate.gates.gate import values_and_slopes
from bamgate.record.collect import collect, collected, disagreements, tables_are_current
from bamgate.record.tables import GATE_CURVES, format_rows, read_rows
from bamgate.reports.design import design_of
from bamgate.reports.figures import FIGURES
from bamgate.reports.gate_curves import FORMULAS, gate_curves
from bamgate.reports.records import Records, read_records, read_runs
from bamgate.study.verify import verify

MINE = "def bend(z):\n    return z / (2 + z * z)\n"
FORMULA = "expr:0.8*tanh(z)"


def test_only_built_in_gates_have_a_formula() -> None:
    assert set(FORMULAS) <= set(GATES.names())


@pytest.mark.parametrize("name", list(FORMULAS))
def test_a_formula_is_the_gate(name: str) -> None:
    frame = gate_curves([name])
    z = torch.tensor(frame["z"].to_numpy() + 1e-3)  # beside the kinks, where a slope is defined
    values, slopes = values_and_slopes(GATES.get(name).build().double(), z)
    curve = FORMULAS[name](z.numpy())
    assert curve == pytest.approx(values.detach().numpy(), abs=1e-7)
    central = (FORMULAS[name](z.numpy() + 1e-5) - FORMULAS[name](z.numpy() - 1e-5)) / 2e-5
    assert central == pytest.approx(slopes.detach().numpy(), abs=1e-5)
    assert frame["scale"].to_numpy() == pytest.approx(1 + FORMULAS[name](frame["z"].to_numpy()))


def test_gates_of_somebody_else_are_left_out() -> None:
    assert list(gate_curves(["tanh", "mine.py:gate", "tanh"])["gate"].unique()) == ["tanh"]
    assert gate_curves(["mine.py:gate"]).empty
    assert np.isclose(gate_curves(["sigmoid"]).set_index("z").loc[0.0, "scale"], 1.5)


@pytest.mark.parametrize("name", list(FORMULAS))
def test_a_stored_curve_is_the_one_that_the_formula_draws(name: str) -> None:
    stored, drawn = pd.DataFrame(gate_curve(GATES.get(name))), gate_curves([name])
    assert stored["z"].tolist() == drawn["z"].tolist()
    assert (1 + stored["g"]).to_numpy() == pytest.approx(drawn["scale"].to_numpy(), abs=2e-6)
    smooth = ~stored["z"].abs().isin([1.0, 2.0, 2.5, 3.0])  # at a kink there are two slopes
    assert stored["slope"][smooth].to_numpy() == pytest.approx(drawn["slope"][smooth].to_numpy(), abs=2e-4)


def read(folder: Path) -> tuple[object, Records]:
    runs = read_runs([folder])
    design = design_of([folder], runs, None)
    return design, read_records([folder], design, runs)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a built-in gate and a formula, run for real."""
    root = tmp_path_factory.mktemp("curves")
    path = study_file(root, gates=f'"sigmoid", "{FORMULA}"', seeds="0-1")
    return trained(root / "out", path)


def test_a_run_stores_the_curve_of_its_gate_and_the_folder_one_a_gate(study: Path) -> None:
    cells = sorted((study / "cells").iterdir())
    assert len(cells) == 4
    assert all((cell / "gate_curve.csv").is_file() for cell in cells)
    rows = read_rows(GATE_CURVES, study / "gate_curves.csv")
    assert [row["gate"] for row in rows] == [FORMULA] * 241 + ["sigmoid"] * 241
    z = np.array([row["z"] for row in rows[:241]])
    assert np.array([row["g"] for row in rows[:241]]) == pytest.approx(0.8 * np.tanh(z), abs=1e-6)
    assert np.array([row["slope"] for row in rows[:241]]) == pytest.approx(0.8 / np.cosh(z) ** 2, abs=1e-6)
    assert tables_are_current(study)
    assert verify(study) == []


def test_the_figure_draws_any_gate_from_the_tables_alone(study: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    published.mkdir()
    for name in ("runs.csv", "epochs.csv", "gates.csv", "gate_curves.csv", "study.json"):
        shutil.copy(study / name, published / name)
    design, records = read(published)
    spec = FIGURES["gates"]
    frame = spec.frame(records, design, {})  # type: ignore[arg-type]
    assert list(frame["gate"].unique()) == ["sigmoid", FORMULA]
    assert spec.applies(frame)
    assert "Not drawn" not in spec.caption(frame, design)  # type: ignore[arg-type]
    assert "0.20 to 1.80" in spec.alt(frame, design)  # type: ignore[arg-type]
    figure = spec.draw(frame, design)  # type: ignore[arg-type]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sigmoid", FORMULA]


def test_code_of_ones_own_has_a_curve(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    points = gate_curve(load_gate(f"{tmp_path / 'mine.py'}:bend"))
    assert {point["gate"] for point in points} == {"mine.py:bend"}
    assert [point for point in points if point["z"] == 2] == [
        {"gate": "mine.py:bend", "z": 2.0, "g": 0.333333, "slope": pytest.approx(-1 / 18, abs=1e-6)}
    ]


def test_of_older_runs_the_built_in_gates_are_drawn_and_the_others_named(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "made", lambda arm, context, seed: 9000 + seed, arms=("sigmoid", "tanh", "expr:z"))
    design, records = read(folder)
    assert records.curves.empty
    frame = FIGURES["gates"].frame(records, design, {})  # type: ignore[arg-type]
    assert list(frame["gate"].unique()) == ["sigmoid", "tanh"]
    caption = FIGURES["gates"].caption(frame, design)  # type: ignore[arg-type]
    assert caption.endswith("Not drawn, since no run has stored the curve of its gate: expr:z.")


def with_curve(out: Path, gate: str, seed: int, g: float) -> None:
    log = finished_cell(out, configuration(gate, seed), gates=[gate_row(epoch) for epoch in (0, 1, 2)])
    log.write_curve([{"gate": gate, "z": 0.0, "g": g, "slope": 1.0}])
    log.finish({name: value for name, value in (log.result() or {}).items() if name not in ("files", "cell", "schema")})


def test_the_table_of_curves_is_held_against_the_cells(tmp_path: Path) -> None:
    with_curve(tmp_path, "tanh", 0, 0.25)
    finished_cell(tmp_path, configuration("softsign"))  # of before curves were stored
    collect(tmp_path)
    path = tmp_path / "gate_curves.csv"
    assert path.read_text() == "schema,gate,z,g,slope\n1,tanh,0.0,0.25,1.0\n"
    with_curve(tmp_path, "sigmoid", 0, 0.5)
    assert list(disagreements(tmp_path, collected(tmp_path)[1])) == []  # it lacks a gate, and is right about the other
    path.write_text(path.read_text().replace("0.25", "0.26"))
    (said,) = disagreements(tmp_path, collected(tmp_path)[1])
    assert "what stands there of 'tanh' is not what the cell says" in said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"gate": "tanh", "z": 0, "g": 0}] * 2, "line 3, column 'z': gate tanh, z 0.0 is there already"),
        ([{"z": 0, "g": 0}], "line 2, column 'gate': is empty"),
        ([{"gate": "tanh", "g": 0}], "line 2, column 'z': is empty"),
    ],
)
def test_curves_that_cannot_be_are_named(tmp_path: Path, rows: list[dict[str, object]], said: str) -> None:
    folder = made_study(tmp_path / "made", lambda arm, context, seed: 9000 + seed)
    path = folder / "gate_curves.csv"
    path.write_text(format_rows(GATE_CURVES, rows, header=True))
    assert message(DataError, read, folder) == f"{path}, {said}"
