"""How a run looks while it goes on: bars on a terminal, one plain line an epoch everywhere else."""

import time
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bamgate.cli.console import err
from bamgate.cli.study_show import epoch_result
from bamgate.config import RunConfig
from bamgate.engines import Listener, Position


class LineProgress(Listener):
    """One line an epoch on stderr, for logs and pipes."""

    def __init__(self, cells: int) -> None:
        self.cells, self.number, self.console = cells, 0, err()

    def __enter__(self) -> "LineProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def next_cell(self, config: RunConfig) -> None:
        self.number += 1
        self.config = config
        self.name = f"{config.attention.gate} seed {config.seed}"

    def began(self, config: RunConfig, folder: Any, position: Position, note: str) -> None:
        if note:
            self.say(f"{self.name}: {note}")
        elif position.epoch or position.step:
            self.say(f"{self.name}: going on in epoch {position.epoch + 1} after step {position.step}")

    def epoch_ended(self, row: dict[str, Any]) -> None:
        self.say(
            f"[{self.number}/{self.cells}] {self.name}  epoch {row['epoch']}/{self.config.training.epochs}"
            f"  train {epoch_result(row, 'train')}  test {epoch_result(row, 'test')}"
            f"  {row['images_per_s']:.0f} images/s"
        )

    def ended(self, result: dict[str, Any]) -> None:
        if result["status"] == "diverged":
            self.say(
                f"{self.name}: diverged in epoch {result['epochs']}: the loss is not finite; recorded as an outcome"
            )

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)


class BarProgress(LineProgress):
    """Two bars: all cells, and the present one with its epoch, speed and metric."""

    def __init__(self, cells: int) -> None:
        super().__init__(cells)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        self.progress = Progress(*columns, console=self.console, transient=True)
        self.all: TaskID | None = None
        self.started = time.monotonic()

    def __enter__(self) -> "BarProgress":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def next_cell(self, config: RunConfig) -> None:
        super().next_cell(config)
        epochs = config.training.epochs
        if self.all is None:
            self.all = self.progress.add_task("all cells", total=self.cells * epochs, note="")
            self.one = self.progress.add_task("", note="")
        self.progress.reset(self.one, total=epochs, description=f"{self.name} ({self.number}/{self.cells})", note="")
        self._show(0.0)

    def began(self, config: RunConfig, folder: Any, position: Position, note: str) -> None:
        super().began(config, folder, position, note)
        self._show(float(position.epoch))

    def stepped(self, position: Position, steps: int) -> None:
        self._show(position.epoch + position.step / steps)

    def epoch_ended(self, row: dict[str, Any]) -> None:
        self._show(float(row["epoch"]))
        found = epoch_result(row, "test")
        note = f"epoch {row['epoch']}/{self.config.training.epochs}, test {found}, {row['images_per_s']:.0f} images/s"
        self.progress.update(self.one, note=note)

    def ended(self, result: dict[str, Any]) -> None:
        super().ended(result)
        self._show(float(self.config.training.epochs))

    def _show(self, epochs: float) -> None:
        assert self.all is not None
        self.progress.update(self.one, completed=epochs)
        self.progress.update(self.all, completed=(self.number - 1) * self.config.training.epochs + epochs)


class SilentProgress(LineProgress):
    """Nothing but warnings."""

    def epoch_ended(self, row: dict[str, Any]) -> None: ...
