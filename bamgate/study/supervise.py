"""Runs a study: keeps workers going until no cell is missing, together with whoever else is at work on the folder."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bamgate.engines import StoppedError
from bamgate.errors import BamgateError, DataError, GateError, TryAgainError, UsageError
from bamgate.study.memory import Room
from bamgate.study.processes import End as End
from bamgate.study.processes import Worker
from bamgate.study.state import RUNNING, CellState, StudyState

POLL_S = 0.2
SHARE, LONGEST_POLL_S = 10, 2.0  # the pause after a look, in times of what the look took, and at most
DEATHS = 3  # of workers on a cell that gets nowhere; then it is left alone
_REFUSALS: dict[int, type[BamgateError]] = {error.exit_code: error for error in (UsageError, DataError, TryAgainError)}


@dataclass(frozen=True, kw_only=True)
class Aside:
    """Why a cell was left without a result: in words, as an exit code, and the traceback if it is a fault of ours."""

    why: str
    code: int
    traceback: str = ""


class Watcher:
    """What a study tells while it goes on; this one ignores it all."""

    def ended(self, state: CellState, done: int, total: int) -> None: ...

    def seen(self, states: list[CellState], *, waiting: bool) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass
class Supervisor:
    """One `bamgate study run`.

    Args:
        start: a worker for a slot, told which cells to leave alone.
        should_stop: asked several times a second.
        room: asked before a worker is started beside others.
    """

    out: Path
    jobs: int
    start: Callable[[int, set[str]], Worker]
    watcher: Watcher
    should_stop: Callable[[], bool]
    room: Room = field(default_factory=Room)
    aside: dict[str, Aside] = field(default_factory=dict)  # by cell

    def run(self) -> list[CellState]:
        """All cells, each ended or set aside.

        Raises:
            StoppedError: `should_stop` said so; the workers have saved and ended.
            UsageError, DataError, TryAgainError: a worker's; the others have saved and ended.
            TryAgainError: no worker can be started, or none begins a cell.
        """
        self._state, self._workers = StudyState(self.out), dict[int, Worker]()
        self._deaths: dict[str, tuple[int, int]] = {}
        self._waited, self._idle = False, 0
        self._known: set[str] = {state.cell for state in self._state.read() if state.ended}
        try:
            while self._looks():
                pass
        except BaseException:
            for worker in self._workers.values():
                worker.stop()
            raise
        finally:
            for worker in self._workers.values():
                worker.wait()
                worker.close()
            self._tell(self._state.read())
        return self._state.read()

    def _looks(self) -> bool:
        """One look and the pause after it; whether there is more to do."""
        began = time.monotonic()
        goes_on = self._goes_on()
        if goes_on:
            # A study of many thousand cells takes longer to look at, which must not keep a core from training.
            time.sleep(max(POLL_S, min(SHARE * (time.monotonic() - began), LONGEST_POLL_S)))
        return goes_on

    def _goes_on(self) -> bool:
        if self.should_stop():
            raise StoppedError("stopped")
        for slot, worker in list(self._workers.items()):
            has_ended = worker.has_ended()  # asked first: what it said last is there now
            self._hear(worker)
            if has_ended:
                del self._workers[slot]
                with contextlib.closing(worker):
                    self._judge(worker)
        states = self._state.read()
        self._tell(states)
        missing = [state for state in states if not state.ended and state.cell not in self.aside]
        self._hire(missing)
        return bool(missing or self._workers)

    def _hire(self, missing: list[CellState]) -> None:
        """As many workers as there are slots, and cells that nobody works on."""
        free = sum(state.status != RUNNING for state in missing)
        beginning = sum(not worker.cell for worker in self._workers.values())
        self.room.look(self._workers)
        for slot in range(self.jobs):
            if slot not in self._workers and beginning < free:
                if lack := self.room.lacks(slot, self._workers):
                    self._say_once(lack)
                    return
                if not self._start(slot):
                    return
                beginning += 1

    def _start(self, slot: int) -> bool:
        """Whether the system had room for it; those that are at work go on without it."""
        try:
            self._workers[slot] = self.start(slot, set(self.aside))
        except OSError as error:
            lack = f"cannot start a trainer process: {error.strerror or error}"
            if not self._workers:
                raise TryAgainError(f"{lack}; raise the limit (ulimit -a) or use fewer --jobs") from error
            self._say_once(f"not all jobs are started yet: {lack}")
            return False
        return True

    def _say_once(self, lack: str) -> None:
        if not self._waited:
            self.watcher.note(lack)
        self._waited = True

    def _tell(self, states: list[CellState]) -> None:
        ended = [state for state in states if state.ended]
        for number, state in enumerate([s for s in ended if s.cell not in self._known], start=len(self._known) + 1):
            self.watcher.ended(state, number, len(states))
        self._known |= {state.cell for state in ended}
        self.watcher.seen(states, waiting=not self._workers)

    def _hear(self, worker: Worker) -> None:
        for message in worker.heard():
            if "note" in message:
                self.watcher.note(message["note"])
            if "failed" in message:
                # The same seed gives the same numbers: it would fail again.
                self._set_aside(message["failed"], Aside(why=message["why"], code=GateError.exit_code))

    def _judge(self, worker: Worker) -> None:
        """What the end of a worker means: nothing, the end of the study, or a death that is counted.

        Its exit code is not asked: the code of a gate can end a process with any.
        """
        if worker.end is not None and worker.end.code in _REFUSALS:
            raise _REFUSALS[worker.end.code](worker.end.why)
        states = self._state.read()
        state = next((state for state in states if state.cell == worker.cell), None)
        if state is not None and (state.ended or state.cell in self.aside):
            return
        if worker.end is not None and not worker.end.stopped and not worker.cell:
            self._count_idle(worker, states)
        else:
            self._count_death(worker, state, sum(state.epoch for state in states))

    def _count_idle(self, worker: Worker, states: list[CellState]) -> None:
        free = [s for s in states if not s.ended and s.status != RUNNING and s.cell not in self.aside]
        self._idle = self._idle + 1 if free and not worker.finished else 0
        if self._idle >= DEATHS:
            raise TryAgainError(
                f"{DEATHS} trainer processes in a row ended without training a cell, though {len(free)} are missing "
                f"and nobody is at work on them, such as {free[0].name}"
            )

    def _count_death(self, worker: Worker, state: CellState | None, progress: int) -> None:
        cell, how = worker.cell, worker.last_words()
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
        traceback = worker.errors() if worker.failed_unexpectedly else ""
        why = f"its trainer process crashed {DEATHS} times ({how})"
        self._set_aside(cell, Aside(why=why, code=1 if traceback else TryAgainError.exit_code, traceback=traceback))

    def _set_aside(self, cell: str, aside: Aside) -> None:
        self.aside[cell] = aside
        for worker in self._workers.values():
            worker.skip(cell)
