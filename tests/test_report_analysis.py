"""From rows to numbers: each of them known from another road."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csv_samples import edit, made_study, of_golden
from scipy import stats as scipy_stats

from bamgate.errors import DataError
from bamgate.record.study_file import study_digest
from bamgate.reports.analysis import analyse
from bamgate.reports.design import design_of, restrict
from bamgate.reports.records import Outcomes, read_records, read_runs
from bamgate.reports.words.gate_properties import confound_sentence
from bamgate.reports.words.headline import Headline, headline_words
from bamgate.reports.words.numbers import ascii_signs

NETWORKS = ({"model": "resnet20"}, {"model": "resnet18"}, {"model": "wrn-16-8"})


def analysed(*folders: Path) -> dict[str, Any]:
    runs = read_runs(folders)
    design = design_of(folders, runs)
    found = analyse(design, read_records(folders, design, runs), Outcomes(folders))
    json.dumps(found, allow_nan=False)  # plain types, and no number that is none
    return found


def said(found: dict[str, Any]) -> Headline:
    return Headline(*map(ascii_signs, headline_words(found)))


def confounds(found: dict[str, Any]) -> str:
    return " ".join(map(confound_sentence, found["confounds"]))


def drawn(mean: float, sd: float, seed: int = 0) -> Any:
    """Counts around 9,000 images; tanh lies `mean` images above sigmoid on average, each pair with its own noise."""
    noise = np.random.default_rng(seed).normal(0, 1, 10_000)

    def correct(arm: str, context: dict[str, Any], run: int) -> int:
        shift = mean + sd * noise[run + 100 * len(str(context))] if arm == "tanh" else 0.0
        return round(9000 + shift)

    return correct


def test_the_golden_comparison_comes_out_of_csv_files(tmp_path: Path) -> None:
    correct, seeds = of_golden("d1_clear_n10")
    found = analysed(made_study(tmp_path / "s", correct, seeds=seeds, rope=0.2))
    (row,) = found["contrasts"]
    assert row["differences"] == pytest.approx([0.46, 0.14, 0.35, 0.21, 0.51, 0.25, -0.07, 0.44, 0.17, 0.48])
    assert (row["t"]["mean"], row["t"]["low"], row["t"]["high"]) == pytest.approx((0.294, 0.160416, 0.427584), abs=1e-6)
    assert row["sign_flip"]["p"] == pytest.approx(0.003906, abs=1e-6)
    assert row["posterior"]["above"] == pytest.approx(0.927056, abs=1e-6)
    assert row["verdict"]["code"] == "better-maybe-negligible"
    assert (row["holm_p"], row["family"]) == (row["t"]["p"], 1)
    assert found["headline"]["code"] == "better-maybe-negligible"
    assert "tanh is better than sigmoid by 0.29 points (95 % interval +0.16 to +0.43, 10 seeds)" in said(found).sentence
    assert "other arms" not in said(found).sentence
    level = next(r for r in found["levels"] if r["arm"] == "tanh")
    assert level["level"]["mean"] == pytest.approx(77.479)
    assert level["accuracies"]["3"] == pytest.approx(77.62)


def test_the_first_sentence_does_not_hide_the_other_arms(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", "softsign", "arctan")
    jitter = np.random.default_rng(3).normal(0, 20, (4, 8)).round().astype(int)

    def correct(arm: str, context: dict[str, Any], seed: int) -> int:
        return int(9000 - 600 * (arm == "arctan") + jitter[arms.index(arm), seed])

    found = analysed(made_study(tmp_path / "s", correct, arms=arms, seeds=range(8), rope=0.01))
    assert found["headline"]["arm"] == "tanh"
    assert said(found).sentence.endswith(" The other arms against sigmoid: worse: arctan; undecided: softsign.")


def test_undecided_says_how_many_seeds_are_missing(tmp_path: Path) -> None:
    correct, seeds = of_golden("d2_null_n5_ties")
    found = analysed(made_study(tmp_path / "s", correct, seeds=seeds, rope=0.1))
    assert found["contrasts"][0]["verdict"]["seeds_missing"] == 9
    sentence = said(found).sentence
    assert sentence.startswith(
        "Undecided: tanh scored 0.01 points above sigmoid (95 % interval -0.14 to +0.16, 5 seeds)"
    )
    assert "finding a true difference of 0.1 points with power 0.8 takes 14 seeds, 9 more than these 5" in sentence
    assert "no difference" not in " ".join(said(found))


@pytest.mark.parametrize(
    ("mean", "sd", "code", "expected"),
    [
        (300, 20, "better", "tanh is better than sigmoid by "),
        (-300, 20, "worse", "tanh is worse than sigmoid by "),
        (0, 20, "equivalent", "tanh and sigmoid are equivalent here: "),
        (100, 60, "better-maybe-negligible", "tanh is better than sigmoid by "),
    ],
)
def test_the_first_sentence_is_the_verdict(tmp_path: Path, mean: float, sd: float, code: str, expected: str) -> None:
    found = analysed(made_study(tmp_path / "s", drawn(mean, sd), seeds=range(8)))
    assert found["headline"]["code"] == code
    assert said(found).sentence.startswith(expected)


def test_an_interval_without_zero_may_be_undecided_for_the_family(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", *(f"expr:z/{k}" for k in range(2, 12)))
    noise = np.random.default_rng(5).normal(0, 30, 1000)

    def correct(arm: str, context: dict[str, Any], seed: int) -> int:
        return round(9000 + (40 if arm == "tanh" else 0) + noise[seed + 10 * arms.index(arm)])

    found = analysed(made_study(tmp_path / "s", correct, arms=arms, rope=0.2))
    row = found["contrasts"][0]
    assert row["t"]["low"] > 0
    assert row["t"]["p"] < 0.05 < row["holm_p"]
    sentence = said(found).sentence
    assert "an interval that excludes 0, but corrected for 11 comparisons with sigmoid p = " in sentence
    assert "chance" not in sentence


def test_p_values_are_corrected_over_all_arms_and_contexts(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", "softsign", "hardtanh")
    noise = np.random.default_rng(1).normal(0, 30, 10_000)

    def correct(arm: str, context: dict[str, Any], seed: int) -> int:
        return round(9000 + 40 * arms.index(arm) + noise[seed + 10 * arms.index(arm) + 100 * len(str(context))])

    found = analysed(made_study(tmp_path / "s", correct, arms=arms, contexts=NETWORKS[:2]))
    raw = sorted(row["t"]["p"] for row in found["contrasts"])
    assert len(raw) == 6
    held = [max(min(1.0, p * (6 - k)) for k, p in enumerate(raw[: j + 1])) for j in range(6)]
    assert sorted(row["holm_p"] for row in found["contrasts"]) == pytest.approx(held)
    assert found["contrasts"][0]["family"] == 6


def test_a_run_that_diverged_is_counted_and_makes_no_pair(tmp_path: Path) -> None:
    correct, seeds = of_golden("d1_clear_n10")

    def failing(arm: str, context: dict[str, Any], seed: int) -> int | None:
        return None if (arm, seed) == ("tanh", 3) else correct(arm, context, seed)

    found = analysed(made_study(tmp_path / "s", failing, seeds=seeds, rope=0.2))
    (row,) = found["contrasts"]
    assert row["left_out"] == [{"seed": 3, "code": "diverged", "arms": ["tanh"]}]
    assert (row["t"]["n"], row["t"]["p"]) == (9, pytest.approx(0.0016, abs=1e-4))
    assert row["worst_rank"]["p"] == pytest.approx(0.105, abs=1e-3)
    assert row["worst_rank"]["wins"] == 8
    rate = next(f["rate"] for f in found["failures"] if f["arm"] == "tanh")
    assert (rate["failed"], rate["n"], rate["low"]) == (1, 10, pytest.approx(0.018, abs=1e-3))
    level = next(r for r in found["levels"] if r["arm"] == "tanh")
    assert (level["finished"], level["diverged"], "3" in level["accuracies"]) == (9, 1, False)
    assert found["progress"]["complete"]


def test_an_unfinished_study_gives_no_verdict_and_no_p(tmp_path: Path) -> None:
    correct, seeds = of_golden("d1_clear_n10")
    found = analysed(made_study(tmp_path / "s", correct, seeds=seeds, missing=(("tanh", 9), ("sigmoid", 8))))
    progress = found["progress"]
    assert (progress["complete"], progress["missing"], progress["seeds_done"]) == (False, 2, 8)
    assert found["headline"]["code"] == "interim"
    assert said(found).sentence.startswith("Interim: 8 of 10 seeds are complete (18 of 20 runs have ended)")

    def tests(value: Any, name: str = "") -> list[Any]:
        if isinstance(value, dict):
            return [p for key, item in value.items() for p in tests(item, key)]
        if isinstance(value, list):
            return [p for item in value for p in tests(item)]
        return [value] if name in ("p", "holm_p", "p_lower", "p_upper", "smallest_p", "above", "medium") else []

    assert set(tests(found["contrasts"])) == {None}
    assert found["contrasts"][0]["verdict"]["code"] == "interim"
    assert found["contrasts"][0]["t"]["mean"] == pytest.approx(2.29 / 8)


def test_a_choice_of_arms_changes_no_p_and_no_plan(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", "softsign")
    noise = np.random.default_rng(1).normal(0, 30, 1000)
    folder = made_study(tmp_path / "s", lambda a, c, s: round(9000 + noise[s + 10 * arms.index(a)]), arms=arms)
    runs = read_runs([folder])
    design = design_of([folder], runs)
    part = restrict(design, arms=["softsign"], where={}, rope=0.5)
    records, outcomes = read_records([folder], part, runs), Outcomes([folder])
    whole, shown = analyse(design, records, outcomes), analyse(part, records, outcomes)
    assert [row["arm"] for row in shown["contrasts"]] == ["softsign"]
    assert shown["contrasts"][0]["holm_p"] == whole["contrasts"][1]["holm_p"]
    assert shown["progress"] == whole["progress"]
    sure = said(shown).sure
    assert "Only 1 of the study's 2 comparisons are shown; p values are corrected for all of them." in sure
    assert "The margin of 0.5 points was chosen for this report; the study declared 1 point." in sure


def test_seeds_that_were_added_are_named_beside_the_verdict(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", drawn(50, 10))
    content = json.loads((folder / "study.json").read_text()) | {"added_seeds": [4]}
    (folder / "study.json").write_text(json.dumps(content))
    assert "Seed 4 was added to the plan later" in said(analysed(folder)).sure


def test_an_arm_that_always_diverges_is_named_first(tmp_path: Path) -> None:
    found = analysed(made_study(tmp_path / "s", lambda a, c, s: None if a == "tanh" else 9000 + s))
    assert found["headline"]["code"] == "undecided"
    assert "sigmoid diverged in 0 of 5 runs and tanh diverged in 5 of 5 runs; Fisher's exact test p = 0.0079" in (
        said(found).sure
    )


def test_settings_of_one_network_are_no_sample_of_networks(tmp_path: Path) -> None:
    contexts = ({"reduction": 4}, {"reduction": 8}, {"reduction": 16})
    found = analysed(made_study(tmp_path / "s", drawn(300, 20), contexts=contexts))
    assert found["across"] == []
    assert found["headline"]["code"] == "better"
    assert said(found).sentence == 'tanh against sigmoid, in each of 3 contexts by itself: "better" in 3.'


def test_a_seed_that_one_gate_lacks_leaves_runs_without_a_verdict(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", drawn(300, 20), missing=(("tanh", 4),))
    (folder / "study.json").unlink()
    for line in range(2, 11):
        edit(folder / "runs.csv", line, study="", context="")
    found = analysed(folder)
    assert found["headline"]["code"] == "interim"
    assert (found["progress"]["planned"], found["progress"]["missing"]) == (10, 1)


def test_one_seed_is_no_certainty(tmp_path: Path) -> None:
    found = analysed(made_study(tmp_path / "s", drawn(50, 1), seeds=range(1)))
    (row,) = found["contrasts"]
    assert (row["t"]["n"], row["t"]["low"], row["holm_p"]) == (1, None, None)
    assert found["headline"]["code"] == "undecided"
    assert found["levels"][0]["level"]["status"] == "one-seed"
    assert said(found).sentence.endswith("How many seeds are missing cannot be estimated.")


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # 80 % power at d_z = 0.2 / 0.3: statsmodels' TTestPower().solve_power gives 19.67.
        ([40, 10, -20], "takes 20 seeds, 17 more than these 3 (these 3 find 1.0 points); with so few pairs the spread"),
        (
            [3000, -3000, 3000, -3000],
            "how many seeds are missing cannot be estimated: the margin is too small for this spread",
        ),
        ([36, 34, 35, -61] * 12, "; 37 of these 48 seeds would find 0.2 points, so more seeds may not decide it"),
    ],
)
def test_undecided_is_followed_by_the_seeds_that_are_missing(
    tmp_path: Path, differences: list[int], expected: str
) -> None:
    def correct(arm: str, context: dict[str, Any], seed: int) -> int:
        return 5000 + (differences[seed] if arm == "tanh" else 0)

    found = analysed(made_study(tmp_path / "s", correct, seeds=range(len(differences)), rope=0.2))
    assert found["headline"]["code"] == "undecided"
    assert expected in said(found).sentence


def test_equal_differences_are_said_and_not_judged(tmp_path: Path) -> None:
    found = analysed(made_study(tmp_path / "s", lambda arm, context, seed: 9000 + seed + 50 * (arm == "tanh")))
    (row,) = found["contrasts"]
    assert row["t"]["mean"] == pytest.approx(0.5)
    assert row["verdict"]["code"] == "undecided"
    assert (row["verdict"]["reason"], row["verdict"]["status"]) == ("no-test", "no-spread")


def test_runs_that_were_executed_differently_make_no_pair(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", drawn(50, 10))
    edit(folder / "runs.csv", 3, device_name="Another processor", device="cuda")
    edit(folder / "runs.csv", 8, device_name="Another processor", device="cuda")
    edit(folder / "runs.csv", 4, torch="2.10.0")
    found = analysed(folder)
    (row,) = found["contrasts"]
    assert row["seeds"] == [0, 1, 3, 4]  # seed 1 ran elsewhere, but as a pair
    assert row["left_out"] == [
        {"seed": 2, "code": "executed-differently", "column": "torch", "values": ["2.9.0", "2.10.0"]}
    ]
    assert (found["execution"]["mixed"], found["execution"]["left_out_pairs"]) == (True, 1)


def test_pairs_need_one_test_set(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", drawn(50, 10))
    edit(folder / "runs.csv", 3, total="20000")
    for line in range(6, 10):
        edit(folder / "epochs.csv", line, test_total="20000")
    with pytest.raises(DataError, match="pairs need one test set: runs with 10000 and with 20000 images"):
        analysed(folder)


def test_over_networks_the_mean_of_the_networks_decides(tmp_path: Path) -> None:
    shifts = {"resnet20": 60, "resnet18": 20, "wrn-16-8": 100}
    noise = np.random.default_rng(3).normal(0, 10, 1000)

    def correct(arm: str, context: dict[str, Any], seed: int) -> int:
        shift = shifts[context["model"]] + noise[seed + 10 * len(context["model"])]
        return round(9000 + (shift if arm == "tanh" else 0))

    found = analysed(made_study(tmp_path / "s", correct, contexts=NETWORKS, rope=0.1))
    means = [np.mean(row["differences"]) for row in found["contrasts"]]
    (row,) = found["across"]
    assert list(row["cells"].values()) == pytest.approx(means)
    expected = scipy_stats.ttest_1samp(means, 0)
    interval = expected.confidence_interval(0.95)
    cells = row["across"]["cells"]
    assert (cells["p"], cells["low"], cells["high"]) == pytest.approx((expected.pvalue, interval.low, interval.high))
    assert found["headline"]["code"] == row["verdict_new"]["code"] == "undecided"
    assert "For a new network or data set like these 3" in said(found).sentence


def test_steps_from_sigmoid_to_tanh_add_up(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", "centred-sigmoid", "tanh-half")
    noise = np.random.default_rng(4).normal(0, 30, 1000)
    found = analysed(
        made_study(
            tmp_path / "s", lambda arm, context, seed: round(9000 + noise[10 * arms.index(arm) + seed]), arms=arms
        )
    )
    steps = {row["property"]: row["t"]["mean"] for row in found["attribution"]}
    assert set(steps) == {"centre", "depth", "slope"}
    assert sum(steps.values()) == pytest.approx(found["contrasts"][0]["t"]["mean"])
    parts = ", ".join(f"{name} {steps[name]:+.2f}" for name in ("centre", "depth", "slope"))
    assert parts in said(found).why


def test_gates_of_another_design_are_no_controls(tmp_path: Path) -> None:
    arms = ("sigmoid", "tanh", "centred-sigmoid")
    folder = made_study(tmp_path / "s", lambda arm, context, seed: 9000 + seed, arms=arms)
    assert [row["property"] for row in analysed(folder)["attribution"]] == ["centre"]
    for line in range(12, 17):
        edit(folder / "runs.csv", line, design_sha256="with another reduction")
    assert analysed(folder)["attribution"] == []


def test_confounds_are_named_unless_the_study_excludes_them(tmp_path: Path) -> None:
    plain = confounds(analysed(made_study(tmp_path / "a", drawn(5, 5))))
    assert "no control gates that separate the centre, the depth, the slope" in plain
    assert "No arm starts at the identity" in plain
    arms = ("sigmoid", "tanh", "centred-sigmoid", "tanh-half")
    folder = made_study(tmp_path / "b", lambda arm, context, seed: 9000 + seed, arms=arms)
    study = json.loads((folder / "study.json").read_text())
    study["study"]["arms"]["tanh-half"]["gate_init"] = "zero"
    study["study_sha256"] = study_digest(study["study"])
    (folder / "study.json").write_text(json.dumps(study))
    separated = confounds(analysed(folder))
    assert "control gates" not in separated
    assert "starts at the identity" not in separated


def test_what_the_gates_did_is_taken_after_the_last_epoch(tmp_path: Path) -> None:
    found = analysed(made_study(tmp_path / "s", drawn(5, 5), arms=("sigmoid", "tanh", "learned-depth")))
    rows = {(row["arm"], row["site"]): row for row in found["mechanism"]}
    assert set(rows) == {(a, s) for a in ("sigmoid", "tanh", "learned-depth") for s in ("layer1", "layer2")}
    row = rows["tanh", "layer2"]
    assert (row["epoch"], row["attenuated"]["mean"], row["saturated"]["mean"]) == (4, 40.0, 4.0)
    assert row["gradient_ratio"]["mean"] == pytest.approx(0.1)
    assert row["contrast"]["mean"] == pytest.approx(0.1)
    assert rows["sigmoid", "layer1"]["attenuated"]["mean"] == 0.0
    (depth, other) = found["learned"]
    assert (depth["arm"], depth["name"], depth["level"]["mean"]) == ("learned-depth", "depth", pytest.approx(0.7))
    assert (depth["site"], other["site"]) == ("layer1", "layer2")


def test_other_readings_of_the_accuracy_are_labelled(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s", drawn(50, 10))
    for line in range(2, 22):  # sigmoid peaked in its third epoch
        if (line - 2) % 4 == 2:
            edit(folder / "epochs.csv", line, test_correct="9500")
    robust = analysed(folder)["contrasts"][0]["robust"]
    t = analysed(folder)["contrasts"][0]["t"]
    assert robust["last"] == 1
    assert robust["mean_last"]["mean"] == pytest.approx(t["mean"])
    assert robust["best"]["mean"] < -4


def test_images_are_compared_where_their_outcomes_are_here(tmp_path: Path) -> None:
    folder = made_study(
        tmp_path / "s", lambda arm, context, seed: 9000 + 30 * (arm == "tanh"), outcomes=True, seeds=range(2)
    )
    images = analysed(folder)["contrasts"][0]["images"]
    assert [m["only_treatment"] for m in images["mcnemar"]] == [30, 30]
    assert images["mcnemar"][0]["p"] == pytest.approx(2 * 0.5**30)
    assert images["bootstrap"]["mean"] == pytest.approx(0.3)
    assert analysed(made_study(tmp_path / "t", drawn(5, 5)))["contrasts"][0]["images"] is None
