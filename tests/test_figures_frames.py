"""What figures draw, held against numbers by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from figure_samples import NETWORKS, Design, Records, made, statistics

from bamgate.record.tables import SCALE_EDGES
from bamgate.reports.figures import FIGURES
from bamgate.reports.figures.drawing import shortened, spread, with_crossings
from bamgate.reports.figures.panels import evenly, natural
from bamgate.reports.figures.parts import t_band, thinned
from bamgate.reports.words.numbers import listed, points, seeds_text

T_2 = 4.302652729911275  # 97.5 % point of t with two degrees of freedom, from a printed table


def frame_of(name: str, design: Design, records: Records) -> pd.DataFrame:
    return FIGURES[name].frame(records, design, statistics(records, design))


def small(accuracies: dict[str, list[float]]) -> tuple[Design, Records]:
    """One epoch, seeds 0, 1, ...; NaN: the run diverged."""
    seeds = range(len(next(iter(accuracies.values()))))
    design = Design(arms=tuple(accuracies), reference=next(iter(accuracies)), rope=1.0, seeds=tuple(seeds))
    records = made(design, epochs=1, sites=("a",))
    for (arm, seed), value in {
        (arm, seed): values[seed] for arm, values in accuracies.items() for seed in seeds
    }.items():
        row = (records.runs["arm"] == arm) & (records.runs["seed"] == seed)
        lost = math.isnan(value)
        records.runs.loc[row, ["value", "status"]] = [10.0 if lost else value, "diverged" if lost else "finished"]
        records.epochs.loc[records.epochs["cell"] == f"0-{arm}-{seed}", "value"] = value
    return design, records


def test_a_t_band_is_that_of_the_table() -> None:
    rows = pd.DataFrame({"arm": ["b"] * 3 + ["a"], "x": [1.0, 2.0, 3.0, 7.0]})
    band = t_band(rows, ["arm"], "x")
    assert band["arm"].tolist() == ["b", "a"]
    assert band["n"].tolist() == [3, 1]
    assert band.loc[0, "mean"] == 2
    assert band.loc[0, "high"] - 2 == pytest.approx(T_2 / math.sqrt(3))
    assert band.loc[0, "low"] == pytest.approx(2 - T_2 / math.sqrt(3))
    assert band.loc[1, "mean"] == 7
    assert band.loc[1, ["low", "high"]].isna().all()


def test_values_that_are_missing_do_not_count_in_a_band() -> None:
    band = t_band(pd.DataFrame({"arm": ["a"] * 3, "x": [1.0, np.nan, 3.0]}), ["arm"], "x")
    assert band[["n", "mean"]].to_numpy().tolist() == [[2, 2.0]]


def test_differences_hold_runs_pairs_and_the_interval() -> None:
    design, records = small({"sigmoid": [80.0, 81.0, 82.0, 83.0], "tanh": [81.0, 83.0, 85.0, np.nan]})
    frame = frame_of("differences", design, records)
    assert frame.loc[frame["kind"] == "difference", ["seed", "value"]].to_numpy().tolist() == [[0, 1], [1, 2], [2, 3]]
    (mean,) = frame[frame["kind"] == "mean"].itertuples()
    assert (mean.value, mean.n, mean.verdict) == (2.0, 3, "undecided")
    assert (mean.low, mean.high) == pytest.approx((2 - T_2 / math.sqrt(3), 2 + T_2 / math.sqrt(3)))
    assert frame.loc[frame["kind"] == "diverged", ["arm", "seed"]].to_numpy().tolist() == [["tanh", 3]]
    assert (frame["kind"] == "run").sum() == 7


def test_forest_has_a_line_an_arm_in_the_designs_order() -> None:
    design, records = small({"sigmoid": [80.0, 80.0], "z": [81.0, 83.0], "a": [79.0, 79.0]})
    frame = frame_of("forest", design, records)
    means = frame[frame["kind"] == "contrast"]
    assert means[["row", "arm", "mean", "n"]].to_numpy().tolist() == [[0, "z", 2.0, 2], [1, "a", -1.0, 2]]
    assert frame.loc[(frame["kind"] == "seed") & (frame["arm"] == "z"), "mean"].tolist() == [1.0, 3.0]


def test_forest_of_several_contexts_ends_with_what_holds_over_them() -> None:
    design = Design(arms=("sigmoid", "tanh", "softsign"), contexts=NETWORKS)
    records = made(design)
    frame, found = frame_of("forest", design, records), statistics(records, design)
    assert frame.loc[frame["kind"] == "contrast", "context"].tolist() == list(NETWORKS)
    assert set(frame.loc[frame["kind"] == "contrast", "arm"]) == {"tanh"}
    across = frame[frame["group"] == "across"].set_index(["arm", "kind"])
    assert across.index.tolist() == [("tanh", "these"), ("tanh", "new"), ("tanh", "prediction"),
                                     ("softsign", "these"), ("softsign", "new")]  # fmt: skip
    cells, meta = found["across"][0]["across"]["cells"], found["across"][0]["across"]["meta"]
    assert across.loc[("tanh", "these"), "low"] == cells["these_low"]
    assert across.loc[("tanh", "new"), "high"] == cells["high"]
    assert across.loc[("tanh", "prediction"), "low"] == meta["prediction_low"]
    assert across.loc[("tanh", "new"), "n"] == 3


def test_curves_are_of_finished_runs() -> None:
    design, records = small({"sigmoid": [80.0, 82.0, 87.0], "tanh": [70.0, np.nan, 74.0]})
    frame = frame_of("curves", design, records)
    assert frame[["arm", "epoch", "n", "mean"]].to_numpy().tolist() == [["sigmoid", 1, 3, 83.0], ["tanh", 1, 2, 72.0]]


def test_curves_mark_where_the_learning_rate_drops() -> None:
    design = Design(seeds=(0,))
    frame = frame_of("curves", design, made(design, epochs=10))
    assert set(frame.loc[frame["lr_drop"], "epoch"]) == {6}  # 0.1 for five epochs, then 0.01
    records = made(design, epochs=10)
    records.epochs["lr"] = np.tile(0.1 * (1 + np.cos(np.pi * np.arange(10) / 10)), 2)
    assert not frame_of("curves", design, records)["lr_drop"].any()  # falls all the time


def test_scales_pool_the_counts_of_all_runs() -> None:
    design, records = small({"sigmoid": [80.0, 81.0], "tanh": [81.0, 83.0]})
    counts = [0] * 42
    counts[0], counts[21] = 1, 3  # below 0, and 1 <= s < 1.05
    records.gates.loc[records.gates["epoch"] == 1, "histogram"] = " ".join(map(str, counts))
    frame = frame_of("scales", design, records)
    end = frame[(frame["arm"] == "tanh") & (frame["when"] == "end")].reset_index(drop=True)
    assert len(end) == len(SCALE_EDGES) + 1
    assert end.loc[[0, 21], "count"].tolist() == [2, 6]
    assert end.loc[[0, 21], "share"].tolist() == [25, 75]
    assert end.loc[21, ["low", "high"]].tolist() == [1.0, 1.05]
    assert end["low"].isna().tolist() == [True] + [False] * 41
    assert end["high"].isna().tolist() == [False] * 41 + [True]
    assert frame["when"].unique().tolist() == ["start", "end"]


def test_scales_show_the_middle_of_the_training() -> None:
    design = Design(seeds=(0,))
    frame = frame_of("scales", design, made(design, epochs=5, sites=("a",)))
    assert frame.groupby("when", sort=False)["epoch"].first().to_dict() == {"start": 0, "middle": 2, "end": 5}


def test_river_averages_the_quantiles_of_runs() -> None:
    design, records = small({"sigmoid": [80.0, 81.0], "tanh": [81.0, 83.0]})
    last = (records.gates["epoch"] == 1) & records.gates["cell"].str.contains("tanh")
    records.gates.loc[last, "q25"] = [0.2, 0.6]
    records.gates.loc[last, "attenuated"] = [500, 1500]  # of 2000 values
    (row,) = frame_of("river", design, records).query("arm == 'tanh' and epoch == 1").itertuples()
    assert row.q25 == pytest.approx(0.4)
    assert (row.attenuated, row.n) == (50.0, 2)


def test_attenuation_is_in_percent_of_the_values() -> None:
    design, records = small({"sigmoid": [80.0, 81.0, 82.0], "tanh": [81.0, 83.0, 84.0]})
    last = (records.gates["epoch"] == 1) & records.gates["cell"].str.contains("tanh")
    records.gates.loc[last, "saturated"] = [0, 200, 400]
    frame = frame_of("attenuation", design, records)
    (row,) = frame.query("arm == 'tanh' and epoch == 1 and measure == 'saturated'").itertuples()
    assert (frame.loc[row.Index, "mean"], row.n) == (10.0, 3)
    assert row.high == pytest.approx(10 + T_2 * 10 / math.sqrt(3))


def test_with_several_contexts_a_runs_share_is_the_mean_over_its_sites() -> None:
    design = Design(contexts=NETWORKS[:2], seeds=(0,))
    records = made(design, epochs=1, sites=("a", "b"))
    last = (records.gates["epoch"] == 1) & (records.gates["cell"] == "0-tanh-0")
    records.gates.loc[last, "attenuated"] = [0, 1000]
    rows = frame_of("attenuation", design, records).query("arm == 'tanh' and epoch == 1 and measure == 'attenuated'")
    assert rows["context"].tolist() == list(NETWORKS[:2])
    assert rows["mean"].iloc[0] == 25.0


def test_gradient_is_the_median_ratio_and_leaves_out_who_has_none() -> None:
    design, records = small({"sigmoid": [80.0] * 3, "tanh": [81.0] * 3, "constant-half": [82.0] * 3})
    last = (records.gates["epoch"] == 1) & records.gates["cell"].str.contains("tanh")
    records.gates.loc[last, "gradient_attention"] = [1.0, 6.0, 2.0]
    records.gates.loc[last, "gradient_trunk"] = [2.0, 2.0, 2.0]
    frame = frame_of("gradient", design, records)
    (row,) = frame.query("arm == 'tanh' and epoch == 1").itertuples()
    assert (row.low, row.median, row.high, row.n) == (0.5, 1.0, 3.0, 3)
    assert set(frame["arm"]) == {"sigmoid", "tanh"}


def test_mechanism_pairs_by_seed() -> None:
    design, records = small({"sigmoid": [80.0, np.nan, 82.0], "tanh": [81.0, 90.0, 79.0]})
    last = (records.gates["epoch"] == 1) & records.gates["cell"].str.contains("tanh")
    records.gates.loc[last, "attenuated"] = [1000, 0, 500]
    frame = frame_of("mechanism", design, records)
    assert frame[["arm", "seed", "attenuated", "difference"]].to_numpy().tolist() == [
        ["tanh", 0, 50.0, 1.0],
        ["tanh", 2, 25.0, -3.0],
    ]


def test_mechanism_names_the_arms_that_attenuate_nothing() -> None:
    design, records = small({"sigmoid": [80.0, 81.0], "tanh": [81.0, 90.0], "constant-half": [80.0, 82.0]})
    frame = frame_of("mechanism", design, records).assign(attenuated=[30.0, 40.0, 0.0, 0.0])
    aside = "side by side"
    assert aside not in FIGURES["mechanism"].caption(frame, design)
    both = frame.assign(attenuated=0.0)
    assert aside in FIGURES["mechanism"].caption(both, design)
    (axis,) = FIGURES["mechanism"].draw(both, design).axes
    drawn = [set(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"]
    assert drawn[0] == {0.0}
    assert len(drawn[1]) == 1
    assert 0 < drawn[1].pop() < 1


def test_power_holds_our_seeds_and_a_falling_curve() -> None:
    design, records = small({"sigmoid": [80.0, 81.0, 82.0, 80.5], "tanh": [81.0, 80.0, 83.0, 81.5]})
    frame = frame_of("power", design, records)
    curve = frame[frame["kind"] == "curve"]
    assert curve["n"].is_monotonic_increasing
    assert curve["points"].is_monotonic_decreasing
    # d_z that four pairs see with power 0.8, from a printed table of the paired t test; times the sd of 1, -1, 1, 1.
    assert curve.loc[curve["n"] == 4, "points"].item() == pytest.approx(2.13, abs=0.01)
    assert frame.loc[frame["kind"] == "needed", ["n", "points"]].to_numpy().tolist() == [[40, 1.0]]


def test_failures_are_percent_of_the_runs() -> None:
    design, records = small({"sigmoid": [80.0] * 10, "tanh": [np.nan] + [80.0] * 9})
    frame = frame_of("failures", design, records)
    assert frame[["arm", "failed", "n", "share"]].to_numpy().tolist() == [
        ["sigmoid", 0, 10, 0.0],
        ["tanh", 1, 10, 10.0],
    ]
    assert frame.loc[1, ["low", "high"]].tolist() == pytest.approx([1.7876, 40.415], abs=1e-3)  # Wilson, by hand
    assert FIGURES["failures"].applies(frame)


def test_gates_are_named_once_and_belong_to_their_first_arm() -> None:
    design = Design(arms=("sigmoid", "wide", "tanh", "no-attention"))
    records = made(design, epochs=1)
    records.runs.loc[records.runs["arm"] == "wide", "gate"] = "tanh"
    frame = frame_of("gates", design, records)
    assert frame.groupby("gate", sort=False)["arm"].unique().map(list).to_dict() == {
        "sigmoid": ["sigmoid"],
        "tanh": ["wide"],
    }
    middle = frame[frame["z"].abs() < 1e-9].set_index("gate")
    assert middle.loc["sigmoid", ["scale", "slope"]].tolist() == pytest.approx([1.5, 0.25])


def test_frames_do_not_depend_on_the_order_of_the_rows() -> None:
    design = Design(arms=("sigmoid", "tanh", "softsign"), seeds=(0, 1))
    records = made(design, diverged=[("softsign", "", 1)])
    mixed = Records(*(t.sample(frac=1, random_state=1) for t in (records.runs, records.epochs, records.gates)))
    found = statistics(records, design)
    for name, spec in FIGURES.items():
        pd.testing.assert_frame_equal(spec.frame(records, design, found), spec.frame(mixed, design, found), obj=name)


def test_small_parts() -> None:
    assert [points(x) for x in (1.234, -0.5, -0.001, 0.0)] == ["+1.23", "−0.50", "0.00", "0.00"]
    assert [listed(x) for x in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [seeds_text(n) for n in ([1], [5, 5], [3, 5.0])] == ["1 seed", "5 seeds", "3 to 5 seeds"]
    assert sorted(["layer10", "layer2", "layer2.channel"], key=natural) == ["layer2", "layer2.channel", "layer10"]
    assert evenly(list("abcdefg"), 3) == ["a", "d", "g"]
    assert thinned(range(10)) == list(range(10))
    thin = thinned(range(201))
    assert (thin[0], thin[-1], len(thin) <= 62) == (0, 200, True)
    assert shortened("a" * 10 + "b" * 10, 15) == "aaaaaaa…bbbbbbb"


def test_labels_are_moved_apart_around_their_middle() -> None:
    assert spread([0, 100], 10) == [0, 100]
    assert spread([50, 50], 10) == [45, 55]
    assert spread([0, 1, 2, 100], 10) == [-9, 1, 11, 100]
    assert np.diff(spread([0, 9, 12, 13, 30], 10)).min() >= 10 - 1e-9


def test_a_band_is_cut_where_it_crosses_the_line() -> None:
    x, low, high = with_crossings([0, 1], [0.5, 1.5], [1.0, 3.0], 1.0)
    assert x.tolist() == [0, 0.5, 1]
    assert low.tolist() == [0.5, 1.0, 1.5]
    assert high.tolist() == [1.0, 2.0, 3.0]
