"""The two golden data sets of the statistics, as counts of 10,000 test images, and pairs made from differences."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bamgate.stats import Pairs

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "statistics_golden.json").read_text())


def golden_pairs(name: str) -> Pairs:
    data = GOLDEN["datasets"][name]
    treatment, control = (tuple(round(value * 100) for value in data[arm]) for arm in ("tanh", "sigmoid"))
    return Pairs(treatment=treatment, control=control, points=0.01)


def rope_of(name: str) -> float:
    return float(GOLDEN["datasets"][name]["rope"])


def made_pairs(differences: Sequence[int], control: int = 7000) -> Pairs:
    """Pairs with these differences in images, one image being 0.01 points."""
    return Pairs(treatment=tuple(control + d for d in differences), control=(control,) * len(differences), points=0.01)


D1 = golden_pairs("d1_clear_n10")
D2 = golden_pairs("d2_null_n5_ties")
