"""Engines by name: what one that is made up here may do, what is recorded of it, and what is refused."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.engines import ENGINES, Execution, Listener, Position, Session, StoppedError
from bamgate.errors import UsageError
from bamgate.record.collect import collect
from bamgate.run.cells import run_cell

CONFIG = RunConfig(
    dataset="digits",
    attention=AttentionConfig(gate="tanh"),
    training=TrainingConfig(epochs=2, batch_size=32, lr=0.05, train_limit=96),
)


class Halting:
    """Stops after every step, saves, and goes on: slower than `single`, with the same numbers."""

    name = "halting"

    def train(self, sessions: Sequence[Session], should_stop: Callable[[], bool]) -> None:
        for session in sessions:
            while not session.is_trained:
                if session.trainer.train_epoch(session.position, lambda position: True):
                    session.end_epoch()
                elif should_stop():
                    session.save()
                    raise StoppedError("stopped")
                else:
                    session.save()
            session.finish()


class Failing:
    """Ends with an error after the first epoch."""

    name = "failing"

    def train(self, sessions: Sequence[Session], should_stop: Callable[[], bool]) -> None:
        (session,) = sessions
        session.trainer.train_epoch(session.position, lambda position: False)
        session.end_epoch()
        raise UsageError("the made-up device is gone")


class Idle:
    """Returns without having done anything."""

    name = "idle"

    def train(self, sessions: Sequence[Session], should_stop: Callable[[], bool]) -> None: ...


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENGINES, "_parts", dict(ENGINES._parts))
    for engine in (Halting(), Failing(), Idle()):
        ENGINES.register(engine.name, engine)


def _bytes(out: Path, *names: str) -> list[bytes]:
    return [(out / "cells" / CONFIG.cell / name).read_bytes() for name in names]


def test_another_engine_gives_the_same_numbers_and_is_recorded(tmp_path: Path) -> None:
    for name in ("single", "halting"):
        run_cell(CONFIG, tmp_path / name, execution=Execution(engine=name))
        environment = json.loads(_bytes(tmp_path / name, "environment.json")[0])
        assert environment["engine"] == name
        collect(tmp_path / name)
        with (tmp_path / name / "runs.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert row["executor"] == name  # the column's name in version 1 of the table
    same = ("gates.csv", "outcomes.csv.gz", "checkpoint.pt", "gate_curve.csv")
    assert _bytes(tmp_path / "single", *same) == _bytes(tmp_path / "halting", *same)


def test_a_cell_is_not_continued_by_another_engine(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run_cell(CONFIG, tmp_path, execution=Execution(engine="halting", should_stop=lambda: True))
    with pytest.raises(UsageError, match="was begun with engine halting, this is engine single"):
        run_cell(CONFIG, tmp_path)
    assert run_cell(CONFIG, tmp_path, execution=Execution(engine="halting"))["status"] == "finished"


def test_an_engine_that_raises_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the made-up device is gone"):
        run_cell(CONFIG, tmp_path, execution=Execution(engine="failing"))
    seen: list[int] = []

    class Notes(Listener):
        def began(self, config: RunConfig, folder: Path, position: Position, note: str) -> None:
            seen.append(position.epoch)

        def epoch_ended(self, row: dict[str, Any]) -> None:
            seen.append(row["epoch"])

    with pytest.raises(UsageError, match="the made-up device is gone"):
        run_cell(CONFIG, tmp_path, execution=Execution(engine="failing"), listener=Notes())
    assert seen == [1, 2]  # the first epoch was kept


def test_an_engine_that_does_not_finish_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"engine 'idle' returned before .* had ended"):
        run_cell(CONFIG, tmp_path, execution=Execution(engine="idle"))


def test_an_unknown_engine_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown engine 'singel'.*'single'"):
        run_cell(CONFIG, tmp_path / "out", execution=Execution(engine="singel"))
    assert not (tmp_path / "out").exists()
