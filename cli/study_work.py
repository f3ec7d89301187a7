"""`bamgate study work`: a trainer process of a study, started by the executor `local`."""

import json
import os
import sys
from collections.abc import Callable

import typer

from bamgate.errors import BamgateError
from bamgate.study.trainer import Orders, end_of, trained
from bamgate.study.work import Message, Work


def work_on(given: Work, *, parent: int | None) -> None:
    """Work until nothing is free, or until asked to stop: both are a good end.

    Why it ends is said by its last message, in the words of `bamgate.study.executors.local`.

    Args:
        parent: the process that is told, and without which there is nothing to do.
    """
    tell = _channel()

    def should_stop() -> bool:
        return given.should_stop() or (parent is not None and os.getppid() != parent)

    skipped = set(given.skipped)
    if parent is not None:
        os.set_blocking(sys.stdin.fileno(), False)
    try:
        for _ in trained(given, Orders(skipped=lambda: _heard(skipped, parent), tell=tell), should_stop):
            pass
        tell({"end": 0})
    except BaseException as error:  # a SystemExit of the user's code would end as if all were well
        end = end_of(error)
        if end.code is None:
            print(end.traceback, file=sys.stderr, end="")
            tell({"died": end.why, "traceback": end.traceback})
        else:
            tell({"end": end.code, "why": end.why, "stopped": end.stopped})
        if not end.stopped:
            raise typer.Exit(error.exit_code if isinstance(error, BamgateError) else 1) from None


def _channel() -> Callable[[Message], None]:
    """Messages go to what was the standard output; what the user's code prints goes to stderr from here on."""
    channel = os.dup(1)
    os.dup2(2, 1)
    return lambda message: _write(channel, json.dumps(message).encode() + b"\n")


def _write(channel: int, line: bytes) -> None:
    while line:
        line = line[os.write(channel, line) :]


def _heard(skipped: set[str], parent: int | None) -> set[str]:
    """With what the parent has written meanwhile: cells that are to be left alone."""
    if parent is not None:
        try:
            skipped |= set(os.read(sys.stdin.fileno(), 1 << 16).decode().split())
        except BlockingIOError:
            pass
    return skipped
