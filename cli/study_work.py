"""`bamgate study work`: one worker of a study, started by `bamgate study run`."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from bamgate.engines import Execution, StoppedError
from bamgate.errors import BamgateError, GateError, OutOfMemoryError, machine_fault, one_line
from bamgate.study.code import gate_loader
from bamgate.study.state import StudyState
from bamgate.study.study import from_plain
from bamgate.study.worker import Message, Orders, work


def work_on(
    folder: Path,
    device: str,
    data_dir: Path | None,
    workers: int | None,
    stop: Callable[[], bool],
    *,
    code: bool,
    parent: int | None,
    skip: list[str],
) -> None:
    """Work until nothing is free, or until asked to stop: both are a good end.

    Why it ends is said by its messages, in the words of `bamgate.study.worker`.
    """
    tell = _channel()

    def should_stop() -> bool:
        return stop() or (parent is not None and os.getppid() != parent)

    skipped = set(skip)
    if parent is not None:
        os.set_blocking(sys.stdin.fileno(), False)
    try:
        load = gate_loader(from_plain(StudyState(folder).content["study"]), allowed=code, file=None, out=folder)
        execution = Execution(device=device, data_root=data_dir, workers=workers, should_stop=should_stop)
        work(folder, execution, Orders(skipped=lambda: _heard(skipped, parent), tell=tell), load)
        tell({"end": 0})
    except StoppedError:
        tell({"end": 0, "stopped": True})
    except GateError as error:  # it has been told, and another worker goes on with the other cells
        tell({"end": 0})
        raise typer.Exit(error.exit_code) from None
    except OutOfMemoryError as error:
        tell({"died": str(error)})
        raise typer.Exit(error.exit_code) from None
    except BamgateError as error:
        tell({"end": error.exit_code, "why": str(error)})
        raise typer.Exit(error.exit_code) from None
    except BaseException as error:  # a SystemExit of the user's code would end as if all were well
        _tell_fault(error, tell)
        raise typer.Exit(1) from None


def _tell_fault(error: BaseException, tell: Callable[[Message], None]) -> None:
    """What the machine lacks ends the study in a line; what nobody foresaw is a death, with its traceback."""
    if fault := machine_fault(error):
        tell({"end": fault.exit_code, "why": str(fault)})
    else:
        traceback.print_exc()
        tell({"died": one_line(error)})


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
