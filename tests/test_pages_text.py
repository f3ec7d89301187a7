"""What a report says: its numbers are those of the statistics, and its words claim no more than they do."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from report_samples import FIGURE_NAMES, PROVENANCE, figures, sample

from bamgate.reports.pages import write_pages
from bamgate.reports.pages.markdown import front_matter
from bamgate.reports.words.document import Callout, Details, Facts, FigureRef, Paragraph, Table
from bamgate.reports.words.gate_properties import confound_sentence
from bamgate.reports.words.numbers import (
    amount,
    ascii_signs,
    count,
    interval,
    margin,
    number,
    p_cell,
    p_value,
    percent,
    percent_bounded,
    points,
    points_of,
    probability,
    ratio,
    seeds,
    share,
)
from bamgate.reports.words.peeking import PRICE
from bamgate.reports.words.prose import compose
from bamgate.reports.words.sections.common import tone_of
from bamgate.reports.words.verdict import WORDS

KINDS = ("plain", "contexts", "interim", "one-seed", "diverged", "hostile", "added")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def pages(kind: str, folder: Path, stats: dict[str, Any] | None = None) -> Path:
    write_pages(stats or sample(kind), figures(), folder, provenance=PROVENANCE)
    return folder


def said(stats: dict[str, Any]) -> str:
    """Every text of the document."""
    document = compose(stats, FIGURE_NAMES, PROVENANCE)
    texts = [document.title, document.word, *(section.title for section in document.sections)]
    for block in document.blocks():
        if isinstance(block, Paragraph):
            texts += [block.lead, block.text]
        elif isinstance(block, Callout):
            texts += [block.word, block.text, *(t for pair in (*block.points, *block.figures) for t in pair)]
        elif isinstance(block, Facts):
            texts += [t for pair in block.rows for t in pair]
        elif isinstance(block, Table):
            texts += [block.caption, *block.columns, *(cell for row in block.rows for cell in row)]
        elif isinstance(block, Details):
            texts.append(block.summary)
        elif not isinstance(block, FigureRef):
            texts += block.items
    return plain("\n".join(texts))


def rows_of(stats: dict[str, Any], name: str) -> list[tuple[str, ...]]:
    tables = [b for b in compose(stats, FIGURE_NAMES, PROVENANCE).blocks() if isinstance(b, Table) and b.name == name]
    assert len(tables) == 1
    return [tuple(plain(cell) for cell in row) for row in tables[0].rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (points(0.294), "+0.29"),
        (points(-1.356), "−1.36"),
        (points(-0.001), "0.00"),
        (points(0.0), "0.00"),
        (points(None), "–"),
        (number(-2.5, 1), "−2.5"),
        (percent(12.345678), "12.35 %"),
        (share(0.8, 0), "80 %"),
        (interval(-0.14, 0.16), "[−0.14, +0.16]"),
        (interval(1.0, 1.5, signed=False), "[1.00, 1.50]"),
        (interval(None, 0.16), "–"),
        (p_value(0.0039), "p = 0.0039"),
        (p_value(0.00009999), "p < 0.0001"),
        (p_value(0.0), "p < 0.0001"),
        (p_value(1.0, "Holm p"), "Holm p = 1.0000"),
        (p_value(None), "no p"),
        (p_cell(0.0001), "0.0001"),
        (probability(1e-9), "< 0.001"),
        (probability(0.99999), "> 0.999"),
        (probability(0.9296), "0.930"),
        (ratio(51.34), "51.3"),
        (ratio(0.4032), "0.403"),
        (ratio(1e9), "> 10 000"),
        (count(1, "loss", "losses"), "1 loss"),
        (count(3, "seed"), "3 seeds"),
        (seeds([4, 0, 1, 2, 7]), "0–2, 4, 7"),
        (seeds([]), "none"),
        (points_of(-1.356), "−1.36 points"),
        (points_of(0.5, exact=True), "+0.5 points"),
        (amount(1.0), "1 point"),
        (margin(0.25), "±0.25 points"),
        (percent_bounded(0.004), "under 1 %"),
        (ascii_signs(points_of(-1.356)), "-1.36 points"),
    ],
)
def test_numbers_are_written_as_a_reader_expects(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_verdict_has_the_colour_of_its_class() -> None:
    words = ["better", "worse-maybe-negligible", "equivalent", "undecided", "interim", "something new"]
    assert [tone_of(word) for word in words] == ["better", "worse", "equivalent", "undecided", "interim", "undecided"]


def test_the_first_screen_says_what_how_sure_and_why() -> None:
    stats = sample()
    card, figure = compose(stats, FIGURE_NAMES, PROVENANCE).opening
    assert isinstance(card, Callout)
    assert figure == FigureRef("differences")
    headline, row = stats["headline"], stats["contrasts"][0]
    assert row["arm"] == headline["arm"] == "tanh"
    assert card.word.lower() == WORDS[headline["code"]] == WORDS[row["verdict"]["code"]]
    assert [term for term, _ in card.points] == ["How sure", "Why"]
    shown = [plain(text) for _, text in card.figures]
    t = row["t"]
    low, high = (f"{abs(t[name]):.2f}" for name in ("low", "high"))
    assert shown[0] == f"−{abs(t['mean']):.2f} points"
    assert shown[1].replace("−", "").replace("+", "") == f"[{low}, {high}]"
    assert shown[2:] == ["5 seeds", f"{row['holm_p']:.4f}", "±1 point"]


def test_the_numbers_of_the_arms_are_those_of_the_statistics() -> None:
    stats = sample()
    levels = {row["arm"]: row["level"] for row in stats["levels"]}
    contrasts = {row["arm"]: row for row in stats["contrasts"]}
    rows = rows_of(stats, "arms")
    assert len(rows) == 8
    for arm, n, mean, sd, difference, limits, holm, word in rows:
        level = levels[arm]
        assert (n, mean, sd) == (str(level["n"]), f"{level['mean']:.2f}", f"{level['sd']:.2f}")
        if arm == "sigmoid":
            assert (difference, limits, holm, word) == ("–", "–", "–", "reference")
            continue
        row = contrasts[arm]
        assert float(difference.replace("−", "-")) == pytest.approx(row["t"]["mean"], abs=0.00501)
        found = [float(part) for part in limits.replace("−", "-").strip("[]").split(", ")]
        assert found == pytest.approx([row["t"]["low"], row["t"]["high"]], abs=0.00501)
        assert holm == ("< 0.0001" if row["holm_p"] < 1e-4 else f"{row['holm_p']:.4f}")
        assert word.split(";")[0] == WORDS[row["verdict"]["code"]]


def test_a_number_that_is_changed_in_the_statistics_changes_on_the_page() -> None:
    """The prose computes nothing: what stats.json says is what is printed, even where it is wrong."""
    stats = sample("added")
    row = stats["contrasts"][0]
    row["t"] |= {"mean": 7.77, "low": 6.66, "high": 8.88, "p": 0.01234, "t": 3.21, "sd": 1.11}
    row["sign_flip"] |= {"p": 0.0456, "smallest_p": 0.00196}
    row["effect"] |= {"d_z": 4.56, "low": 3.45, "high": 5.67, "g_z": 4.32}
    row["superiority"] |= {"win_share": 0.91, "low": 0.61, "high": 0.97, "a12": 0.83, "meaningful": True}
    row["equivalence"] |= {"p": 0.0987, "low": 6.75, "high": 8.76}
    row["posterior"] |= {"below": 0.123, "inside": 0.234, "above": 0.345, "positive": 0.456, "next_seed_wins": 0.567}
    row["bayes"] |= {"narrow": 11.1, "medium": 22.2, "wide": 33.3}
    row["unpaired"] |= {"correlation": -0.37, "p": 0.0654}
    row["planning"] |= {"mde_points": 0.71, "mde_dz": 1.01, "power_at_rope": 0.62, "seeds_needed": 43}
    text = said(stats)
    for expected in (
        "mean difference +7.77 points, SD over seeds 1.11, 95 % interval [+6.66, +8.88]; t(9) = 3.21, p = 0.0123",
        "p = 0.0456 over all exchanges within pairs; the smallest possible is p = 0.0020",
        "d_z = +4.56, 95 % interval [+3.45, +5.67]; without small-sample bias g_z = +4.32",
        "91 % of seeds won (ties half), Wilson 95 % interval [61 %, 97 %]",
        "A12 = 0.83. This meets the rule",
        "two one-sided t tests: p = 0.0987",
        "90 % interval [+6.75, +8.76]",
        "with probability 0.123, within it 0.234, above it 0.345; above 0 0.456",
        "11.1 (prior width 0.5), 22.2 (prior width 0.707), 33.3 (prior width 1)",
        "correlation between the arms over seeds −0.37",
        "find a true difference of 0.71 points (d_z = 1.01) with power 80 %",
        "with power 62 %. For power 80 % there: 43 seeds.",
    ):
        assert expected in text, expected


def test_fewer_than_six_pairs_are_said_to_be_beyond_exact_tests() -> None:
    text = said(sample())
    assert "5 pairs: no exact test can reach p < 0.05" in text
    assert "is 0.0625, however clear the difference" in text
    assert "cannot reach p < 0.05 with these pairs" in text
    ten = said(sample("added"))
    assert "no exact test can reach" not in ten
    assert "over all exchanges within pairs" in ten


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_claims_what_it_cannot(kind: str) -> None:
    text = said(sample(kind)).lower()
    for claim in ("no difference", "significant", "p = 0.0000"):
        assert claim not in text, claim
    assert not re.search(r"\b(inf|nan)\b|\bNone\b(?! of)", said(sample(kind)))


def test_an_interim_report_gives_no_p_and_no_verdict(tmp_path: Path) -> None:
    stats = sample("interim")
    text = said(stats)
    assert "Interim: 3 of 5 seeds; no verdict" in text
    assert "25 of 40 planned runs have ended" in text
    folder = pages("interim", tmp_path)
    written = "\n".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())
    body = re.sub(r"<style>.*?</style>", "", plain(written), flags=re.DOTALL)
    assert not re.search(r"\bp\s*(=|<|&lt;|\\ensuremath\{<\})", body)
    assert not re.search(r"\b(better|worse|equivalent|undecided|Holm)\b", body, re.IGNORECASE)
    assert [row[:5] for row in rows_of(stats, "arms")][1][1:3] == ("3", f"{stats['levels'][1]['level']['mean']:.2f}")
    assert not (tmp_path / "tables" / "across.csv").exists()


def test_one_seed_has_no_interval() -> None:
    stats = sample("one-seed")
    assert stats["contrasts"][0]["t"]["n"] == 1
    text = said(stats)
    assert "n = 1, no interval" in text
    assert rows_of(stats, "arms")[1][5:] == ("n = 1, no interval", "–", "undecided")
    assert "[" not in rows_of(stats, "arms")[1][5]
    assert "none: a test needs at least 2 pairs." in text


def test_contexts_name_the_population_that_each_interval_speaks_of() -> None:
    stats = sample("contexts")
    text = said(stats)
    assert "95 % interval for these networks and data sets only" in text
    assert "for a new network or data set like these" in text
    assert "prediction interval" in text
    assert len(rows_of(stats, "seeds-3")) == 4
    card = compose(stats, FIGURE_NAMES, PROVENANCE).opening[0]
    assert isinstance(card, Callout)
    assert dict(card.figures)["Contexts"] == "3"


def test_a_diverged_run_is_counted_named_and_left_out() -> None:
    stats = sample("diverged")
    text = said(stats)
    assert "1 of 40 runs diverged" in text
    assert "tanh against sigmoid: seed 3, tanh diverged" in text
    assert "With diverged runs ranked below all others" in text
    assert "Fisher's exact test of equal failure rates" in text
    seeds_row = rows_of(stats, "seeds")[1]
    assert seeds_row[0] == "tanh"
    assert seeds_row[4] == "–"
    assert rows_of(stats, "failures")[1][:4] == ("tanh", "1", "5", "20 %")


def test_added_seeds_are_named_with_what_they_do_to_p() -> None:
    text = said(sample("added"))
    assert "Seeds 8–9 are not in the plan that the study declared" in text
    assert PRICE in text
    assert "Seeds were added" not in said(sample())


def test_every_reading_of_the_accuracy_is_labelled() -> None:
    readings = [row[1] for row in rows_of(sample("added"), "readings")]
    assert readings == ["last epoch (primary)", "mean of the last 2 epochs", "best epoch, chosen on the test set"]


def test_every_confound_is_named() -> None:
    stats = sample()
    text = said(stats)
    assert len(stats["confounds"]) > 2
    assert all(plain(confound_sentence(confound)) in text for confound in stats["confounds"])


def test_every_figure_has_one_place_known_or_not() -> None:
    names = ("differences", "a-new-one", "forest", "river", "power", "failures")
    document = compose(sample(), names, PROVENANCE)
    placed = [block.name for block in document.blocks() if isinstance(block, FigureRef)]
    assert sorted(placed) == sorted(names)
    assert placed[0] == "differences"
    assert [section.id for section in document.sections if FigureRef("a-new-one") in section.blocks] == ["figures"]


def test_missing_statistics_are_an_error_and_not_a_gap() -> None:
    stats = sample("one-seed")
    del stats["contrasts"][0]["posterior"]
    with pytest.raises(KeyError, match="posterior"):
        compose(stats, FIGURE_NAMES, PROVENANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_front_matter_is_yaml_with_the_same_numbers(kind: str, tmp_path: Path) -> None:
    stats = sample(kind)
    text = (pages(kind, tmp_path) / "report.md").read_text()
    yaml = pytest.importorskip("yaml")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["study"] == stats["design"]["name"]
    assert head["reference"] == stats["design"]["reference"]
    assert head["rope"] == stats["design"]["rope"]
    assert head["complete"] is stats["progress"]["complete"]
    if kind == "interim":
        assert "p_holm" not in head
        assert head["verdict"] == "interim"
    elif kind in ("plain", "diverged", "added"):
        t = stats["contrasts"][0]["t"]
        assert (head["n"], head["difference"], head["interval"]) == (t["n"], t["mean"], [t["low"], t["high"]])
        assert head["p_holm"] == stats["contrasts"][0]["holm_p"]
        assert head["verdict"] == stats["headline"]["code"]
    elif kind == "contexts":
        assert (head["n"], head["n_of"]) == (3, "contexts")
        assert head["difference"] == stats["across"][0]["across"]["cells"]["mean"]


def test_small_numbers_stay_numbers_in_front_matter() -> None:
    yaml = pytest.importorskip("yaml")
    facts = {
        "p": 1e-07,
        "d": -2.5e-11,
        "n": 3,
        "none": None,
        "complete": True,
        "list": [1.0, None],
        "text": "a: 'b' \x85 \u2028",
    }
    text = front_matter(facts)
    assert yaml.safe_load(text.strip("-\n")) == facts


@pytest.mark.parametrize("kind", ["plain", "hostile", "interim"])
def test_the_same_input_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    stats = sample(kind)
    before = copy.deepcopy(stats)
    shuffled = json.loads(json.dumps(stats, sort_keys=True))
    first, second = pages(kind, tmp_path / "a", stats), pages(kind, tmp_path / "b", shuffled)
    assert stats == before
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert {"report.html", "report.md", "report.tex", "tables/arms.csv", "tables/arms.tex"} <= set(names)
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
        assert b"\r" not in (first / name).read_bytes()


def test_the_files_that_are_returned_are_those_that_are_there(tmp_path: Path) -> None:
    files = write_pages(sample(), figures(), tmp_path, provenance=PROVENANCE)
    assert sorted(files) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
