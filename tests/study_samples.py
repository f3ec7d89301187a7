"""Small studies for tests: a file, and a folder in which it has been run without any process beside this one."""

import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

import pytest

from bamgate.cli.app import main
from bamgate.engines import Execution
from bamgate.gates import load_gate
from bamgate.record.collect import collect
from bamgate.study.executors.local import Local, LocalJob
from bamgate.study.expand import expand
from bamgate.study.folder import open_study
from bamgate.study.study import Study, read_study
from bamgate.study.trainer import Orders, work
from bamgate.study.work import Message, Work

HEAD = 'question = "q"\ncost = "c"\nexpected = "e"\nreference = "sigmoid"\nrope = 1.0\n'
SETTINGS = 'dataset = "digits"\nmodel = "resnet8"\ntrain_limit = 320\nbatch_size = 32\nepochs = 2\n'


def study_file(folder: Path, *, gates: str = '"sigmoid", "tanh"', seeds: str = "0-1", more: str = "") -> Path:
    """tiny.toml; `more` stands after the settings."""
    path = folder / "tiny.toml"
    path.write_text(f'{HEAD}seeds = "{seeds}"\ngates = [{gates}]\n[settings]\n{SETTINGS}{more}')
    return path


def opened(out: Path, path: Path) -> Study:
    study = read_study(path)
    open_study(out, study, expand(study, load=load_gate))
    return study


def cells_of(study: Study) -> list[str]:
    return list(dict.fromkeys(cell.config.cell for cell in expand(study)))


def trained(out: Path, path: Path, order: Iterable[str] | None = None) -> Path:
    """The study in `path`, run in this process, in its own order or in another."""
    study = opened(out, path)
    cells = cells_of(study)
    for cell in cells if order is None else order:
        others = set(cells) - {cell}
        work(out, Execution(), Orders(skipped=lambda others=others: others, tell=lambda line: None))  # type: ignore[misc]
    collect(out)
    return out


class Forked(Local):
    """Trainer processes that are forked from this process: what takes seconds in a real one's start are its imports."""

    name = "forked"

    def start(self, work: Work, tell: Callable[[Message], None]) -> LocalJob:
        with pytest.MonkeyPatch.context() as patch:
            popen = SimpleNamespace(Popen=_Fork, PIPE=subprocess.PIPE)
            patch.setattr("bamgate.study.executors.local.subprocess", popen)
            return super().start(work, tell)


class _Fork:
    """What `LocalJob` uses of subprocess.Popen."""

    def __init__(self, command: list[str], *, stdin: int, stdout: IO[bytes], stderr: IO[bytes], **_: Any) -> None:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: none of them holds a lock
            self.pid = os.fork()
        if not self.pid:
            _become_trainer(command, (reading, stdout.fileno(), stderr.fileno()))
        os.close(reading)
        self.stdin = os.fdopen(writing, "wb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._waited(os.WNOHANG)

    def wait(self) -> int | None:
        return self._waited(0)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _waited(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _become_trainer(command: list[str], descriptors: tuple[int, int, int]) -> NoReturn:
    code = 70
    try:
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = command[2:]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)
