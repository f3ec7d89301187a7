"""How a study looks while it goes on: a live view on a terminal, plain lines everywhere else."""

import datetime
import time
from dataclasses import replace
from types import TracebackType
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bamgate.cli.console import err
from bamgate.cli.study_show import arms_table, epoch_result, shown_value
from bamgate.study.compare import compare
from bamgate.study.state import FINISHED, RUNNING, CellState, StudyState, count
from bamgate.study.supervise import Watcher

BAR = 24  # columns


class LineWatcher(Watcher):
    """A line on stderr for each cell that has ended, by whomever.

    Args:
        epochs: whether each epoch that is trained here has a line.
    """

    def __init__(self, state: StudyState, *, epochs: bool = False) -> None:
        self.state, self.epochs, self.console = state, epochs, err()
        self._numbers = {one.cell: number for number, one in enumerate(state.read(), start=1)}
        self._waits = False

    def __enter__(self) -> "LineWatcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def epoch_ended(self, state: CellState, row: dict[str, Any]) -> None:
        if self.epochs:
            where = f"[{self._numbers[state.cell]}/{len(self._numbers)}] {state.name}"
            train = epoch_result(row, "train")
            self.note(f"{where}  epoch {row['epoch']}/{state.epochs}  train {train}  {_of_epoch(row)}")

    def ended(self, state: CellState, done: int, total: int) -> None:
        how = "" if state.status == FINISHED else ", diverged; recorded as an outcome"
        self.note(f"[{done}/{total}] {state.name}  {shown_value(state.value, state.metric)}{how}")

    def seen(self, states: list[CellState], *, waiting: bool) -> None:
        others = [state for state in states if state.status == RUNNING] if waiting else []
        if others and not self._waits:
            self.note(f"waiting for another process, which is at work on {len(others)} cells")
        self._waits = bool(others)

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)


class SilentWatcher(LineWatcher):
    """Nothing but warnings."""

    def epoch_ended(self, state: CellState, row: dict[str, Any]) -> None: ...

    def ended(self, state: CellState, done: int, total: int) -> None: ...


class LiveWatcher(LineWatcher):
    """Counts, time left, a bar for each running cell, and each arm's metric so far."""

    def __init__(self, state: StudyState, *, epochs: bool = False) -> None:
        super().__init__(state, epochs=epochs)
        self._live = Live(console=self.console, transient=True, refresh_per_second=4)
        self._began: tuple[float, float] | None = None
        self._states: list[CellState] = []
        self._at: dict[str, float] = {}  # cells that are trained by us: epochs behind them
        self._said: dict[str, str] = {}  # of their last epoch
        self._arms: RenderableType = ""
        self._waiting = False

    def __enter__(self) -> "LiveWatcher":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def stepped(self, state: CellState, epochs: float) -> None:
        self._at[state.cell] = epochs
        self._show()

    def epoch_ended(self, state: CellState, row: dict[str, Any]) -> None:
        super().epoch_ended(state, row)
        self._said[state.cell] = _of_epoch(row)
        self.stepped(state, float(row["epoch"]))

    def seen(self, states: list[CellState], *, waiting: bool) -> None:
        running = {state.cell for state in states if state.status == RUNNING}
        self._at = {cell: at for cell, at in self._at.items() if cell in running}
        self._states, self._waiting = states, waiting
        self._arms = arms_table(compare(self.state.content, states))
        self._show()

    def _show(self) -> None:
        states = [replace(s, status=RUNNING) if s.cell in self._at and not s.ended else s for s in self._states]
        counts = count(states)
        parts = [f"{number} {status}" for status, number in counts.items() if number]
        left = self._time_left(states)
        name = self.state.content["name"] or "runs"
        lines: list[RenderableType] = [Text(f"{name}: {', '.join(parts)}{left}")]
        bars = Table.grid(padding=(0, 2))
        for state in states:
            if state.status == RUNNING:
                done = self._epochs(state)
                said = self._said.get(state.cell, f"{state.images_per_s:.0f} images/s" if state.images_per_s else "")
                now = f"  {state.name}  epoch {min(int(done) + 1, state.epochs)}/{state.epochs}"
                bars.add_row(Text(now), ProgressBar(total=state.epochs, completed=done, width=BAR), Text(said))
        lines.append(bars)
        if self._waiting and counts[RUNNING]:
            lines.append(Text("  waiting: another process is at work on what is left"))
        self._live.update(Group(*lines, self._arms))

    def _epochs(self, state: CellState) -> float:
        return max(self._at.get(state.cell, 0.0), float(state.epoch))

    def _time_left(self, states: list[CellState]) -> str:
        """From the epochs that were trained while we watched."""
        now, done = time.monotonic(), sum(map(self._epochs, states))
        left = sum(state.epochs - self._epochs(state) for state in states if not state.ended)
        if self._began is None:
            self._began = now, done
        since, before = self._began
        if done <= before or left <= 0:
            return ""
        seconds = left * (now - since) / (done - before)
        return f"; about {datetime.timedelta(seconds=round(seconds))} left"


def _of_epoch(row: dict[str, Any]) -> str:
    return f"test {epoch_result(row, 'test')}  {row['images_per_s']:.0f} images/s"
