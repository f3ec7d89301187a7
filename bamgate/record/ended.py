"""A cell that has ended, read back: every file is held against the hash that result.json lists for it."""

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bamgate.config import config_hash
from bamgate.errors import DataError
from bamgate.record.metric import Metric, metric_fault, metric_of, same_value, value_of
from bamgate.record.sealed import is_sealed, read_json
from bamgate.record.storage import require_file
from bamgate.record.tables import EPOCHS, Columns, checked_lines, decoded, parse_rows

RESULT = "result.json"
STATUSES = ("finished", "diverged")
_NEEDED = ("epochs", "total", "images_per_s", "checkpoint_sha256")
_OF_ACCURACY = ("correct", "top5_correct")  # needed too in a result that names no other metric
# Counts of the last epoch in epochs.csv, as result.json has them again.
_COUNTS = {"test_correct": "correct", "test_top5_correct": "top5_correct", "test_total": "total"}

ENVIRONMENT = ("device", "device_name", "threads", "torch", "git_commit", "env_id")  # in the order of runs.csv
_LOSSES = ("train_loss", "test_loss")  # a run diverged if one of the last epoch is not finite


class EndedCell:
    """The files of one cell. Only what is asked for is read, and what is read is checked.

    Args:
        folder: of the cell; it is named after the cell.
        result: what its result.json says.
    """

    def __init__(self, folder: Path, result: dict[str, Any]) -> None:
        self.folder, self.result = folder, result
        self._listed: dict[str, str] | None = result.get("files")

    @classmethod
    def at(cls, folder: Path) -> "EndedCell | None":
        """The cell in `folder`; None if it has not ended. DataError if its result.json is damaged or another cell's."""
        path = folder / RESULT
        result = read_json(path)
        if result is None:
            return None
        if result.get("cell") != folder.name or result.get("status") not in STATUSES:
            raise DataError(f"{path} is not the result of cell {folder.name}; put it right or move {folder} away")
        counts = () if "metric" in result else _OF_ACCURACY
        needed = (*_NEEDED, *counts, *(["files"] if is_sealed(result) else []))
        missing = [name for name in needed if name not in result]
        if missing or (not is_sealed(result) and "files" in result):
            lack = f"no {missing[0]!r}" if missing else "a list of files, but no hash of its own"
            raise DataError(f"{path} is damaged: it has {lack}; put it right or move {folder} away")
        if fault := metric_fault(result):
            raise DataError(f"{path} is damaged: {fault[0]!r} {fault[1]}; put it right or move {folder} away")
        if "files" in result and not _is_list_of_files(result["files"]):
            raise DataError(f"{path} is damaged: its list of files is not one; put it right or move {folder} away")
        return cls(folder, result)

    @property
    def has_hashes(self) -> bool:
        """Whether the cell lists the hashes of its files; the first versions of bamgate did not."""
        return self._listed is not None

    @property
    def files(self) -> list[str]:
        """Names of the files that are listed; none for a cell without hashes."""
        return sorted(self._listed or ())

    def read(self, name: str) -> bytes:
        """The bytes of a file. DataError if it is missing, or not what it was when the cell ended."""
        path = self.folder / name
        if not os.path.lexists(path):
            raise DataError(f"{path} is missing; {self._way_out}")
        require_file(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        if self._listed is not None and hashlib.sha256(data).hexdigest() != self._listed.get(name):
            raise DataError(f"{path} is damaged: it is not what it was when the run ended; {self._way_out}")
        return data

    def has(self, name: str) -> bool:
        """Whether the cell has a file of this name, or ought to have it."""
        return name in self._listed if self._listed is not None else (self.folder / name).exists()

    @property
    def _way_out(self) -> str:
        return f"put it right, or move {self.folder} away and it is trained again"

    def json(self, name: str) -> dict[str, Any]:
        """The object in a JSON file of the cell."""
        self.read(name)
        content = read_json(self.folder / name)
        assert content is not None
        return content

    def identity(self) -> dict[str, Any]:
        """config.json, held against the folder's name."""
        stored = self.json("config.json")
        require_named_after(self.folder, stored)
        return stored

    def environment(self) -> dict[str, Any]:
        """environment.json, with all that runs.csv takes from it."""
        stored = self.json("environment.json")
        for name in ENVIRONMENT:
            if name not in stored:
                raise DataError(f"{self.folder / 'environment.json'} does not say {name!r}; {self._way_out}")
        return stored

    def text(self, name: str) -> str:
        """The text of a table, unpacked if its name ends in .gz."""
        return decoded(self.read(name), self.folder / name)

    def rows(self, columns: Columns, name: str) -> list[dict[str, Any]]:
        """The typed rows of a table."""
        return parse_rows(columns, self.text(name), self.folder / name)

    def lines(self, columns: Columns, name: str) -> str:
        """The rows of epochs.csv or gates.csv as text, checked; empty if the cell has no such table."""
        path = self.folder / name
        if not self.has(name) and (name != "epochs.csv" or not self.result["epochs"]):
            return ""
        text = self.text(name)
        lines = checked_lines(columns, text, path)
        if not text.endswith("\n"):
            raise DataError(f"{path} is cut off in its last line; {self._way_out}")
        if name == "epochs.csv":
            self._require_counts(path, text, lines)
        return lines

    def _require_counts(self, path: Path, text: str, lines: str) -> None:
        """DataError if epochs.csv and result.json, two records of the same counts, say different things."""
        epochs, number = self.result["epochs"], lines.count("\n")
        if number != epochs:
            raise DataError(f"{path} has {number} rows, the run has {epochs} epochs; {self._way_out}")
        if not epochs:
            return
        header, last = text.partition("\n")[0], text.splitlines()[-1]
        (row,) = parse_rows(EPOCHS, f"{header}\n{last}\n", path)
        for column, name in _COUNTS.items():
            if row[column] != self.result.get(name):
                raise DataError(
                    f"{path}, line {number + 1}, column {column!r}: {row[column]}, but result.json says "
                    f"{self.result.get(name)} {name.replace('_', ' ')}; {self._way_out}"
                )
        metric = {"test_metric": row["test_metric"]} if "metric_value" in self.result else {}
        for column, value in metric.items():
            if not same_value(math.nan if value is None else value, value_of(self.result)):
                raise DataError(
                    f"{path}, line {number + 1}, column {column!r}: {value}, but result.json says "
                    f"{self.result['metric_value']}; {self._way_out}"
                )
        self._require_status(f"{path}, line {number + 1}", {name: row[name] for name in _LOSSES} | metric)

    def _require_status(self, where: str, losses: dict[str, float | None]) -> None:
        """DataError if losses and metric of the last epoch contradict how the run is said to have ended."""
        known = [math.isfinite(loss) for loss in losses.values() if loss is not None]
        # The first versions of bamgate took a run whose test loss alone was not finite for finished.
        wrong = {"diverged": len(known) >= len(_LOSSES) and all(known), "finished": self.has_hashes and not all(known)}
        if wrong[self.result["status"]]:
            said = ", ".join(f"{name} {loss}" for name, loss in losses.items())
            raise DataError(f"{where}: {said}, but result.json says {self.result['status']!r}; {self._way_out}")

    @property
    def metric(self) -> Metric:
        """What the run is judged by."""
        return metric_of(self.result)

    def require_outcomes(self, rows: int, correct: int) -> None:
        """DataError if outcomes.csv.gz, with so many images and so many of them right, contradicts result.json."""
        if (rows, correct) != (self.result["total"], self.result["correct"]):
            raise DataError(
                f"{self.folder / 'outcomes.csv.gz'}: {correct} correct of {rows} images, but result.json says "
                f"{self.result['correct']} of {self.result['total']}; {self._way_out}"
            )

    def require_score(self, score: float) -> None:
        """DataError if the metric's value, as it follows from outcomes.csv.gz, contradicts result.json."""
        if not same_value(score, value_of(self.result)):
            raise DataError(
                f"{self.folder / 'outcomes.csv.gz'}: {self.metric.name} {score:.9g}, but result.json says "
                f"{self.result['metric_value']}; {self._way_out}"
            )


def _is_list_of_files(listed: object) -> bool:
    """Whether it holds hashes by the names of files, all of them in the cell's own folder."""
    return isinstance(listed, dict) and all(
        isinstance(digest, str) and Path(name).name == name for name, digest in listed.items()
    )


def read_config(folder: Path) -> dict[str, Any] | None:
    """config.json of a cell, ended or not; None if there is none, DataError if the folder is not named after it."""
    stored = read_json(folder / "config.json")
    if stored is not None:
        require_named_after(folder, stored)
    return stored


def require_named_after(folder: Path, stored: dict[str, Any]) -> None:
    """DataError if a config.json is not the configuration that its folder is named after."""
    config = stored.get("config")
    digest = config_hash(config) if isinstance(config, dict) else ""
    if (stored.get("config_sha256"), stored.get("cell"), digest[:16]) != (digest, folder.name, folder.name):
        raise DataError(
            f"{folder / 'config.json'}: the configuration is not the one that the folder is named after; "
            f"put it right or move {folder} away"
        )
    gate = stored.get("gate")
    facts = [gate.get(name) if isinstance(gate, dict) else None for name in ("name", "fingerprint", "source_sha256")]
    if not all(isinstance(fact, str) for fact in (*facts, stored.get("design_sha256"))):
        raise DataError(
            f"{folder / 'config.json'} does not say which gate and which design it is of; "
            f"put it right or move {folder} away"
        )


def gate_mark(gate: Mapping[str, str]) -> str:
    """What identifies a gate besides its name: its function, and its source too if that is the user's code.

    Args:
        gate: name, fingerprint and source_sha256, as in config.json.
    """
    if ":" not in gate["name"] or gate["name"].startswith("expr:"):
        return gate["fingerprint"]
    return f"{gate['fingerprint']}+{gate['source_sha256'][:16]}"


def same_gate(mark: str, other: str) -> bool:
    """Whether two marks can be of one gate.

    The first versions of bamgate stored no source in study.json, and of the function the first 16 digits alone.
    """
    (function, source), (other_function, other_source) = (text.partition("+")[::2] for text in (mark, other))
    (first, more), (other_first, other_more) = (text.partition("-")[::2] for text in (function, other_function))
    return first == other_first and all(
        one == two or not (one and two) for one, two in ((more, other_more), (source, other_source))
    )
