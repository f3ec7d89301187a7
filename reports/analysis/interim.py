"""Before a study is complete its tests are withheld: to look, and to stop when it pleases, finds what is not there."""

from typing import Any

from bamgate.stats.status import INTERIM

TESTS = ("p", "holm_p", "p_lower", "p_upper", "equivalence_holm_p", "df", "meaningful")


def without_tests(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with every p value, verdict and statement of chance taken out; means and intervals stay."""
    return [_withheld(row) for row in rows]


def _withheld(value: Any, name: str = "") -> Any:
    if name in ("posterior", "bayes", "sign_flip", "signed_rank", "fisher", "worst_rank") and isinstance(value, dict):
        return {key: _nothing(key) for key in value}
    if name in ("verdict", "verdict_new"):
        return {**dict.fromkeys(value), "code": INTERIM, "status": INTERIM, "about": []}
    if isinstance(value, dict):
        return {key: None if _is_test(key, item) else _withheld(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_withheld(item) for item in value]
    return value


def _is_test(key: str, item: Any) -> bool:
    return key in TESTS or (key == "t" and isinstance(item, float))


def _nothing(key: str) -> Any:
    return {"status": INTERIM, "about": []}.get(key)
