"""What a report on disk holds, read by this version: stats.json and provenance.json, and those of older versions."""

import json
from pathlib import Path
from typing import Any

from bamgate.errors import DataError
from bamgate.record.tables import read_text
from bamgate.reports.analysis import SCHEMA

# Version 2 did not name the metric: it was accuracy. Version 1 held sentences, and English where there are codes now.
# Their numbers and names are compared all the same.
WORDS_OF_1 = {
    *("sentence", "sure", "why", "status", "call", "what", "held", "family", "property", "confounds"),
    *("population", "these_population"),
}
CODES_OF_1 = {
    "better, size may be negligible": "better-maybe-negligible",
    "worse, size may be negligible": "worse-maybe-negligible",
}
COLUMNS_OF_1 = frozenset(
    ("verdict", "word", "status", "held", "property", "reading", "model")
)  # of CSV files, likewise


def read_stats(path: Path) -> dict[str, Any]:
    """stats.json of this version or an older one; DataError if it is missing, damaged or of a newer one."""
    content = _read_json(path)
    schema = content.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise DataError(f"{path} is damaged: its schema version is {schema!r}")
    if schema > SCHEMA:
        raise DataError(f"{path} was written by a newer bamgate: version {schema}, this one reads up to {SCHEMA}")
    return content


def comparable(stored: dict[str, Any], found: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both trees without what the stored version wrote as English or did not have."""
    if stored["schema"] == SCHEMA:
        return stored, found
    kept = {**(_without_words(stored) if stored["schema"] == 1 else stored), "schema": SCHEMA}
    return kept, _shared(kept, found)


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _without_words(item) for name, item in value.items() if name not in WORDS_OF_1}
        if "word" in kept:
            kept["code"] = CODES_OF_1.get(word := kept.pop("word"), word)
        return kept
    return [_without_words(item) for item in value] if isinstance(value, list) else value


def _shared(kept: Any, found: Any) -> Any:
    """`found` with only those keys that `kept` has."""
    if isinstance(kept, dict) and isinstance(found, dict):
        return {name: _shared(kept[name], item) for name, item in found.items() if name in kept}
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        return [_shared(one, other) for one, other in zip(kept, found, strict=True)]
    return found


def read_provenance(path: Path) -> dict[str, Any]:
    """provenance.json; DataError if it is missing, damaged or lacks what the pages show."""
    content = _read_json(path)
    needed = {name: content.get(name) for name in ("inputs_sha256", "runs", "versions")}
    runs = needed["runs"]
    needed |= {f"runs.{name}": runs.get(name) if isinstance(runs, dict) else None for name in ("git_commit", "env_id")}
    for name, value in needed.items():
        if not isinstance(value, list if "." in name else dict):
            raise DataError(f"{path}: {name} is missing, or is not as bamgate wrote it")
    return content


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise DataError(f"{path} is missing: there is no report to hold the numbers against")
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: it holds no object")
    return content
