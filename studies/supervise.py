"""Runs a study: keeps workers going until no cell is missing, together with whoever else is at work on the folder."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bamgate.errors import BamgateError, DataError, TryAgainError, UsageError
from bamgate.experiment import StoppedError
from bamgate.studies.memory import Room
from bamgate.studies.processes import Worker
from bamgate.studies.state import RUNNING, CellState, StudyState

POLL_S = 0.2
SHARE, LONGEST_POLL_S = 10, 2.0  # the pause after a look, in times of what the look took, and at most
DEATHS = 3  # of workers on a cell that gets nowhere; then it is left alone
_REFUSALS: dict[int, type[BamgateError]] = {error.exit_code: error for error in (UsageError, DataError, TryAgainError)}


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
    aside: dict[str, str] = field(default_factory=dict)  # cell -> how its workers died

    def run(self) -> list[CellState]:
        """All cells, each ended or set aside.

        Raises:
            StoppedError: `should_stop` said so; the workers have saved and ended.
            UsageError, DataError, TryAgainError: a worker's; the others have saved and ended.
        """
        self._state, self._workers = StudyState(self.out), dict[int, Worker]()
        self._deaths: dict[str, tuple[int, int]] = {}
        self._waited = False
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
            for note in worker.notes():
                self.watcher.note(note)
            if worker.has_ended():
                del self._workers[slot]
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
                self._workers[slot] = self.start(slot, set(self.aside))
                beginning += 1

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

    def _judge(self, worker: Worker) -> None:
        """What the end of a worker means: nothing, the end of the study, or a death that is counted."""
        if worker.code == 0:
            return
        if worker.code in _REFUSALS:
            raise _REFUSALS[worker.code](worker.last_words())
        cell, how = worker.cell, worker.last_words()
        state = next((state for state in self._state.read() if state.cell == cell), None)
        if state is not None and state.ended:
            return
        epoch = state.epoch if state else 0
        number, at = self._deaths.get(cell, (0, epoch))
        number = number + 1 if at == epoch else 1
        self._deaths[cell] = (number, epoch)
        name = state.name if state else "a worker"
        self.watcher.note(f"{name}: its worker died ({how}), {number} of {DEATHS} times at epoch {epoch}")
        if number >= DEATHS:
            self._set_aside(cell, how)

    def _set_aside(self, cell: str, how: str) -> None:
        if not cell:
            raise TryAgainError(f"{DEATHS} workers died before they began a cell ({how})")
        self.aside[cell] = how
        for worker in self._workers.values():
            worker.skip(cell)
