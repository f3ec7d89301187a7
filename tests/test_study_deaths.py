"""Gates that end the process they are trained in, in every way there is: no exit code is believed, no study hangs."""

import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from helpers import SMALL, bamgate
from record_samples import message
from study_samples import Forked, study_file

from bamgate.cli.signals import StopRequest
from bamgate.cli.study_run import conclude, prepared, watched
from bamgate.errors import TryAgainError
from bamgate.record.collect import collected
from bamgate.study import supervise
from bamgate.study.executors.local import error_line
from bamgate.study.runner import Options
from bamgate.study.work import End, Message, Work

GIVEN = Options(executor=Forked(), jobs=2, allow_code=True)
HEAD = """
import os, signal, sys
import torch
steps = 0

def trained(z):
    # In the third step: not where a gate is looked at before anything has begun.
    global steps
    steps += z.dim() == 4 and z.shape[0] == 32 and z.requires_grad
    return steps > 10

class Backward(torch.autograd.Function):
    @staticmethod
    def forward(context, z):
        return z.clone()
    @staticmethod
    def backward(context, gradient):
        if gradient.dim() == 4 and gradient.shape[0] == 32:
            raise ZeroDivisionError("in its backward pass")
        return gradient

class Mute(Exception):
    def __str__(self):
        raise KeyError

def backward(z):
    return Backward.apply(z).tanh()
"""
EXITS = {
    "exit_0": "os._exit(0)",
    "exit_2": "os._exit(2)",
    "exit_75": "os._exit(75)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "stopped": "os.kill(os.getpid(), signal.SIGTERM)",
}
ERRORS = {
    "pipe": ("raise BrokenPipeError", "BrokenPipeError: no message"),
    "system_0": ("raise SystemExit(0)", "SystemExit: 0"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt: no message"),
    "value": ("raise ValueError('first line\\\\nsecond line')", "ValueError: first line"),
    "mute": ("raise Mute", "Mute: no message"),
    "nothing": ("return None", "TypeError: "),
}


def gates(folder: Path, bodies: dict[str, str]) -> str:
    """mine.py with a gate for each way to end, and the arms for a study's file."""
    functions = [
        f"def {name}(z):\n    if trained(z):\n        {body}\n    return z.tanh()\n" for name, body in bodies.items()
    ]
    (folder / "mine.py").write_text(HEAD + "\n".join(functions))
    names = [*bodies, "backward"]
    return "".join(f'[arms.{name}]\ngate = "{folder}/mine.py:{name}"\n' for name in names)


@pytest.mark.slow
def test_each_way_to_end_sets_its_own_cell_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervise, "DEATHS", 1)
    bodies = EXITS | {name: body.replace("\\\\", "\\") for name, (body, _) in ERRORS.items()}
    file = study_file(tmp_path, seeds="0", more=gates(tmp_path, bodies))
    study = prepared(str(file), replace(GIVEN, out=tmp_path / "out"))
    began = time.monotonic()
    ran = watched(study, StopRequest(), quiet=True)
    aside = {state.name: ran.aside[state.cell] for state in ran.states if state.cell in ran.aside}
    assert time.monotonic() - began < 200
    assert set(aside) == {f"{name} seed 0" for name in (*bodies, "backward")}
    assert {row["arm"] for row in collected(study.out)[0]} == {"sigmoid", "tanh"}
    for name, (_, says) in ERRORS.items():
        one = aside[f"{name} seed 0"]
        assert one.why.startswith(f"gate 'mine.py:{name}' failed in training with seed 0: {says}"), one
        assert one.code == 2
    assert aside["backward seed 0"].why.startswith(
        "gate 'mine.py:backward' failed in training with seed 0: ZeroDivisionError: in its backward pass (mine.py, line"
    )
    for name in EXITS:
        assert aside[f"{name} seed 0"].code == 75
    assert "exit code 0, and nothing said" in aside["exit_0 seed 0"].why
    assert "(SIGKILL)" in aside["killed seed 0"].why
    assert "(somebody asked it to stop)" in aside["stopped seed 0"].why
    with pytest.raises(typer.Exit) as ended:
        conclude(ran)
    assert ended.value.exit_code == 2
    assert "skipped: value seed 0: gate 'mine.py:value' failed in training" in capfd.readouterr().err


def test_a_trainer_process_that_ends_with_0_and_no_result_has_died(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = gates(tmp_path, {"exit_0": "os._exit(0)"}).partition("[arms.backward]")[0]
    file = study_file(tmp_path, gates='"sigmoid"', seeds="0", more=more)
    study = prepared(str(file), replace(GIVEN, out=tmp_path / "out", jobs=1))
    with pytest.raises(typer.Exit) as ended:
        conclude(watched(study, StopRequest(), quiet=True))
    assert ended.value.exit_code == 75
    lines = capfd.readouterr().err.splitlines()
    how = "exit_0 seed 0: its trainer process crashed (exit code 0, and nothing said) at epoch 0"
    assert lines[:3] == [f"{how}, {number} of 3 times" for number in (1, 2, 3)]
    assert lines[-1].startswith("skipped: exit_0 seed 0: its trainer process crashed 3 times (exit code 0")
    assert len(collected(tmp_path / "out")[0]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pipe", "system_0"])
def test_bamgate_run_says_whose_fault_it_is_and_never_ends_with_0(tmp_path: Path, name: str) -> None:
    gates(tmp_path, {name: ERRORS[name][0].replace("\\\\", "\\")})
    finished = bamgate("run", "--gate", f"mine.py:{name}", *SMALL, "--out", "out", "--quiet", cwd=tmp_path)
    assert finished.returncode == 2, finished.stderr
    expected = f"bamgate: gate 'mine.py:{name}' failed in training with seed 0: {ERRORS[name][1]} (mine.py, line "
    assert finished.stderr.startswith(expected)
    assert finished.stderr.count("\n") == 1


class Silent:
    """An executor, and its job, that says nothing and ends."""

    name, side_by_side, pid = "silent", True, None

    def start(self, work: Work, tell: Callable[[Message], None]) -> "Silent":
        return self

    def has_ended(self) -> bool:
        return True

    def end(self) -> End:
        return End()

    def skip(self, cell: str) -> None: ...

    def stop(self) -> None: ...

    def wait(self) -> None: ...

    def close(self) -> None: ...


def supervisor(tmp_path: Path, executor: Silent) -> supervise.Supervisor:
    study = prepared(str(study_file(tmp_path)), Options(executor=executor, jobs=1, out=tmp_path / "out"))
    return study.supervisor(supervise.Watcher(), lambda: False)


def test_jobs_that_begin_nothing_end_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "POLL_S", 0.0)
    expected = (
        "3 trainer processes in a row ended without training a cell, though 4 are missing "
        "and nobody is at work on them, such as sigmoid seed 0"
    )
    assert message(TryAgainError, supervisor(tmp_path, Silent()).run) == expected


def test_a_job_that_cannot_be_started_is_one_line(tmp_path: Path) -> None:
    class Crowded(Silent):
        def start(self, work: Work, tell: Callable[[Message], None]) -> Silent:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    expected = (
        "cannot start a trainer process: Resource temporarily unavailable; "
        "raise the limit (ulimit -a) or use fewer --jobs"
    )
    assert message(TryAgainError, supervisor(tmp_path, Crowded()).run) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("a warning\nbamgate: it is so\nanother warning\n", "bamgate: it is so"),
        ("x\nTraceback (most recent call last):\n  File\n    code\nValueError: one\ntwo\n\n", "ValueError: one"),
        ("what the loader says\nwhat ended it\n", "what ended it"),
    ],
)
def test_the_line_that_says_the_error(text: str, line: str) -> None:
    assert error_line(text) == line.removeprefix("bamgate: ")
