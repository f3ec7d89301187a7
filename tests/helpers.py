"""What several tests need: running the command line for real, and comparing runs, times and attempts set aside."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bamgate.record.tables import TIMES

SMALL = ["--train-limit", "320", "--batch-size", "32", "--epochs", "3", "--threads", "1"]


TIMEOUT_S = 280
# A process that has the libraries loaded and forks for each command: most of a short command's time is imports.
FORKS = multiprocessing.get_context("forkserver")
OF_RUNS = ["torch._dynamo", "torchvision", "pandas", "bamgate.run.cells", "bamgate.cli.app"]
OF_REPORTS = ["seaborn", "scipy.stats", "statsmodels.regression.mixed_linear_model", "bamgate.reports.build"]
FORKS.set_forkserver_preload([*OF_RUNS, *OF_REPORTS])


def bamgate(*arguments: str, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; with an environment of its own it is started as users start it."""
    if options:
        command = [sys.executable, "-m", "bamgate", *arguments]
        said: dict[str, Any] = {"capture_output": True, "text": True, "timeout": TIMEOUT_S, "check": False}
        return subprocess.run(command, cwd=cwd, **said, **options)
    started = Started(*arguments, cwd=cwd)
    out, err = started.communicate(TIMEOUT_S)
    assert started.returncode is not None
    return subprocess.CompletedProcess(arguments, started.returncode, out, err)


class Started:
    """The command at work in a process of its own, whose trainer processes are forked from it; like subprocess.Popen.

    Args:
        screen: a file or a pipe with a name, for both stdout and stderr.
        ignored: signals that whoever starts it has ignored, as nohup does.
    """

    def __init__(
        self, *arguments: str, cwd: Path | None = None, screen: Path | None = None, ignored: tuple[int, ...] = ()
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._outputs = [screen or Path(self._folder.name) / name for name in ("stdout", "stderr")]
        given = (arguments, cwd or Path.cwd(), dict(os.environ), *self._outputs, ignored)
        self._process = FORKS.Process(target=_forked, args=given)
        self._process.start()
        self._said: tuple[str, str] | None = None

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = TIMEOUT_S) -> tuple[str, str]:
        """What it has written, after its end."""
        self._process.join(timeout)
        if self._process.is_alive():
            self.kill()
            raise subprocess.TimeoutExpired("bamgate", timeout)
        if self._said is None:
            out, err = (path.read_text(encoding="utf-8") if path.is_file() else "" for path in self._outputs)
            self._said = out, err
            self._folder.cleanup()
        return self._said


def _forked(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path, ignored: tuple[int, ...]
) -> None:
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout, sys.stderr = (open(d, "w", encoding="utf-8", closefd=False) for d in (1, 2))
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["bamgate", *arguments]
    from forks import fork_trainers

    from bamgate.cli.app import main

    fork_trainers()
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def without_times(folder: Path) -> dict[str, Any]:
    """Every file under `folder` by name: bytes, or rows and fields without the columns that hold times or attempts."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "attempts.csv"]
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _content(path: Path) -> Any:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [{k: v for k, v in row.items() if k not in (*TIMES, "attempt")} for row in csv.DictReader(file)]
    if path.name == "result.json":
        # The hashes are of files that hold times.
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in (*TIMES, "files", "sha256")}
    return path.read_bytes()
