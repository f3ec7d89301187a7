"""Ctrl-C and termination: the first signal asks for a stop after the present step, a second Ctrl-C exits at once.

While libraries and data are loaded there is nothing to save, so the first signal exits at once too. A signal that was
ignored when the process started stays ignored: that is what `nohup` and a shell's `&` ask for.
"""

import signal
from types import FrameType, TracebackType
from typing import Any

import typer

_GRACEFUL = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class StopRequest:
    """Inside this context signals are only recorded; `received` is the name of the first one.

    Calling it says whether a signal has come. The first call also means that training has started: from then on there
    is something to save.

    Args:
        always: names of signals that are recorded even if they were ignored: a trainer process obeys its parent.
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
        # Any exception counts: a library may have turned the KeyboardInterrupt into an error of its own.
        if kind is not None and self._left_at_once:
            typer.echo(f"{self.received}: stopped before training. The same command starts it.", err=True)
            raise typer.Exit(130 if self.received == "SIGINT" else 75) from None

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Schedulers repeat SIGTERM, so only a second Ctrl-C means "now".
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number).name
        if not self._asked:
            self._left_at_once = True
            raise KeyboardInterrupt
