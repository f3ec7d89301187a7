"""A run on disk. A cell owns a folder with one writer; what is in it was written whole.

DIR/design.json                the configuration that all cells share; a study has study.json in its place
DIR/cells/<id>/config.json     the resolved configuration, its hashes and the gate's identity
              /environment.json, epochs.csv, gates.csv, outcomes.csv.gz, checkpoint.pt
              /attempts.csv    a row each time that somebody began, or went on with it
              /result.json     written last: its presence means finished
DIR/runs.csv, epochs.csv, gates.csv    rebuilt from the cells at any time
"""

import datetime
import errno
import gzip
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bamgate.config import SCHEMA, RunConfig, config_hash
from bamgate.environment import BINDING, BINDING_FILES
from bamgate.errors import DataError, TryAgainError, UsageError
from bamgate.storage import append_synced, sole_writer, write_atomic
from bamgate.tables import ATTEMPTS, EPOCHS, GATES, OUTCOMES, Columns, format_rows, read_rows

PATIENCE_S = 60.0  # for the moments in which another process writes what all cells share
CELL_TABLES: Mapping[str, Columns] = {"epochs.csv": EPOCHS, "gates.csv": GATES}


class CellLog:
    """The record of one cell: config and environment first, rows once an epoch, the result last."""

    def __init__(self, folder: Path, cell: str) -> None:
        self.folder, self.cell = folder, cell

    def claim(self, config: dict[str, Any]) -> None:
        """Write config.json, or check that it is this one; UsageError where the gate's code is another."""
        stored = read_json(self.folder / "config.json")
        if stored is None:
            write_json(self.folder / "config.json", config)
        elif stored["gate"]["fingerprint"] != config["gate"]["fingerprint"]:
            raise UsageError(
                f"gate {config['gate']['name']!r} is not the function it was when {self.folder} was begun; "
                "give it another name or choose another --out"
            )

    def bind(self, environment: dict[str, Any], *, begun: bool = True) -> None:
        """Write environment.json; UsageError where the run was begun in another: rounding would change midway.

        Args:
            begun: there is something to go on with; where there is not, the run begins anew in this environment.
        """
        before = read_json(self.folder / "environment.json")
        if before is None or not begun:
            write_json(self.folder / "environment.json", environment)
        else:
            self._same_environment(before, environment)

    def _same_environment(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        if before.get("listing_sha256") != now.get("listing_sha256"):
            raise UsageError(
                f"{self.folder} was begun with other image files: since then some were added, removed, renamed or "
                "changed in size; put them back as they were or choose another --out"
            )
        for name in (*BINDING, *(BINDING_FILES if "listing_sha256" in now else ())):
            if before[name] != now[name]:
                raise UsageError(
                    f"{self.folder} was begun with {name} {before[name]}, this is {name} {now[name]}, "
                    "and a run must not mix the two; go on as it was begun or choose another --out"
                )

    def same_images_as_its_siblings(self, listing_sha256: str | None) -> None:
        """UsageError where another cell of the folder was trained on other image files of the same data set."""
        for path in sorted(self.folder.parent.glob("*/environment.json")) if listing_sha256 else []:
            theirs = (read_json(path) or {}).get("listing_sha256", listing_sha256)
            if path.parent != self.folder and theirs != listing_sha256 and (path.parent / "result.json").is_file():
                raise UsageError(
                    f"{path.parent} was trained on other image files: since then some were added, removed, renamed or "
                    "changed in size, and the two cannot be compared; choose another --out"
                )

    def begin(self) -> None:
        """Count an attempt, for good, before anything can go wrong with it."""
        began = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        before = self.attempts()
        row = {"attempt": len(before) + 1, "began": began, "epoch": len(self.rows("epochs.csv"))}
        write_atomic(self.folder / "attempts.csv", format_rows(ATTEMPTS, [*before, row], header=True).encode())

    def attempts(self) -> list[dict[str, Any]]:
        """One row each time that the cell was begun or gone on with."""
        path = self.folder / "attempts.csv"
        return read_rows(ATTEMPTS, path) if path.exists() else []

    def append(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows to epochs.csv or gates.csv, synced."""
        path = self.folder / table
        text = format_rows(CELL_TABLES[table], ({"cell": self.cell, **row} for row in rows), header=not path.exists())
        append_synced(path, text)

    def rows(self, table: str) -> list[dict[str, Any]]:
        path = self.folder / table
        return read_rows(CELL_TABLES[table], path) if path.exists() else []

    def cut_after(self, epoch: int) -> None:
        """Drop the rows of epochs after `epoch`: they were written after the checkpoint that the run goes on from."""
        for table, columns in CELL_TABLES.items():
            path = self.folder / table
            if path.exists():
                kept = [row for row in read_rows(columns, path) if row["epoch"] <= epoch]
                write_atomic(path, format_rows(columns, kept, header=True).encode())

    def write_outcomes(self, labels: list[int], predicted: list[int]) -> None:
        """outcomes.csv.gz: one row a test image; the same outcomes are the same bytes."""
        rows = (
            {"index": i, "label": label, "predicted": answer, "correct": int(label == answer)}
            for i, (label, answer) in enumerate(zip(labels, predicted, strict=True))
        )
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
            file.write(format_rows(OUTCOMES, rows, header=True).encode())
        write_atomic(self.folder / "outcomes.csv.gz", buffer.getvalue())

    def finish(self, result: dict[str, Any]) -> None:
        write_json(self.folder / "result.json", {"schema": SCHEMA, "cell": self.cell, **result})

    def result(self) -> dict[str, Any] | None:
        """The result of a finished cell, None otherwise."""
        return read_json(self.folder / "result.json")


def open_cell(out: Path, config: RunConfig, *, in_study: bool = False) -> CellLog:
    """The folder of `config` under `out`; UsageError where `out` belongs to another design or cannot be made.

    The folder of a study holds many designs; whoever trains in one has seen to it that the cell belongs there.
    """
    if not in_study:
        make_folder(out)
        with sole_writer(out, patience_s=PATIENCE_S):
            if not check_design(out, config):
                design = {"schema": SCHEMA, "design_sha256": config.design_sha256, "design": config.design()}
                write_json(out / "design.json", design)
    folder = out / "cells" / config.cell
    make_folder(folder)
    return CellLog(folder, config.cell)


def make_folder(folder: Path) -> None:
    """With its parents; UsageError where that is not possible here."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise TryAgainError(f"cannot create the folder {folder}: {error.strerror}") from error
        raise UsageError(f"cannot create the folder {folder}: {error.strerror}; choose another --out") from error


def check_design(out: Path, config: RunConfig) -> bool:
    """Whether `out` holds runs of this design; False where it holds none, UsageError where it holds something else."""
    if (out / "study.json").exists():
        raise UsageError(f"{out} is the folder of a study (bamgate study status {out}); choose another --out")
    stored = read_json(out / "design.json")
    if stored is None:
        refuse_foreign_tables(out, "design.json")
        return False
    if stored["design_sha256"] != config.design_sha256:
        difference = first_difference(stored["design"], config.design())
        raise UsageError(f"{out} belongs to another configuration: {difference}; choose another --out")
    return True


def refuse_foreign_tables(out: Path, missing: str) -> None:
    """UsageError where `out` has tables that we would replace, and is not known to be ours."""
    foreign = next((name for name in ("runs.csv", *CELL_TABLES) if (out / name).exists()), None)
    if foreign is not None:
        raise UsageError(f"{out} holds a {foreign} but no {missing}, so it is no folder of runs; choose another --out")


def first_difference(before: Any, now: Any, name: str = "") -> str:
    """Where two configurations part, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                return first_difference(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    return f"{name} is {json.dumps(before)} there and {json.dumps(now)} here"


def read_config(folder: Path) -> dict[str, Any] | None:
    """A cell's config.json, None where there is none; DataError where it is not what the folder is named after."""
    path = folder / "config.json"
    stored = read_json(path)
    if stored is None:
        return None
    config = stored.get("config")
    digest = config_hash(config) if isinstance(config, dict) else ""
    if (stored.get("config_sha256"), stored.get("cell"), digest[:16]) != (digest, folder.name, folder.name):
        raise DataError(
            f"{path}: the configuration is not the one that the folder is named after; "
            f"put it right or move {folder} away"
        )
    return stored


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, None where there is no file; DataError where it cannot be read or has another schema."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; put it right or move {path.parent} away") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise DataError(f"{path} has schema version {found}, this bamgate reads version {SCHEMA}")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomic(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
