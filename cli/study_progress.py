"""How a study looks while it goes on: a live view on a terminal, one plain line a cell everywhere else."""

import datetime
import time
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.text import Text

from bamgate.cli.console import err
from bamgate.cli.study_show import arms_table, shown_value
from bamgate.study.compare import compare
from bamgate.study.state import FINISHED, RUNNING, CellState, StudyState, count
from bamgate.study.supervise import Watcher


class LineWatcher(Watcher):
    """A line on stderr for each cell that has ended, by whomever."""

    def __init__(self, state: StudyState) -> None:
        self.state, self.console = state, err()
        self._waits = False

    def __enter__(self) -> "LineWatcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def ended(self, state: CellState, done: int, total: int) -> None:
        how = "" if state.status == FINISHED else ", diverged; recorded as an outcome"
        self.console.print(
            f"[{done}/{total}] {state.name}  {shown_value(state.value, state.metric)}{how}", markup=False
        )

    def seen(self, states: list[CellState], *, waiting: bool) -> None:
        others = [state for state in states if state.status == RUNNING] if waiting else []
        if others and not self._waits:
            self.note(f"waiting for another process, which is at work on {len(others)} cells")
        self._waits = bool(others)

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)


class SilentWatcher(LineWatcher):
    """Nothing but warnings."""

    def ended(self, state: CellState, done: int, total: int) -> None: ...


class LiveWatcher(LineWatcher):
    """Counts, time left, a line for each running cell, and each arm's metric so far."""

    def __init__(self, state: StudyState) -> None:
        super().__init__(state)
        self._live = Live(console=self.console, transient=True, refresh_per_second=4)
        self._began: tuple[float, float] | None = None

    def __enter__(self) -> "LiveWatcher":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def seen(self, states: list[CellState], *, waiting: bool) -> None:
        counts = count(states)
        parts = [f"{number} {status}" for status, number in counts.items() if number]
        left = self._time_left(states)
        lines = [f"{self.state.content['name']}: {', '.join(parts)}{left}"]
        for state in states:
            if state.status == RUNNING:
                speed = f"  {state.images_per_s:.0f} images/s" if state.images_per_s else ""
                lines.append(f"  {state.name}  epoch {min(state.epoch + 1, state.epochs)}/{state.epochs}{speed}")
        if waiting and counts[RUNNING]:
            lines.append("  waiting: another process is at work on what is left")
        self._live.update(Group(Text("\n".join(lines)), arms_table(compare(self.state.content, states))))

    def _time_left(self, states: list[CellState]) -> str:
        """From the epochs that were trained while we watched."""
        now, done = time.monotonic(), float(sum(state.epoch for state in states))
        left = sum(state.epochs - state.epoch for state in states if not state.ended)
        if self._began is None:
            self._began = now, done
        since, before = self._began
        if done <= before or not left:
            return ""
        seconds = left * (now - since) / (done - before)
        return f"; about {datetime.timedelta(seconds=round(seconds))} left"
