"""Ctrl-C and termination: the first asks for a stop at the next step boundary, a second Ctrl-C leaves at once.

Before anybody asks, while libraries and data are loaded, there is nothing to save, and the first leaves at once too.
A signal that was ignored when the process began stays so: `nohup` and a shell's `&` have asked for that.
"""

import signal
from types import FrameType, TracebackType
from typing import Any

import typer

_GRACEFUL = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class StopRequest:
    """While it is entered, signals only leave a note here; `received` is the first one's name.

    Args:
        always: names of signals that are heard even if they were ignored, as a trainer process hears its parent.
    """

    def __init__(self, always: tuple[str, ...] = ()) -> None:
        self.received = ""
        self._asked = False
        self._left_at_once = False
        self._always = always
        self._former: dict[int, Any] = {}

    def __call__(self) -> bool:
        self._asked = True
        return bool(self.received)

    def __enter__(self) -> "StopRequest":
        for name in _GRACEFUL:
            number = getattr(signal, name)
            if name in self._always or signal.getsignal(number) is not signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        # Whatever has come of it on its way: a library may have made an error of its own of it.
        if kind is not None and self._left_at_once:
            typer.echo(f"{self.received}: stopped before training. The same command begins it.", err=True)
            raise typer.Exit(130 if self.received == "SIGINT" else 75) from None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number).name
        if not self._asked:
            self._left_at_once = True
            raise KeyboardInterrupt
