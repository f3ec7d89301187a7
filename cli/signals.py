"""Ctrl-C and termination: the first asks for a stop at the next step boundary, a second Ctrl-C leaves at once."""

import signal
from types import FrameType, TracebackType
from typing import Any

_GRACEFUL = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class StopRequest:
    """While it is entered, signals only leave a note here; `received` is the first one's name."""

    def __init__(self) -> None:
        self.received = ""
        self._former: dict[int, Any] = {}

    def __call__(self) -> bool:
        return bool(self.received)

    def __enter__(self) -> "StopRequest":
        for name in _GRACEFUL:
            number = getattr(signal, name)
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number).name
