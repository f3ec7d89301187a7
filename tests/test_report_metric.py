"""A report on a metric that is not accuracy: an error in pixels, of which less is better."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from csv_samples import edit, made_study
from metric_samples import ARMS, ERROR, analysed, error, failing, metric_row, metric_study
from report_samples import PROVENANCE
from scipy import stats

from bamgate.cli.report import reproduce as command
from bamgate.errors import DataError, UsageError
from bamgate.record.metric import ACCURACY, Metric
from bamgate.record.tables import RUNS, format_rows
from bamgate.reports import figures
from bamgate.reports.build import build
from bamgate.reports.design import design_of, restrict
from bamgate.reports.figures import FIGURES
from bamgate.reports.pages import write_pages
from bamgate.reports.records import read_records, read_runs
from bamgate.reports.words.headline import headline_words
from bamgate.reports.words.numbers import ascii_signs


def built(folder: Path) -> Path:
    runs = read_runs([folder])
    design = design_of([folder], runs)
    build(design, read_records([folder], design, runs), [folder], folder / "report")
    return folder / "report"


def exit_code(study: Path) -> int:
    try:
        command([study], study / "report", json=False)
    except typer.Exit as end:
        return end.exit_code
    return 0


def of(found: dict[str, Any], arm: str) -> dict[str, Any]:
    return next(row for row in found["contrasts"] if row["arm"] == arm)


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return analysed(metric_study(tmp_path_factory.mktemp("m") / "s", error, arms=ARMS))


@pytest.fixture(scope="module")
def few_figures() -> Iterator[None]:
    """Those that know the metric."""
    kept = ("differences", "forest", "curves")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in FIGURES if name not in kept]:
            patch.delitem(FIGURES, name)
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, few_figures: None) -> Path:
    folder = metric_study(tmp_path_factory.mktemp("built") / "s", failing, arms=ARMS)
    built(folder)
    return folder


def test_differences_are_of_values_and_tested_as_scipy_does(errors: dict[str, Any]) -> None:
    a, b = (np.array([error(arm, {}, seed) for seed in range(6)]) for arm in ("tanh", "sigmoid"))
    row, test = of(errors, "tanh"), stats.ttest_rel(a, b)
    limits = test.confidence_interval(0.95)
    assert row["differences"] == pytest.approx(a - b)
    t = row["t"]
    assert (t["mean"], t["t"], t["p"]) == pytest.approx((np.mean(a - b), test.statistic, test.pvalue))
    assert (t["low"], t["high"]) == pytest.approx((limits.low, limits.high))
    assert (t["mean"] < 0, row["verdict"]["code"]) == (True, "better")
    wins, ties = int((a < b).sum()), int((a == b).sum())
    assert (row["sign_test"]["wins"], row["sign_test"]["ties"]) == (wins, ties)
    assert row["sign_test"]["p"] == pytest.approx(stats.binomtest(wins, 6).pvalue)
    assert row["superiority"]["a12"] == pytest.approx(stats.mannwhitneyu(b, a).statistic / 36)
    assert row["signed_rank"]["p"] == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert row["unpaired"]["p"] == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    lower = stats.ttest_1samp(a - b, -0.2, alternative="greater").pvalue
    upper = stats.ttest_1samp(a - b, 0.2, alternative="less").pvalue
    assert row["equivalence"]["p"] == pytest.approx(max(lower, upper))
    of_mean = stats.t(5, np.mean(a - b), stats.sem(a - b))
    assert row["posterior"]["below"] == pytest.approx(of_mean.cdf(-0.2))
    next_one = stats.t(5, np.mean(a - b), np.std(a - b, ddof=1) * np.sqrt(1 + 1 / 6))
    assert row["posterior"]["next_seed_wins"] == pytest.approx(next_one.cdf(0))
    assert (row["sign_flip"]["status"], row["images"]) == ("not-counts", None)
    assert of(errors, "softsign")["verdict"]["code"].startswith("worse")


def test_levels_hold_values_and_no_counts(errors: dict[str, Any]) -> None:
    level = next(row for row in errors["levels"] if row["arm"] == "tanh")
    values = [error("tanh", {}, seed) for seed in range(6)]
    assert list(level["values"].values()) == values
    assert (level["accuracies"], level["correct"]) == ({}, {})
    assert level["level"]["mean"] == pytest.approx(np.mean(values))
    assert errors["metric"] == {"name": ERROR.name, "unit": "px", "better": "lower", "is_count": False}


def test_an_accuracy_is_named_too_and_keeps_its_counts(tmp_path: Path) -> None:
    found = analysed(made_study(tmp_path / "s", lambda arm, context, seed: 9000 + seed))
    assert found["metric"] == {"name": "accuracy", "unit": "%", "better": "higher", "is_count": True}
    assert found["levels"][0]["values"] == found["levels"][0]["accuracies"] == {str(s): 90 + s / 100 for s in range(5)}
    assert found["levels"][0]["correct"]["3"] == 9003


def test_best_epoch_and_mean_of_the_last_follow_the_metric(errors: dict[str, Any]) -> None:
    robust, t = of(errors, "tanh")["robust"], of(errors, "tanh")["t"]
    assert robust["last"] == 2
    # Every run comes down along the same curve, so the readings differ by nothing that a difference would show.
    assert (robust["mean_last"]["mean"], robust["best"]["mean"]) == pytest.approx((t["mean"], t["mean"]))


def test_the_best_epoch_is_the_lowest_error(tmp_path: Path) -> None:
    folder = metric_study(tmp_path / "s", error)
    low = {"tanh": 1.0, "sigmoid": 2.5}
    rows = read_runs([folder]).set_index("cell")["arm"]
    lines = (folder / "epochs.csv").read_text().splitlines()
    for number, line in enumerate(lines[1:], start=2):
        cell, epoch = line.split(",")[1:3]
        if epoch == "3":
            edit(folder / "epochs.csv", number, test_metric=str(low[rows[cell]] + number / 1e6))
    assert of(analysed(folder), "tanh")["robust"]["best"]["mean"] == pytest.approx(-1.5, abs=1e-3)


def test_two_metrics_are_not_compared(tmp_path: Path) -> None:
    folder = metric_study(tmp_path / "s", error)
    rows = [metric_row(arm, {}, seed, error(arm, {}, seed), ERROR) for arm in ARMS[:2] for seed in range(6)]
    rows[7] |= {"metric": "PSNR", "metric_unit": "dB", "metric_better": "higher"}
    (folder / "runs.csv").write_text(format_rows(RUNS, rows, header=True))
    with pytest.raises(DataError) as caught:
        analysed(folder)
    assert re.fullmatch(
        r"cell \w+ is judged by mean absolute error \(px, lower is better\), "
        r"cell \w+ by PSNR \(dB, higher is better\); compare them apart",
        str(caught.value),
    )


def test_accuracy_and_another_metric_are_not_compared(tmp_path: Path) -> None:
    made_study(tmp_path / "a", lambda arm, context, seed: 9000, arms=("tanh", "softsign"), seeds=range(6))
    metric_study(tmp_path / "b", error, arms=("sigmoid", "tanh"))
    for folder in ("a", "b"):
        (tmp_path / folder / "study.json").unlink()
    edit(tmp_path / "a" / "runs.csv", 2, cell="another")
    folders = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(DataError, match=r"(accuracy.* by mean absolute error|mean absolute error.* by accuracy)"):
        design_of(folders, _joined(folders))


def _joined(folders: list[Path]) -> Any:
    import pandas as pd

    return pd.concat([read_runs([folder]) for folder in folders], ignore_index=True)


def test_a_run_that_diverged_has_the_worst_rank_whatever_the_direction(tmp_path: Path) -> None:
    found = of(analysed(metric_study(tmp_path / "s", failing, arms=ARMS)), "tanh")
    assert found["left_out"] == [{"seed": 0, "code": "diverged", "arms": ["tanh"]}]
    assert found["t"]["n"] == 5
    d = [error("tanh", {}, seed) - error("sigmoid", {}, seed) for seed in range(1, 6)]
    rank = found["worst_rank"]
    assert (rank["wins"], rank["losses"]) == (sum(x < 0 for x in d), 1 + sum(x > 0 for x in d))
    assert rank["p"] == pytest.approx(stats.wilcoxon([100.0, *d]).pvalue)


def test_one_seed_has_no_interval_and_a_tie_no_spread(tmp_path: Path) -> None:
    one = analysed(metric_study(tmp_path / "one", error, seeds=range(1)))
    assert (of(one, "tanh")["t"]["n"], of(one, "tanh")["t"]["low"]) == (1, None)
    sentence = ascii_signs(headline_words(one).sentence)
    difference = error("tanh", {}, 0) - error("sigmoid", {}, 0)
    side = "below" if difference < 0 else "above"
    expected = f"Undecided: the mean absolute error of tanh is {abs(difference):.2f} px {side} that of sigmoid"
    assert sentence.startswith(f"{expected} (lower is better, 1 seed).")
    tie = analysed(metric_study(tmp_path / "tie", lambda arm, context, seed: 3.0 + seed / 7))
    assert (of(tie, "tanh")["t"]["status"], of(tie, "tanh")["verdict"]["code"]) == ("no-spread", "undecided")
    assert "is exactly that of sigmoid" in headline_words(tie).sentence
    shifted = analysed(metric_study(tmp_path / "even", lambda arm, context, seed: 3.0 + seed / 7 - (arm == "tanh") / 3))
    assert of(shifted, "tanh")["verdict"]["code"] == "undecided"
    assert "all 6 seeds differ by exactly −0.333333 px" in _page(shifted, tmp_path / "page")


def _page(found: dict[str, Any], folder: Path) -> str:
    write_pages(found, [], folder, provenance=PROVENANCE)
    return (folder / "report.md").read_text().replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"metric_value": "nan"}, "column 'metric_value': is empty or not finite, but the run has not diverged"),
        ({"metric_value": "inf"}, "column 'metric_value': is empty or not finite, but the run has not diverged"),
        ({"metric_value": ""}, "column 'metric_value': is empty or not finite, but the run has not diverged"),
        ({"metric_better": "sideways"}, "column 'metric_better': 'sideways' is not higher or lower"),
        ({"correct": "5"}, "column 'metric_value': stands beside a count of correct images; a run has one of the two"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_line(tmp_path: Path, values: dict[str, str], said: str) -> None:
    folder = metric_study(tmp_path / "s", error)
    edit(folder / "runs.csv", 3, **values)
    with pytest.raises(DataError, match=re.escape(f"{folder / 'runs.csv'}, line 3, {said}")):
        read_runs([folder])


def test_the_last_epoch_must_say_what_the_run_says(tmp_path: Path) -> None:
    folder = metric_study(tmp_path / "s", error)
    edit(folder / "epochs.csv", 9, test_metric="1.5")
    with pytest.raises(DataError, match=r"runs.csv says metric_value .*, the last row of the run in epochs.csv says "):
        analysed(folder)


def test_a_reading_that_lacks_values_says_so(tmp_path: Path) -> None:
    folder = metric_study(tmp_path / "s", error)
    edit(folder / "epochs.csv", 8, test_metric="")
    robust = of(analysed(folder), "tanh")["robust"]
    assert (robust["mean_last"]["status"], robust["mean_last"]["about"]) == ("missing-values", [1, 12])
    assert robust["best"]["n"] == 6


def test_a_margin_must_be_declared_for_a_metric_without_a_usual_one(tmp_path: Path) -> None:
    folder = metric_study(tmp_path / "s", error)
    (folder / "study.json").unlink()
    runs = read_runs([folder])
    design = design_of([folder], runs)
    said = "no study declares which difference in mean absolute error is too small to matter: say --rope in px"
    with pytest.raises(UsageError, match=said):
        restrict(design, arms=[], where={}, rope=None)
    assert restrict(design, arms=[], where={}, rope=250.0).rope == 250.0
    with pytest.raises(UsageError, match="--rope must be px of mean absolute error above 0, got 0"):
        restrict(design, arms=[], where={}, rope=0.0)


@pytest.mark.parametrize(("rope", "shown"), [(0.002, "-0.4512"), (50.0, "-0"), (0.2, "-0.45")])
def test_digits_follow_the_margin(tmp_path: Path, rope: float, shown: str) -> None:
    def exact(arm: str, context: dict[str, Any], seed: int) -> float:
        return 3.2 - 0.4512 * (arm == "tanh") + 0.001 * (-1) ** seed * (arm == "tanh")

    page = ascii_signs(_page(analysed(metric_study(tmp_path / "s", exact, rope=rope)), tmp_path / "page"))
    assert f"mean difference {shown.replace('-0', '0') if shown == '-0' else shown} px, SD over seeds" in page


def test_the_report_speaks_of_the_metric_and_not_of_accuracy(study: Path) -> None:
    text = (study / "report" / "report.md").read_text().replace("\u00a0", " ")
    assert "tanh is better than sigmoid by" in text
    assert "px of mean absolute error (lower is better, 95 % interval" in text
    assert "Mean absolute error is no share of images that a run gets right, so nothing here compares" in text
    assert "A difference within ±0.2 px of mean absolute error counts as too small to matter" in text
    assert not re.search("accurac|percentage points|points of|-point", text)
    assert (study / "report" / "tables" / "seeds.csv").read_text().startswith("context,arm,seed,value\n")


def test_the_report_is_reproduced(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(study) == 0
    assert capsys.readouterr().out.endswith("recomputed: all equal\n")
    path = study / "report" / "stats.json"
    kept = path.read_text()
    path.write_text(kept.replace('"better": "lower"', '"better": "higher"'))
    assert exit_code(study) == 5
    assert "stats.json: metric.better: the report says higher, the CSV files lower" in capsys.readouterr().out
    path.write_text(kept)


def test_a_report_of_version_2_which_names_no_metric_is_reproduced(
    tmp_path: Path, few_figures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_study(tmp_path / "s", lambda arm, context, seed: 9000 + 3 * seed * (arm == "tanh"))
    path = built(folder) / "stats.json"
    content = json.loads(path.read_text())
    del content["metric"]
    for level in content["levels"]:
        del level["values"]
    path.write_text(json.dumps({**content, "schema": 2}))
    assert exit_code(folder) == 0
    assert "(stats.json version 2)" in capsys.readouterr().err
    content["levels"][0]["accuracies"]["0"] += 1
    path.write_text(json.dumps({**content, "schema": 2}))
    assert exit_code(folder) == 5


def test_a_percentage_that_counts_nothing_differs_by_points(tmp_path: Path) -> None:
    metric = Metric(name="mAP", unit="%")
    found = analysed(metric_study(tmp_path / "s", lambda *place: 40 - 5 * error(*place), metric))
    sentence = ascii_signs(headline_words(found).sentence)
    assert re.match(
        r"tanh is better than sigmoid by \d\.\d\d points of mAP \(higher is better, 95 % interval", sentence
    )
    assert "mAP in percent of every run" in _page(found, tmp_path / "page")


def test_columns_of_a_later_version_that_are_empty_mean_accuracy(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", lambda arm, context, seed: 9000 + seed)
    assert "metric_value" in (folder / "runs.csv").read_text().splitlines()[0]
    assert design_of([folder], read_runs([folder])).metric == ACCURACY


def test_figures_draw_and_words_speak() -> None:
    """No module that draws holds a sentence or a label of more than one word; those of matplotlib are its own."""
    own = {"offset points", "outside lower left", "outside upper left", "Glyph .* missing from font"}
    folder = Path(figures.__file__).parent
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)]
        said = {ast.get_docstring(node, clean=False) for node in nodes} | own
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        english = [text for text in texts if text not in said and re.search(r"[a-z]{2,} [a-z]{2,}|, %|[a-z] −", text)]
        assert path.name in ("svg.py",) or english == [], path.name
