"""The device of a run: how exactly it computes, and that the process is left as it was."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from folder_samples import make_folder
from helpers import bamgate

from bamgate.benchmark.contenders import exactly
from bamgate.data import find_dataset
from bamgate.devices import cpu_threads, describe_arithmetic, exact_arithmetic
from bamgate.engines import Execution
from bamgate.errors import UsageError

GPU = torch.device("cuda", 1)
EXACT = (True, False, False, False)  # deterministic, benchmark, TF32 in convolutions, in matrix products


def _switches() -> tuple[Any, ...]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    older = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    return (*older, matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision)


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """The current GPUs, the last one now, of a machine that has none."""
    found: list[torch.device] = []

    @contextlib.contextmanager
    def device(gpu: torch.device) -> Iterator[None]:
        found.append(gpu)
        try:
            yield
        finally:
            found.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    return found


def test_exact_inside_and_as_before_afterwards(current: list[torch.device]) -> None:
    def fail() -> None:
        with exact_arithmetic(GPU):
            assert _switches()[:4] == EXACT
            assert current == [GPU]
            raise ZeroDivisionError

    before = _switches()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert current == []
    assert _switches() == before


@pytest.mark.parametrize("value", [True, False])
def test_a_users_own_switches_come_back(current: list[torch.device], value: bool) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    try:
        cudnn.deterministic = cudnn.benchmark = cudnn.allow_tf32 = matmul.allow_tf32 = value
        chosen = _switches()
        with exact_arithmetic(GPU):
            assert _switches()[:4] == EXACT
        assert _switches() == chosen
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


def test_on_the_cpu_nothing_is_switched(current: list[torch.device]) -> None:
    before = _switches()
    with exact_arithmetic(torch.device("cpu")):
        assert _switches() == before
        assert current == []


def test_the_plain_loop_of_the_bench_keeps_torchs_switches(current: list[torch.device]) -> None:
    seen: list[tuple[Any, ...]] = []

    def run(batches: int) -> float:
        seen.append(_switches()[:4])
        return float(batches)

    own = _switches()[:4]
    assert exactly(run, GPU)(3) == run(3) == 3.0
    assert seen == [EXACT, own]


def test_the_arithmetic_is_said(current: list[torch.device]) -> None:
    assert describe_arithmetic() == "TF32 in convolutions, whichever kernels cuDNN chooses"
    with exact_arithmetic(GPU):
        assert describe_arithmetic() == "no TF32, the same kernels each time"


@pytest.mark.parametrize("threads", [0, -1, 100_000, 1 << 40])
def test_as_many_threads_as_would_end_the_process_are_refused(threads: int) -> None:
    before, cores = torch.get_num_threads(), os.cpu_count() or 1
    with pytest.raises(UsageError) as caught, cpu_threads(threads):
        pass
    allowed = f"from 1 to {max(64, 4 * cores)} (this machine has {cores} cores)"
    assert str(caught.value) == f"threads must be {allowed}, got {threads}"
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--dataset", "digits"],
        ["run", "--dataset", "digits", "--dry-run"],
        ["bench", "--models", "resnet20"],
        ["evaluate", "nothing.pt"],
    ],
)
def test_every_command_with_threads_refuses_too_many(tmp_path: Path, command: list[str]) -> None:
    ended = bamgate(*command, "--threads", "100000", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("bamgate: threads must be from 1 to ")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_too_many_decoding_processes_are_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "tiny")
    data = find_dataset("folder:tiny", tmp_path)
    assert Execution(workers=64).workers_for(data) == 64
    with pytest.raises(UsageError, match=r"^workers must be from 0 to \d+ \(this machine has \d+ cores\), got 100000$"):
        Execution(workers=100_000).workers_for(data)
