"""A task that a package brings, at the command line: trainer processes know it, and what is for classes refuses it."""

import json
import os
from pathlib import Path

import pytest
from helpers import bamgate
from record_samples import message
from study_samples import HEAD
from task_samples import ERROR, install

from bamgate.cli.study_show import arms_table, shown_value
from bamgate.errors import UsageError
from bamgate.record.metric import ACCURACY, Metric, value_of
from bamgate.record.tables import RUNS, read_rows
from bamgate.study.compare import ArmRow
from bamgate.weights import load_model, load_network, write_safetensors


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a study of one seed was run by a trainer process of its own."""
    root = tmp_path_factory.mktemp("ran")
    install(root / "site-packages")
    settings = 'dataset = "shades-brightness"\nbatch_size = 16\nepochs = 1\nlr = 0.02\n'
    (root / "bright.toml").write_text(f'{HEAD}seeds = "0"\ngates = ["sigmoid", "tanh"]\n[settings]\n{settings}')
    finished = bamgate("study", "run", "bright.toml", "--out", "out", "--jobs", "1", cwd=root, env=environment(root))
    assert finished.returncode == 0, finished.stderr
    (root / "stdout").write_text(finished.stdout)
    (root / "stderr").write_text(finished.stderr)
    return root


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root / "site-packages"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def test_a_study_is_run_shown_and_verified(ran: Path) -> None:
    rows = read_rows(RUNS, ran / "out" / "runs.csv")
    assert {row["task"] for row in rows} == {"brightness"}
    values = {row["gate"]: value_of(row) for row in rows}
    for gate, value in values.items():
        assert f"{gate} seed 0  {value:.4g} px" in (ran / "stderr").read_text()
    shown = (ran / "stdout").read_text()
    assert "mean absolute error, px (lower is better), and px above the reference on the same seeds" in shown
    assert f"{values['tanh'] - values['sigmoid']:+.4g}" in shown
    assert "accuracy" not in shown + (ran / "stderr").read_text()
    told = bamgate("study", "status", "out", "--json", cwd=ran, env=environment(ran))
    facts = json.loads(told.stdout)
    assert [(row["arm"], row["mean"], row["metric"]["name"]) for row in facts["arms"]] == [
        ("sigmoid", values["sigmoid"], ERROR.name),
        ("tanh", values["tanh"], ERROR.name),
    ]
    verified = bamgate("study", "verify", "out", cwd=ran, env=environment(ran))
    assert verified.returncode == 0, verified.stderr + verified.stdout


def test_weights_remember_their_task_and_are_not_taken_for_classes(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ran / "site-packages"))
    cell = next((ran / "out" / "cells").iterdir())
    network, net = load_model(cell)
    assert (network.task, network.num_classes) == ("brightness", 1)
    write_safetensors(tmp_path / "w.safetensors", network, net.state_dict())
    assert load_network(tmp_path / "w.safetensors")[0].task == "brightness"
    for source in (str(cell), str(tmp_path / "w.safetensors")):
        refused = bamgate("evaluate", source, cwd=ran, env=environment(ran))
        assert refused.returncode == 2
        assert "is for task 'brightness'; only classification can be evaluated again" in refused.stderr
        assert refused.stderr.count("\n") == 1
    refused = bamgate("convert", str(cell), str(tmp_path / "w.pth"), cwd=ran, env=environment(ran))
    assert refused.returncode == 2
    assert "is for task 'brightness', which only a .safetensors file can say" in refused.stderr
    assert not (tmp_path / "w.pth").exists()


def test_a_table_of_arms_names_metric_unit_and_direction() -> None:
    def title(metric: Metric | None) -> str:
        row = ArmRow(context={}, arm="tanh", values={0: 1.5}, differences={}, diverged=0, metric=metric)
        return str(vars(arms_table([row]))["heading"])

    assert title(None) == title(ACCURACY) == "Test accuracy, %, and points above the reference on the same seeds"
    assert title(Metric(name="mAP", unit="%")) == "Test mAP, %, and points above the reference on the same seeds"
    assert title(Metric(name="R2")) == "Test R2, and how much above the reference on the same seeds"
    assert title(ERROR).startswith("Test mean absolute error, px (lower is better), and px above the reference")
    assert [shown_value(value, ERROR) for value in (0.123456, 1234.5, float("nan"))] == [
        "0.1235 px",
        "1234 px",
        "no mean absolute error",
    ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"name": ""}, "a metric needs a name"),
        ({"name": "a\nb"}, "is no text of one line without spaces around"),
        ({"name": "m", "unit": " px"}, "is no text of one line without spaces around"),
        ({"name": "m", "is_count": True}, "is a count, so its unit must be '%', and higher is better"),
        ({"name": "m", "unit": "%", "is_count": True, "higher_is_better": False}, "is a count, so its unit must be"),
    ],
)
def test_a_metric_that_no_table_can_hold_is_refused(facts: dict[str, object], said: str) -> None:
    assert said in message(UsageError, lambda: Metric(**facts))  # type: ignore[arg-type]
