"""Runs a study: keeps jobs going until no cell is missing, together with whoever else is at work on the folder."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bamgate.engines import StoppedError
from bamgate.errors import BamgateError, DataError, GateError, TryAgainError, UsageError, blamed
from bamgate.study.executors import Executor, Job
from bamgate.study.memory import Room
from bamgate.study.state import RUNNING, CellState, StudyState
from bamgate.study.work import End, Message, Work

POLL_S = 0.2
SHARE, LONGEST_POLL_S = 10, 2.0  # the pause after a look, in times of what the look took, and at most
DEATHS = 3  # of jobs on a cell that gets nowhere; then it is left alone
_REFUSALS: dict[int, type[BamgateError]] = {error.exit_code: error for error in (UsageError, DataError, TryAgainError)}


@dataclass(frozen=True, kw_only=True)
class Aside:
    """Why a cell was left without a result: in words, as an exit code, and the traceback if it is a fault of ours."""

    why: str
    code: int
    traceback: str = ""


class Watcher:
    """What a study tells while it goes on; this one ignores it all."""

    def stepped(self, state: CellState, epochs: float) -> None:
        """So many epochs of a cell are behind it, with what there is of the next; told now and then."""

    def epoch_ended(self, state: CellState, row: dict[str, Any]) -> None:
        """A row of its epochs.csv has been written."""

    def ended(self, state: CellState, done: int, total: int) -> None:
        """A cell has ended, by whomever: the `done`-th."""

    def seen(self, states: list[CellState], *, waiting: bool) -> None:
        """All cells, at every look; `waiting`: nobody is at work but others."""

    def note(self, text: str) -> None:
        """A text for people."""


class Seat:
    """One of the jobs that are at work side by side, and what it has said of itself."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.cell = ""  # the one that it is at
        self.finished = 0  # cells that it has seen to the end, or that failed under it

    @property
    def pid(self) -> int | None:
        return self.job.pid if self.job else None

    def hear(self, message: Message) -> None:
        """Keep `cell` and `finished` up to date."""
        if "cell" in message:
            self.cell = message["cell"]
        elif "left" in message or "failed" in message:
            self.cell = ""
            self.finished += message.get("ended", True)


@dataclass
class Supervisor:
    """One `bamgate study run`.

    Args:
        work: what each job has to do, but for what it is to leave alone and its GPU.
        jobs: how many are at work side by side.
        gpus: what CUDA_VISIBLE_DEVICES has to be for the jobs, in turn; none for what it is.
        should_stop: asked several times a second.
        room: asked before a job is started beside others.
    """

    work: Work
    executor: Executor
    jobs: int
    watcher: Watcher
    should_stop: Callable[[], bool]
    room: Room = field(default_factory=Room)
    gpus: Sequence[str] = ()
    aside: dict[str, Aside] = field(default_factory=dict)  # by cell
    seats: dict[int, Seat] = field(default_factory=dict)

    def run(self) -> list[CellState]:
        """All cells, each ended or set aside.

        Raises:
            StoppedError: `should_stop` said so; the jobs have saved and ended.
            UsageError, DataError, TryAgainError: a job's; the others have saved and ended.
            UsageError: the executor is not ours and has failed.
            TryAgainError: no job can be started, or none begins a cell.
        """
        self._state = StudyState(self.work.out)
        self._deaths: dict[str, tuple[int, int]] = {}
        self._waited, self._idle = False, 0
        self._states = {state.cell: state for state in self._state.read()}
        self._known: set[str] = {cell for cell, state in self._states.items() if state.ended}
        with blamed("executor", self.executor.name, self.executor):
            try:
                while self._looks():
                    pass
            finally:
                self._end_all()
                self._tell(self._state.read())
        return self._state.read()

    def _end_all(self) -> None:
        """Each job is ended, whatever becomes of another."""
        with contextlib.ExitStack() as ending:
            for seat in self.seats.values():
                assert seat.job is not None
                ending.callback(seat.job.close)
                ending.callback(seat.job.wait)
            for seat in self.seats.values():
                assert seat.job is not None
                ending.callback(seat.job.stop)

    def _looks(self) -> bool:
        """One look and the pause after it; whether there is more to do."""
        if self.should_stop():
            raise StoppedError("stopped")
        for slot, seat in list(self.seats.items()):
            self._ask(slot, seat)
        began = time.monotonic()
        states = self._state.read()
        self._tell(states)
        missing = [state for state in states if not state.ended and state.cell not in self.aside]
        self._hire(missing)
        if not missing and not self.seats:
            return False
        if self.executor.side_by_side or not self.seats:
            # A study of many thousand cells takes longer to look at, which must not keep a core from training.
            time.sleep(max(POLL_S, min(SHARE * (time.monotonic() - began), LONGEST_POLL_S)))
        return True

    def _ask(self, slot: int, seat: Seat) -> None:
        """Hear what a job has to say, and judge it if it has ended."""
        assert seat.job is not None
        if not seat.job.has_ended():
            return
        end = seat.job.end()
        del self.seats[slot]
        with contextlib.closing(seat.job):
            if end.stopped and self.should_stop():
                raise StoppedError(end.why or "stopped")
            self._judge(seat, end)

    def _hire(self, missing: list[CellState]) -> None:
        """As many jobs as there are slots, and cells that nobody works on."""
        free = sum(state.status != RUNNING for state in missing)
        beginning = sum(not seat.cell for seat in self.seats.values())
        self.room.look(self.seats)
        for slot in range(self.jobs):
            if slot not in self.seats and beginning < free:
                if lack := self.room.lacks(slot, self.seats):
                    self._say_once(lack)
                    return
                if not self._start(slot):
                    return
                beginning += 1

    def _start(self, slot: int) -> bool:
        """Whether the system had room for it; those that are at work go on without it."""
        gpu = self.gpus[slot % len(self.gpus)] if self.gpus else ""
        seat = Seat()
        try:
            with blamed("executor", self.executor.name, self.executor):
                work = replace(self.work, skipped=frozenset(self.aside), gpu=gpu)
                seat.job = self.executor.start(work, lambda message: self._hear(seat, message))
        except OSError as error:
            lack = f"cannot start a trainer process: {error.strerror or error}"
            if not self.seats:
                raise TryAgainError(f"{lack}; raise the limit (ulimit -a) or use fewer --jobs") from error
            self._say_once(f"not all jobs are started yet: {lack}")
            return False
        self.seats[slot] = seat
        return True

    def _say_once(self, lack: str) -> None:
        if not self._waited:
            self.watcher.note(lack)
        self._waited = True

    def _tell(self, states: list[CellState]) -> None:
        self._states = {state.cell: state for state in states}
        ended = [state for state in states if state.ended]
        for number, state in enumerate([s for s in ended if s.cell not in self._known], start=len(self._known) + 1):
            self.watcher.ended(state, number, len(states))
        self._known |= {state.cell for state in ended}
        self.watcher.seen(states, waiting=not self.seats)

    def _hear(self, seat: Seat, message: Message) -> None:
        seat.hear(message)
        if "note" in message:
            self.watcher.note(message["note"])
        if "at" in message:
            epoch, step, steps = message["at"]
            self.watcher.stepped(self._states[seat.cell], epoch + step / steps)
        if "epoch" in message:
            self.watcher.epoch_ended(self._states[seat.cell], message["epoch"])
        if "failed" in message:
            # The same seed gives the same numbers: it would fail again.
            self._set_aside(message["failed"], Aside(why=message["why"], code=GateError.exit_code))

    def _judge(self, seat: Seat, end: End) -> None:
        """What the end of a job means: nothing, the end of the study, or a death that is counted.

        The exit code of a process is not asked: the code of a gate can end a process with any.
        """
        if end.code in _REFUSALS:
            raise _REFUSALS[end.code](end.why)
        states = self._state.read()
        state = next((state for state in states if state.cell == seat.cell), None)
        if state is not None and (state.ended or state.cell in self.aside):
            return
        if end.code is not None and not end.stopped and not seat.cell:
            self._count_idle(seat, states)
        else:
            self._count_death(seat, end, state, sum(state.epoch for state in states))

    def _count_idle(self, seat: Seat, states: list[CellState]) -> None:
        free = [s for s in states if not s.ended and s.status != RUNNING and s.cell not in self.aside]
        self._idle = self._idle + 1 if free and not seat.finished else 0
        if self._idle >= DEATHS:
            raise TryAgainError(
                f"{DEATHS} trainer processes in a row ended without training a cell, though {len(free)} are missing "
                f"and nobody is at work on them, such as {free[0].name}"
            )

    def _count_death(self, seat: Seat, end: End, state: CellState | None, progress: int) -> None:
        cell = seat.cell
        how = "somebody asked it to stop" if end.stopped else end.why or "it did not say why"
        at = state.epoch if state else progress
        number, before = self._deaths.get(cell, (0, at))
        number = number + 1 if before == at else 1
        self._deaths[cell] = (number, at)
        name = f"{state.name}: its trainer process" if state else "a trainer process"
        where = f" at epoch {at}" if state else ""
        self.watcher.note(f"{name} crashed ({how}){where}, {number} of {DEATHS} times")
        if number < DEATHS:
            return
        if not cell:
            raise TryAgainError(f"{DEATHS} trainer processes crashed before they began a cell ({how})")
        why = f"its trainer process crashed {DEATHS} times ({how})"
        code = 1 if end.traceback else TryAgainError.exit_code
        self._set_aside(cell, Aside(why=why, code=code, traceback=end.traceback))

    def _set_aside(self, cell: str, aside: Aside) -> None:
        self.aside[cell] = aside
        for seat in self.seats.values():
            assert seat.job is not None
            seat.job.skip(cell)
