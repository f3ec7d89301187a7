"""Something that happens just before one of the operations on files below a folder: an error, a kill, a pause."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What Python tells of before it does it. Opening to read is left out: nothing is changed by it.
_OPERATIONS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate")


class KilledError(BaseException):
    """Stands for the end of the process: nothing that catches errors catches it."""


class _Hook:
    """Python keeps an audit hook for ever: there is one, which is switched on and off."""

    def __init__(self) -> None:
        self.folder, self.left, self.action = "", -1, lambda: None
        self.seen = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder or event not in _OPERATIONS or not str(arguments[0]).startswith(self.folder):
            return
        if event == "open" and not (arguments[2] or 0) & 0o3:
            return
        self.seen += 1
        if self.seen == self.left:
            self.action()


_HOOK = _Hook()
_INSTALLED: list[bool] = []


@contextlib.contextmanager
def at_operation(folder: Path, number: int, action: Callable[[], None]) -> Iterator[_Hook]:
    """Call `action` just before operation `number` (from 1) below `folder`; `seen` counts all of them."""
    if not _INSTALLED:
        sys.addaudithook(_HOOK)
        _INSTALLED.append(True)
    _HOOK.folder, _HOOK.left, _HOOK.action, _HOOK.seen = str(folder), number, action, 0
    try:
        yield _HOOK
    finally:
        _HOOK.folder = ""


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action
