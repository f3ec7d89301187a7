"""Executors: what one that is made up here may do, that all give the same bytes, and what is said of one that fails."""

import importlib.metadata
import re
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import without_times
from record_samples import message
from study_samples import Forked, opened, study_file, trained

import bamgate.study
from bamgate.cli.study_progress import LineWatcher, SilentWatcher
from bamgate.engines import ENGINES, Execution, Session, StoppedError, single
from bamgate.errors import BamgateError, TryAgainError, UsageError, blamed
from bamgate.gates import load_gate
from bamgate.record.tables import EPOCHS, read_rows
from bamgate.study import trainer
from bamgate.study.executors import EXECUTORS
from bamgate.study.state import CellState, StudyState
from bamgate.study.study import read_study
from bamgate.study.supervise import Watcher
from bamgate.study.trainer import Orders, each_cell, end_of
from bamgate.study.verify import verify
from bamgate.study.work import End, Message, Work


class Threads:
    """Trains in a thread beside the one that asks; its job is a class of its own."""

    name, side_by_side = "threads", True

    def start(self, work: Work, tell: Callable[[Message], None]) -> "ThreadJob":
        return ThreadJob(work, tell)


class ThreadJob:
    pid = None

    def __init__(self, given: Work, tell: Callable[[Message], None]) -> None:
        self.said: list[Message] = []
        self.tell, self.stopped, self.how = tell, threading.Event(), End()
        self.thread = threading.Thread(target=self._train, args=(given,))
        self.thread.start()

    def _train(self, given: Work) -> None:
        execution = Execution(should_stop=self.stopped.is_set)
        orders = Orders(skipped=lambda: set(given.skipped), tell=self.said.append)
        try:
            for _ in each_cell(given.out, execution, orders, load_gate):
                pass
        except BaseException as error:
            self.how = end_of(error)

    def has_ended(self) -> bool:
        has_ended = not self.thread.is_alive()
        while self.said:
            self.tell(self.said.pop(0))
        return has_ended

    def end(self) -> End:
        return self.how

    def skip(self, cell: str) -> None: ...

    def stop(self) -> None:
        self.stopped.set()

    def wait(self) -> None:
        self.thread.join()

    def close(self) -> None: ...


def refusal(kind: type[BamgateError], study: str | Path, *arguments: Any, **options: Any) -> str:
    return message(kind, partial(bamgate.study.run, study, *arguments, **options))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXECUTORS, "_parts", dict(EXECUTORS._parts))
    monkeypatch.setattr(ENGINES, "_parts", dict(ENGINES._parts))
    for part in (Threads(), Forked()):
        EXECUTORS.register(part.name, part)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_file(tmp_path_factory.mktemp("file"), seeds="0")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Path:
    return trained(tmp_path_factory.mktemp("undisturbed") / "study", file)


@pytest.mark.parametrize("name", ["in-process", "threads", "forked"])
def test_every_executor_gives_the_same_bytes(tmp_path: Path, file: Path, undisturbed: Path, name: str) -> None:
    ran = bamgate.study.run(file, tmp_path / "out", executor=name, jobs=1)
    assert without_times(tmp_path / "out") == without_times(undisturbed)
    assert ran.out == tmp_path / "out"
    assert (len(ran.runs), ran.aside, {state.status for state in ran.states}) == (2, {}, {"finished"})
    means = {row.arm: row.mean for row in ran.arms}
    for arm, mean in means.items():
        correct = [row["correct"] / row["total"] for row in ran.runs if row["arm"] == arm]
        assert mean == pytest.approx(100 * sum(correct))
    assert verify(ran.out) == []


def test_what_a_study_is_may_be_said_in_three_ways(
    tmp_path: Path, file: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bamgate.study.run(read_study(file), executor="in-process")
    assert ran.out == Path("runs/tiny")
    assert without_times(ran.out) == without_times(undisturbed)
    again = bamgate.study.run(str(ran.out), executor="in-process")
    assert again.states == ran.states
    assert "unknown study 'quik'; did you mean 'quick'?" in refusal(UsageError, "quik")


def test_the_library_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bamgate.study.run(study_file(tmp_path, gates='"sigmoid"', seeds="0"), tmp_path / "out", executor="in-process")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["in-process", "threads"])
def test_a_study_that_is_stopped_goes_on(tmp_path: Path, file: Path, undisturbed: Path, name: str) -> None:
    asked = [0]

    def should_stop() -> bool:
        asked[0] += 1
        return asked[0] > 5

    with pytest.raises(StoppedError):
        bamgate.study.run(file, tmp_path / "out", executor=name, jobs=1, should_stop=should_stop)
    assert any(not state.ended for state in StudyState(tmp_path / "out").read())
    bamgate.study.run(file, tmp_path / "out", executor=name, jobs=1)
    assert without_times(tmp_path / "out") == without_times(undisturbed)


class Broken(Threads):
    """Fails like a program of somebody else's: when it starts a job, or when that is asked."""

    name = "broken"

    def __init__(self, where: str, error: BaseException) -> None:
        self.where, self.error = where, error

    def start(self, work: Work, tell: Callable[[Message], None]) -> ThreadJob:
        if self.where == "start":
            raise self.error
        job = super().start(work, tell)

        def fails() -> Any:
            raise self.error

        setattr(job, self.where, fails)
        return job


@pytest.mark.parametrize("where", ["start", "has_ended", "end", "close"])
def test_an_executor_that_fails_is_named_and_loses_nothing(
    tmp_path: Path, file: Path, undisturbed: Path, where: str
) -> None:
    said = refusal(UsageError, file, tmp_path / "out", executor=Broken(where, KeyError("queue")), jobs=1)
    expected = (
        "executor 'broken' failed: KeyError: 'queue'; what was saved is kept, and the same command resumes from there"
    )
    assert said == expected
    bamgate.study.run(file, tmp_path / "out", executor="in-process")
    assert without_times(tmp_path / "out") == without_times(undisturbed)


def test_an_executor_that_has_no_room_is_the_machines_fault(tmp_path: Path, file: Path) -> None:
    broken = Broken("start", BlockingIOError(11, "Resource temporarily unavailable"))
    said = refusal(TryAgainError, file, tmp_path / "out", executor=broken)
    assert said.startswith("cannot start a trainer process: Resource temporarily unavailable")


class Foreign:
    """An engine that fails in its second cell."""

    name = "foreign"

    def __init__(self) -> None:
        self.cells = 0

    def train(self, sessions: Sequence[Session], should_stop: Callable[[], bool]) -> None:
        self.cells += 1
        if self.cells > 1:
            raise LookupError("no such\nnode")
        single.Single().train(sessions, should_stop)


def test_an_engine_that_fails_is_named_and_loses_nothing(
    tmp_path: Path, file: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(ENGINES._parts, "single", Foreign())  # type: ignore[arg-type]
        said = refusal(UsageError, file, tmp_path / "out", executor="in-process")
        assert said.startswith("engine 'foreign' failed: LookupError: no such; what was saved is kept, ")
    assert sum(state.ended for state in StudyState(tmp_path / "out").read()) == 1


class Elsewhere:
    """As if it were made in another module."""


Elsewhere.__module__ = "elsewhere"


def test_a_fault_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(KeyError), blamed("executor", "local", EXECUTORS.get("local")):
        raise KeyError
    with pytest.raises(KeyError), blamed("executor", "silent", Elsewhere()):
        {}["it came out of other code"] if False else dict.fromkeys("a").pop("b")


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, int, int]] = []
        self.epochs: list[tuple[str, int]] = []
        self.steps: list[tuple[str, float]] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stepped(self, state: CellState, epochs: float) -> None:
        self.steps.append((state.name, epochs))

    def epoch_ended(self, state: CellState, row: dict[str, Any]) -> None:
        self.epochs.append((state.name, row["epoch"]))

    def ended(self, state: CellState, done: int, total: int) -> None:
        self.ends.append((state.name, done, total))


@pytest.mark.parametrize("name", ["in-process", "forked"])
def test_a_watcher_is_told_of_steps_epochs_and_ends(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(trainer, "TELL_S", 0.0)
    notes = Notes()
    ran = bamgate.study.run(file, tmp_path / "out", executor=name, jobs=1, watcher=notes)
    names = ["sigmoid seed 0", "tanh seed 0"]
    assert notes.ends == [(name, number, 2) for number, name in enumerate(names, start=1)]
    assert notes.epochs == [(name, epoch) for name in names for epoch in (1, 2)]
    # 320 images in batches of 32: ten steps an epoch, and at the last one the epoch itself is told of.
    steps = [step / 10 for step in range(1, 20) if step != 10]
    assert notes.steps == [(name, pytest.approx(step)) for name in names for step in steps]
    rows = read_rows(EPOCHS, ran.out / "epochs.csv")
    assert [(row["epoch"]) for row in rows] == [1, 2, 1, 2]


def test_what_a_cell_goes_on_from_is_noted(tmp_path: Path, file: Path) -> None:
    asked = [0]

    def should_stop() -> bool:
        asked[0] += 1
        return asked[0] > 9

    with pytest.raises(StoppedError):
        bamgate.study.run(file, tmp_path / "out", executor="in-process", should_stop=should_stop)
    notes = Notes()
    bamgate.study.run(file, tmp_path / "out", executor="in-process", watcher=notes)
    assert re.fullmatch(r"sigmoid seed 0: going on in epoch 1 after step [1-9]", notes.notes[0])
    assert len(notes.notes) == 1


def test_lines_of_epochs_only_if_they_are_asked_for(
    tmp_path: Path, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (state,) = [one for one in StudyState(opened_folder(tmp_path, file)).read() if one.name == "tanh seed 0"]
    row = {"epoch": 1, "train_correct": 1, "train_total": 4, "test_correct": 1, "test_total": 2, "images_per_s": 31.4}
    for kind in (LineWatcher, SilentWatcher):
        for epochs in (False, True):
            kind(StudyState(tmp_path / "out"), epochs=epochs).epoch_ended(state, row)
    assert capfd.readouterr().err == "[2/2] tanh seed 0  epoch 1/2  train 25.0 %  test 50.0 %  31 images/s\n"


def opened_folder(folder: Path, file: Path) -> Path:
    opened(folder / "out", file)
    return folder / "out"


def test_an_executor_by_name(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(UsageError, file, tmp_path / "out", executor="in-proces")
    assert said == (
        "unknown executor 'in-proces'; did you mean 'in-process'? (allowed: in-process, local, threads, forked)"
    )
    expected = "jobs 2 would have no effect: executor 'in-process' has one; leave it out"
    assert refusal(UsageError, file, tmp_path / "out", executor="in-process", jobs=2) == expected
    assert not (tmp_path / "out").exists()

    class Cluster(Threads):
        name = "cluster"

    class Point:
        name, value = "cluster", "mine:CLUSTER"

        def load(self) -> Threads:
            return Cluster()

    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [Point()] if group == "bamgate.executors" else []
    )
    assert isinstance(EXECUTORS.get("cluster"), Cluster)


def test_how_an_end_is_judged() -> None:
    assert end_of(StoppedError("stopped in epoch 1")) == End(0, "stopped in epoch 1", stopped=True)
    assert end_of(UsageError("no such thing")) == End(2, "no such thing")
    assert end_of(MemoryError()).code == 75
    death = end_of(ValueError("x"))
    assert (death.code, death.why) == (None, "ValueError: x")
    assert death.traceback.endswith("ValueError: x\n")
