"""A run on disk. A cell owns a folder with one writer; what is in it was written whole.

DIR/design.json                the configuration that all cells share; a study has study.json in its place
DIR/cells/<id>/config.json     the resolved configuration, its hashes and the gate's identity
              /gate_curve.csv  what the gate is at some logits
              /environment.json, epochs.csv, gates.csv, outcomes.csv.gz, checkpoint.pt
              /attempts.csv    a row each time that somebody began, or went on with it
              /result.json     written last: the run has ended; lists the sha256 of each file of the cell
DIR/runs.csv, epochs.csv, gates.csv    rebuilt from the cells at any time, and so is
DIR/gate_curves.csv            a curve for each gate
"""

import datetime
import errno
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bamgate.config import SCHEMA, RunConfig
from bamgate.errors import TryAgainError, UsageError
from bamgate.record.columns import FIRST, Table
from bamgate.record.ended import RESULT, EndedCell, gate_mark, read_config, same_gate
from bamgate.record.environment import BINDING, BINDING_FILES, FIRST_ENGINE
from bamgate.record.sealed import read_json, write_json, write_sealed
from bamgate.record.storage import append_synced, make_folders, sole_writer, write_atomic
from bamgate.record.tables import (
    ATTEMPTS,
    EPOCHS,
    GATE_CURVES,
    GATES,
    columns_in,
    format_rows,
    is_regular,
    parse_rows,
    read_rows,
)

PATIENCE_S = 60.0  # for the moments in which another process writes what all cells share
CELL_TABLES: Mapping[str, Table] = {"epochs.csv": EPOCHS, "gates.csv": GATES}
CURVE = "gate_curve.csv"
# What a cell keeps after its end, besides result.json. The network's files are named by bamgate.engines.checkpoint.
KEPT = (
    *("config.json", "environment.json", "attempts.csv", CURVE, *CELL_TABLES, "outcomes.csv.gz"),
    *("checkpoint.pt", "checkpoint.sha256"),
)


class CellLog:
    """The record of one cell: config and environment first, rows once an epoch, the result last."""

    def __init__(self, folder: Path, cell: str) -> None:
        self.folder, self.cell = folder, cell

    def claim(self, config: dict[str, Any]) -> None:
        """Write config.json, or check that it is this one; UsageError if the gate's code is another."""
        ended = self.ended()
        stored = ended.identity() if ended else read_config(self.folder)
        if stored is None:
            write_json(self.folder / "config.json", config)
        elif not same_gate(gate_mark(stored["gate"]), gate_mark(config["gate"])):
            raise UsageError(_changed_gate(config["gate"]["name"], self.folder))

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
        before, now = {"engine": FIRST_ENGINE, **before}, {"engine": FIRST_ENGINE, **now}
        for name in (*BINDING, "engine", *(BINDING_FILES if "listing_sha256" in now else ())):
            if before.get(name) != now[name]:
                raise UsageError(
                    f"{self.folder} was begun with {name} {before.get(name)}, this is {name} {now[name]}, "
                    "and a run must not mix the two; go on as it was begun or choose another --out"
                )

    def write_curve(self, points: Iterable[Mapping[str, Any]]) -> None:
        """gate_curve.csv, of `bamgate.gates.gate_curve`."""
        write_atomic(self.folder / CURVE, format_rows(GATE_CURVES, points, header=True).encode())

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
        """Add rows to epochs.csv or gates.csv, synced; of the optional columns only those that some row has."""
        path, named = self.folder / table, [{"cell": self.cell, **row} for row in rows]
        is_new = not path.exists()
        present = Table({}) if is_new else self._columns(table)
        columns = CELL_TABLES[table]
        columns = columns.having([*present, *(name for row in named for name in row), *_in_every_run(columns)])
        if not is_new and columns.keys() != present.keys():
            write_atomic(path, format_rows(columns, read_rows(present, path), header=True).encode())
        append_synced(path, format_rows(columns, named, header=is_new))

    def _columns(self, table: str) -> Table:
        """The columns of the table as the cell has it, and those of the first version, which every run writes."""
        columns = CELL_TABLES[table]
        with (self.folder / table).open(encoding="utf-8", errors="replace") as file:
            present = columns_in(columns, file.readline())
        return columns.having([*present, *_in_every_run(columns)])

    def rows(self, table: str) -> list[dict[str, Any]]:
        path = self.folder / table
        return read_rows(CELL_TABLES[table], path) if path.exists() else []

    def cut_after(self, epoch: int) -> None:
        """Drop the rows of epochs after `epoch`: they were written after the checkpoint that the run goes on from."""
        for table in CELL_TABLES:
            path = self.folder / table
            if path.exists():
                columns = self._columns(table)
                kept = [row for row in read_rows(columns, path) if row["epoch"] <= epoch]
                write_atomic(path, format_rows(columns, kept, header=True).encode())

    def write_outcomes(self, columns: Table, values: Mapping[str, Sequence[Any]]) -> None:
        """outcomes.csv.gz, of a task's columns; the same outcomes are the same bytes.

        Args:
            values: equally many of each column, without "schema".

        Raises:
            DataError: a value that the table cannot hold.
        """
        path = self.folder / "outcomes.csv.gz"
        rows = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
        text = format_rows(columns, rows, header=True)
        if not is_regular(columns, text):
            parse_rows(columns, text, path)
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
            file.write(text.encode())
        write_atomic(path, buffer.getvalue())

    def finish(self, result: dict[str, Any]) -> None:
        """Write result.json, with the hash of every file that a cell keeps."""
        paths = [self.folder / name for name in KEPT]
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}
        write_sealed(self.folder / RESULT, {"schema": SCHEMA, "cell": self.cell, **result, "files": files})

    def ended(self) -> EndedCell | None:
        """The cell if it has ended, None otherwise; DataError if its result.json is damaged."""
        return EndedCell.at(self.folder)

    def result(self) -> dict[str, Any] | None:
        """The result of a cell that has ended, None otherwise; DataError if it is damaged."""
        ended = self.ended()
        return ended.result if ended else None


def open_cell(out: Path, config: RunConfig, *, in_study: bool = False) -> CellLog:
    """The folder of `config` under `out`; UsageError where `out` belongs to another design or cannot be made.

    The folder of a study holds many designs; whoever trains in one has seen to it that the cell belongs there.
    """
    if not in_study:
        make_folder(out)
        with sole_writer(out, patience_s=PATIENCE_S):
            if not check_design(out, config):
                design = {"schema": SCHEMA, "design_sha256": config.design_sha256, "design": config.design()}
                write_sealed(out / "design.json", design)
    folder = out / "cells" / config.cell
    make_folder(folder)
    return CellLog(folder, config.cell)


def require_one_gate(out: Path, gate: Mapping[str, str]) -> None:
    """UsageError if a cell in `out` was begun with another function under the gate's name: one arm, one function.

    Args:
        gate: as in config.json: name, fingerprint and source_sha256.
    """
    for path in sorted(out.glob("cells/*/config.json")):
        other = (read_config(path.parent) or {}).get("gate", gate)
        if other["name"] == gate["name"] and not same_gate(gate_mark(other), gate_mark(gate)):
            raise UsageError(_changed_gate(gate["name"], path.parent))


def require_one_listing(out: Path, config: RunConfig, listing_sha256: str | None) -> None:
    """UsageError if another cell in `out` was trained on other image files of the same data set.

    Args:
        listing_sha256: of the image files that the cell of `config` is about to be trained on; None if there are none.
    """
    for path in sorted(out.glob("cells/*/environment.json")) if listing_sha256 else []:
        theirs = (read_json(path) or {}).get("listing_sha256", listing_sha256)
        if path.parent.name == config.cell or theirs == listing_sha256 or not (path.parent / RESULT).is_file():
            continue
        stored = read_config(path.parent)
        if stored is None or stored["config"]["dataset"] == config.dataset:
            raise UsageError(
                f"{path.parent} was trained on other image files: since then some were added, removed, renamed or "
                "changed in size, and the two cannot be compared; choose another --out"
            )


def _in_every_run(columns: Table) -> list[str]:
    """The optional columns that every run writes: they came before tables had versions."""
    return [name for name, version in columns.later.items() if version == FIRST]


def _changed_gate(name: str, folder: Path) -> str:
    return (
        f"gate {name!r} is not the function it was when {folder} was begun; "
        "give it another name or choose another --out"
    )


def make_folder(folder: Path) -> None:
    """With its parents; UsageError where that is not possible here."""
    try:
        make_folders(folder)
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
