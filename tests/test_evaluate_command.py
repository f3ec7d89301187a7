"""`bamgate evaluate` in a process of its own, on runs that were really trained."""

import csv
import gzip
import json
from pathlib import Path

import pytest
from helpers import SMALL, bamgate

SETTINGS = [*SMALL, "--epochs", "1", "--quiet"]


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    trained = bamgate("run", "--gate", "tanh", *SETTINGS, "--out", str(out))
    assert trained.returncode == 0, trained.stderr
    return next((out / "cells").iterdir())


@pytest.fixture(scope="module")
def report(cell: Path) -> dict[str, object]:
    finished = bamgate("evaluate", str(cell), "--gate", "sigmoid", "--off", "each", "--hold", "all", "--json")
    assert finished.returncode == 0, finished.stderr
    content: dict[str, object] = json.loads(finished.stdout)
    return content


@pytest.mark.slow
def test_as_trained_it_says_again_what_the_run_has_logged(cell: Path, report: dict[str, object]) -> None:
    logged, scores = json.loads((cell / "result.json").read_text()), report["findings"][0]["scores"]  # type: ignore[index]
    for name in ("correct", "top5_correct", "total"):
        assert scores[name] == logged[name]
    assert scores["loss"] == pytest.approx(logged["test_loss"], rel=1e-6)
    with gzip.open(cell / "outcomes.csv.gz", "rt", newline="") as file:
        outcomes = list(csv.DictReader(file))
    for label in range(10):
        of_class = [row for row in outcomes if int(row["label"]) == label]
        assert scores["class_total"][label] == len(of_class)
        assert scores["class_correct"][label] == sum(int(row["correct"]) for row in of_class)
    assert sum(b["total"] for b in scores["bins"]) == logged["total"]


@pytest.mark.slow
def test_a_row_for_each_way_of_changing_the_gates(report: dict[str, object]) -> None:
    findings: list[dict[str, object]] = report["findings"]  # type: ignore[assignment]
    names = [finding["name"] for finding in findings]
    assert names == ["as trained", "gate sigmoid", "off: layer1", "off: layer2", "off: all sites", "held: all sites"]
    assert findings[0]["changed"] == 0
    assert all(finding["changed"] for finding in findings[1:])
    assert list(report["mean_scales"]) == ["layer1", "layer2"]  # type: ignore[call-overload]
    assert report["dataset"] == "cluttered-digits"


@pytest.mark.slow
def test_the_tables_for_people(cell: Path) -> None:
    finished = bamgate("evaluate", str(cell), "--per-class", "--calibration")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0] == "resnet8, bam with gate tanh, on the 1,000 test images of cluttered-digits, fp32"
    assert sum(line.split(" ")[0].isdigit() for line in lines) == 10
    assert sum(" to " in line for line in lines) == 15
    assert finished.stderr.strip() == f"Next: bamgate evaluate {cell} --off each --hold each"


@pytest.mark.slow
def test_on_another_data_set_with_the_normalisation_that_it_was_trained_with(cell: Path) -> None:
    finished = bamgate("evaluate", str(cell), "--dataset", "digits", "--json")
    assert finished.returncode == 0, finished.stderr
    content = json.loads(finished.stdout)
    assert content["dataset"] == "digits"
    assert content["findings"][0]["scores"]["loss"] == pytest.approx(_loss_on_digits(cell), rel=1e-5)


def _loss_on_digits(cell: Path) -> float:
    """By hand: bytes less mean over SD of the cluttered training images."""
    import torch

    from bamgate.data import DATASETS
    from bamgate.weights import load_model

    _, model = load_model(cell)
    trained_on = DATASETS.get("cluttered-digits").load(Path())[0].images[:320].double()
    test = DATASETS.get("digits").load(Path())[1]
    x = (test.images.double() - trained_on.mean()) / trained_on.std(correction=0)
    with torch.no_grad():
        logits = model(x.float().permute(0, 3, 1, 2))
    return float(torch.nn.functional.cross_entropy(logits, test.labels))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (["--off", "layer9"], 2, "bamgate: unknown site 'layer9'; did you mean 'layer2'? (allowed: layer1,"),
        (["--gate", "tahn"], 2, "bamgate: unknown gate 'tahn'; did you mean 'tanh'?"),
        (["--dataset", "cifar100"], 2, "bamgate: cifar100 has 100 classes, the network was trained with 10"),
        (["--dataset", "cifar10"], 2, "bamgate: cifar10 has 3 channels, the network was trained with 1"),
        (["--precision", "fp16"], 2, "bamgate: unknown precision 'fp16'"),
        (["--image-size", "32"], 2, "bamgate: image_size would have no effect: cluttered-digits images are 20x20"),
        (["--model", "resnet20"], 2, "bamgate: model 'resnet20' would have no effect"),
        (["--json", "--per-class"], 2, "bamgate: --per-class and --calibration would have no effect"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(cell: Path, options: list[str], code: int, line: str) -> None:
    finished = bamgate("evaluate", str(cell), *options)
    assert finished.returncode == code
    assert finished.stderr.startswith(line)
    assert finished.stderr.count("\n") == 1
    assert not finished.stdout
