"""Over contexts the unit is a context: no sentence calls it a seed, a pair or a cell."""

from types import SimpleNamespace
from typing import Any

import pytest
from csv_samples import made_study

from bamgate.reports.analysis.across import across
from bamgate.reports.design import Design, design_of
from bamgate.reports.records import read_runs
from bamgate.reports.words.numbers import ascii_signs
from bamgate.reports.words.status import why
from bamgate.reports.words.verdict import verdict_sentence

CONTEXTS = ({"model": "resnet20"}, {"model": "resnet56"}, {"model": "vgg11"})


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    folder = made_study(tmp_path_factory.mktemp("made") / "s", lambda *_: 9000, contexts=CONTEXTS, seeds=range(2))
    return design_of([folder], read_runs([folder]), None)


def row_of(design: Design, differences: list[list[float]]) -> dict[str, Any]:
    parts = zip(design.contexts, differences, strict=False)
    (row,) = across(design, [SimpleNamespace(arm="tanh", context=c, differences=tuple(d)) for c, d in parts])
    return row.to_dict()


def said(row: dict[str, Any]) -> str:
    return ascii_signs(verdict_sentence(row["verdict_new"]))


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        (
            [[-10.0, -10.0], [-10.0, -10.0]],
            "Undecided: all 2 contexts differ by exactly -10 points, so there is no spread to judge by. "
            "How many contexts are missing cannot be estimated.",
        ),
        (
            [[1.0, 3.0], [-1.0, -3.0], [0.5, 0.5]],
            "Undecided: +0.17 points, 95 % interval -4.85 to +5.19, Holm-adjusted p = 0.8995; how many contexts "
            "are missing cannot be estimated: it takes more networks or data sets, not more seeds.",
        ),
    ],
)
def test_the_sentence_counts_contexts(design: Design, differences: list[list[float]], sentence: str) -> None:
    assert said(row_of(design, differences)) == sentence


@pytest.mark.parametrize(
    "differences",
    [
        [[1.0], [2.0]],
        [[1.0], [1.0]],
        [[5.0, 5.1], [5.0, 5.2], [5.1, 5.3]],
        [[-5.0, -5.1], [-5.0, -5.2], [-5.1, -5.3]],
        [[0.0, 0.01], [0.0, -0.01], [0.01, 0.0]],
        [[1.0, 2.0], [1.5, 1.5]],
        [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
    ],
)
def test_no_word_is_of_another_unit(design: Design, differences: list[list[float]]) -> None:
    row = row_of(design, differences)
    sentence = said(row).replace("not more seeds", "").replace("of one seed", "")
    parts = [row["across"][part] for part in ("cells", "mixed", "meta")]
    found = [sentence, *(why(part) for part in parts if part["status"] != "ok")]
    assert not [text for text in found if " cell" in text or "cells" in text]
    assert "seed" not in sentence
    assert "pair" not in sentence
