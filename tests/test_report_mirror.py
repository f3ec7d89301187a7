"""A study of an error and its mirror image, a study of a score: mirrored numbers, the same words and figures."""

import re
from pathlib import Path
from typing import Any

import pytest
from metric_samples import ARMS, ERROR, NETWORKS, SCORE, analysed, failing, metric_study, negated
from report_samples import PROVENANCE

from bamgate.reports.analysis import analyse
from bamgate.reports.design import design_of
from bamgate.reports.figures import FIGURES, Design
from bamgate.reports.pages import write_pages
from bamgate.reports.records import Outcomes, read_records, read_runs
from bamgate.reports.words.headline import headline_words

SAME = (  # of a study and its mirror image
    *("seeds", "left_out", "holm_p", "sign_test", "superiority", "signed_rank", "worst_rank", "fisher", "bayes"),
    *("planning", "family", "equivalence_holm_p"),
)
SIDES = (
    ("Above", "Below"),
    ("above", "below"),
    ("higher", "lower"),
    ("right", "left"),
    ("↑", "↓"),
    ("highest", "lowest"),
    ("Higher", "Lower"),
)
OPPOSITE = {one: other for pair in SIDES for one, other in (pair, pair[::-1])}


def masked(text: str) -> str:
    """Without numbers, and with one word for both sides."""
    text = re.sub(r"((=|<|>|&[lg]t;)\s)?[-+−]?\d+(\.\d+)?(e-\d+)?", "#", text)
    return re.sub(r"\w+|[↑↓]", lambda found: f"<{min(w, OPPOSITE[w])}>" if (w := found[0]) in OPPOSITE else w, text)


def turned(one: str, other: str) -> set[str]:
    """The words of a text that stand on the other side in its mirror image; all others are the same."""
    pairs = zip(re.findall(r"\w+|[↑↓]", one), re.findall(r"\w+|[↑↓]", other), strict=True)
    return {a for a, b in pairs if OPPOSITE.get(a) == b}


@pytest.mark.parametrize("contexts", [({},), NETWORKS])
def test_the_mirror_image_of_a_study_has_mirrored_numbers_and_the_same_words(
    tmp_path: Path, contexts: tuple[dict[str, Any], ...]
) -> None:
    folders = [
        metric_study(tmp_path / name, value, metric, arms=ARMS, contexts=contexts)
        for name, value, metric in (("less", failing, ERROR), ("more", negated(failing), SCORE))
    ]
    less, more = map(analysed, folders)
    for one, other in zip(less["contrasts"], more["contrasts"], strict=True):
        for name in SAME:
            assert one[name] == pytest.approx(other[name]) if name == "holm_p" else _close(one[name], other[name]), name
        assert one["differences"] == pytest.approx([-d for d in other["differences"]])
        for name in ("t", "unpaired", "equivalence"):
            assert (one[name]["low"], one[name]["high"]) == pytest.approx((-other[name]["high"], -other[name]["low"]))
        assert one["verdict"]["code"] == other["verdict"]["code"]
        assert one["verdict"]["reason"] == other["verdict"]["reason"]
        assert one["posterior"]["below"] == pytest.approx(other["posterior"]["above"])
        assert one["posterior"]["next_seed_wins"] == pytest.approx(other["posterior"]["next_seed_wins"])
        for reading in ("mean_last", "best"):
            assert one["robust"][reading]["mean"] == pytest.approx(-other["robust"][reading]["mean"])
    assert len(less["across"]) == len(more["across"]) == (2 if len(contexts) > 1 else 0)
    for one, other in zip(less["across"], more["across"], strict=True):
        assert one["verdict_new"]["code"] == other["verdict_new"]["code"]
        assert one["across"]["cells"]["low"] == pytest.approx(-other["across"]["cells"]["high"])
    assert less["headline"]["code"] == more["headline"]["code"] != "undecided"
    texts = [_said(found, tmp_path / str(number)) for number, found in enumerate((less, more))]
    for one, other in zip(*texts, strict=True):
        assert masked(one) == masked(other)
    assert {"lower", "below", "above"} <= set().union(*map(turned, *texts))


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    return bool(one == pytest.approx(other) if isinstance(one, float) else one == other)


def _said(found: dict[str, Any], folder: Path) -> list[str]:
    write_pages(found, [], folder, provenance=PROVENANCE)
    text = (folder / "report.md").read_text().split("\n---\n", 1)[1]
    return [*headline_words(found), *text.splitlines()]


def test_figures_of_the_mirror_image_say_the_same(tmp_path: Path) -> None:
    said = []
    for name, value, metric in (("less", failing, ERROR), ("more", negated(failing), SCORE)):
        folder = metric_study(tmp_path / name, value, metric, arms=ARMS, epochs=20)
        runs = read_runs([folder])
        design = design_of([folder], runs)
        records = read_records([folder], design, runs)
        found = analyse(design, records, Outcomes([folder]))
        drawn = []
        for figure in ("differences", "forest", "curves", "power", "mechanism", "failures"):
            spec = FIGURES[figure]
            frame = spec.frame(records, design, found)
            drawn += [
                spec.title(design),
                spec.caption(frame, design),
                spec.alt(frame, design),
                *_texts(spec, frame, design),
            ]
        said.append(sorted(drawn, key=masked))
    assert list(map(masked, said[0])) == list(map(masked, said[1]))
    assert {"lower", "below", "left", "right", "↑", "↓", "highest"} <= set().union(*map(turned, *said))
    assert any("mean absolute error, px" in text for text in said[0])
    assert "↓ tanh better" in said[0]
    assert not any(re.search(r"accuracy|points of|, points|\d.points", text) for text in said[0])


def _texts(spec: Any, frame: Any, design: Design) -> list[str]:
    """What stands in the drawing, without the numbers on its axes."""
    from matplotlib.text import Text

    found = [text.get_text().replace("\n", " ") for text in spec.draw(frame, design).findobj(Text)]
    return [text for text in found if re.search("[a-z]", text)]
