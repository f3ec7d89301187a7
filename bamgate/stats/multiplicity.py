"""Adjusted p-values of a family of tests: among many tests one small p is to be expected."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bamgate.errors import UsageError

K = TypeVar("K")


def holm(p_values: Mapping[K, float | None]) -> dict[K, float | None]:
    """Holm's adjusted p-values: with those below 0.05, the risk of any false one in the family is at most 5 %.

    A comparison without a p (None) stays None and is not part of the family. By
    statsmodels.stats.multitest.multipletests(p, method="holm").

    Raises:
        UsageError: a p is not from 0 to 1.
    """

    def adjust(p: list[float]) -> Any:
        from statsmodels.stats.multitest import multipletests

        return multipletests(p, method="holm")[1]

    return _adjusted(p_values, adjust)


def false_discovery(p_values: Mapping[K, float | None]) -> dict[K, float | None]:
    """Benjamini and Hochberg's adjusted p-values, for exploration, not for claims. None and errors are as in `holm`.

    By scipy.stats.false_discovery_control(p).
    """

    def adjust(p: list[float]) -> Any:
        from scipy import stats

        return stats.false_discovery_control(p)

    return _adjusted(p_values, adjust)


def _adjusted(p_values: Mapping[K, float | None], adjust: Callable[[list[float]], Any]) -> dict[K, float | None]:
    family = {key: float(p) for key, p in p_values.items() if p is not None}
    for key, p in family.items():
        if not 0 <= p <= 1:
            raise UsageError(f"p of {key!r} must be from 0 to 1, got {p!r}")
    values = adjust(list(family.values())) if family else []
    found = {key: float(value) for key, value in zip(family, values, strict=True)}
    return {key: found.get(key) for key in p_values}
