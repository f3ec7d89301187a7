"""No job is started beside others where the memory that is free would not hold it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from bamgate.study.memory import GIB, SETTLED_S, Room, Running, Size, available, free_on, size_of
from bamgate.study.supervise import Supervisor, Watcher
from bamgate.study.work import Work


@dataclass
class Fake:
    """A job that says what it is told to."""

    pid: int
    cell: str = "c"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("bamgate.study.memory.time.monotonic", lambda: now[0])
    return now


def gib(size: float) -> int:
    return int(size * GIB)


def test_the_first_job_always_starts() -> None:
    assert Room(free=lambda: 0, size=lambda pid: None).lacks(0, {}) == ""


def test_before_a_cell_is_measured_two_gib_are_taken_for_granted(clock: list[float]) -> None:
    one: dict[int, Running] = {0: Fake(1)}
    free = [gib(3.6)]
    room = Room(jobs=2, free=lambda: free[0], size=lambda pid: Size(gib(0.3), gib(0.3)))
    room.look(one)
    expected = (
        "not all jobs are started yet: 3.6 GiB of memory are free; until one is measured, a cell is taken to need "
        "2.0 GiB, and those at work may take 1.7 GiB more"
    )
    assert room.lacks(1, one) == expected
    free[0] = gib(3.8)
    assert room.lacks(1, one) == ""


def test_the_largest_cell_so_far_has_to_fit(clock: list[float]) -> None:
    sizes, free = {1: Size(gib(3), gib(2.5)), 2: Size(gib(1), gib(1))}, [gib(3.4)]
    room = Room(jobs=3, free=lambda: free[0], size=sizes.get)
    one: dict[int, Running] = {0: Fake(1)}
    room.look(one)
    clock[0] += SETTLED_S
    room.look(one)
    expected = "not all jobs are started yet: 3.4 GiB of memory are free; a cell takes 3.0 GiB"
    assert room.lacks(1, one) == f"{expected}, and those at work may take 0.5 GiB more"
    free[0] = gib(3.5)
    assert room.lacks(1, one) == ""
    two: dict[int, Running] = {0: Fake(1), 1: Fake(2)}
    assert "may take 2.5 GiB more" in room.lacks(2, two)
    free[0] = gib(5.5)
    assert room.lacks(2, two) == ""
    # The large one has ended; what it needed counts all the same.
    room.look({1: Fake(2)})
    free[0] = gib(4.9)
    assert "a cell takes 3.0 GiB, and those at work may take 2.0 GiB more" in room.lacks(0, {1: Fake(2)})


def test_a_small_cell_lets_more_in_once_it_is_measured(clock: list[float]) -> None:
    room = Room(jobs=2, free=lambda: gib(1), size=lambda pid: Size(gib(0.5), gib(0.5)))
    beginning: dict[int, Running] = {0: Fake(1, cell="")}
    room.look(beginning)
    clock[0] += SETTLED_S
    room.look(beginning)
    assert "until one is measured" in room.lacks(1, beginning)
    at_work: dict[int, Running] = {0: Fake(1)}
    room.look(at_work)
    clock[0] += SETTLED_S - 1
    room.look(at_work)
    assert "until one is measured" in room.lacks(1, at_work)
    clock[0] += 1
    room.look(at_work)
    assert room.lacks(1, at_work) == ""


def test_a_job_that_has_ended_its_cells_has_been_measured(clock: list[float]) -> None:
    room = Room(jobs=2, free=lambda: gib(1.2), size=lambda pid: Size(gib(0.5), gib(0.5)))
    room.look({0: Fake(1)})
    room.look({0: Fake(2, cell="")})
    assert room.lacks(1, {0: Fake(2, cell="")}) == ""


@pytest.mark.parametrize("size", [lambda pid: None, lambda pid: Size(gib(9), gib(1))])
def test_where_nothing_is_told_nobody_waits(size: Callable[[int], Size | None]) -> None:
    room = Room(jobs=2, free=lambda: None, size=size)
    room.look({0: Fake(1)})
    assert room.lacks(1, {0: Fake(1)}) == ""


def test_jobs_on_one_gpu_wait_for_its_memory(clock: list[float]) -> None:
    free = {"cuda:0": gib(20), "cuda:1": gib(16)}
    room = Room(devices=("cuda:0", "cuda:1"), jobs=4, free=lambda: None, size=lambda pid: Size(1, 1), gpu_free=free.get)
    room.look({})
    both: dict[int, Running] = {0: Fake(1), 1: Fake(2)}
    free |= {"cuda:0": gib(8), "cuda:1": gib(10)}
    room.look(both)
    clock[0] += SETTLED_S
    room.look(both)
    expected = "not all jobs are started yet: 8.0 GiB of memory on cuda:0 are free; a cell takes 12.0 GiB"
    assert room.lacks(2, both) == expected
    assert room.lacks(3, both) == ""
    # A second one on cuda:1 has begun and will grow to six like the first.
    three: dict[int, Running] = {**both, 3: Fake(4)}
    free["cuda:1"] = gib(9)
    room.look(three)
    assert "6.0 GiB, and those at work may take 5.0 GiB more" in room.lacks(5, three)
    assert room.lacks(2, {1: Fake(2)}) == "", "the first on its GPU"


def test_a_gpu_of_ones_own_is_never_asked() -> None:
    def asked(device: str) -> int:
        raise AssertionError(device)

    room = Room(devices=("cuda:0", "cuda:1"), jobs=2, free=lambda: None, size=lambda pid: None, gpu_free=asked)
    room.look({0: Fake(1)})
    assert room.lacks(1, {0: Fake(1)}) == ""


def written(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


MEMINFO = "MemTotal:       16384000 kB\nMemFree:  100 kB\nMemAvailable:    8192000 kB\n"


def in_groups(tmp_path: Path, cgroup: str, files: dict[str, str]) -> int | None:
    written(tmp_path / "proc", {"meminfo": MEMINFO, "self/cgroup": cgroup})
    written(tmp_path / "groups", files)
    return available(tmp_path / "proc", tmp_path / "groups")


def test_available_memory_is_that_of_the_machine(tmp_path: Path) -> None:
    assert in_groups(tmp_path, "0::/\n", {}) == 8_192_000 * 1024
    assert available(tmp_path / "nothing", tmp_path / "groups") is None


def test_a_control_group_and_those_around_it_limit_it(tmp_path: Path) -> None:
    files = {
        "job/memory.max": "5000\n",
        "job/memory.current": "2000\n",
        "job/memory.stat": "anon 7\ninactive_file 500\n",
    }
    files |= {"job/step/memory.max": "max\n", "job/step/memory.current": "1\n"}
    assert in_groups(tmp_path, "0::/job/step\n", files) == 5000 - 2000 + 500
    files |= {"memory.max": "1000\n", "memory.current": "4000\n"}
    assert in_groups(tmp_path, "0::/job/step\n", files) == 0
    # The group's name outside a container means nothing inside; the limit stands at the root.
    files |= {"memory.current": "400\n"}
    assert in_groups(tmp_path, "0::/elsewhere/x\n", files) == 600


def test_control_groups_of_the_first_kind(tmp_path: Path) -> None:
    own = "memory/job/"
    files = {f"{own}memory.limit_in_bytes": "9000", f"{own}memory.usage_in_bytes": "8000"}
    files |= {f"{own}memory.stat": "inactive_file 1\ntotal_inactive_file 300\n"}
    files |= {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "5"}
    assert in_groups(tmp_path, "4:memory:/job\n3:cpu:/\n0::/\n", files) == 1300


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_real_process_is_measured() -> None:
    code = "import sys; held = bytearray(300 << 20); del held; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        size = size_of(process.pid)
        assert size is not None
        assert 300 << 20 <= size.peak < 400 << 20
        assert size.now < 100 << 20
        assert process.stdin is not None
        process.stdin.close()
    assert size_of(process.pid) is None
    free = available()
    assert free is not None
    assert 0 < free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.gpu
def test_a_real_gpu_is_asked(cuda: torch.device) -> None:
    before = free_on("cuda:0")
    held = torch.empty(256 << 20, dtype=torch.uint8, device=cuda)
    after = free_on("cuda:0")
    assert before is not None
    assert after is not None
    assert before - after >= len(held)


def test_a_gpu_that_is_not_there_holds_up_nobody() -> None:
    assert free_on("cuda:99") is None


class _Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_supervisor_says_once_that_it_waits_and_starts_when_there_is_room(tmp_path: Path) -> None:
    from bamgate.study.state import CellState

    free, started, watcher = [gib(1)], list[str](), _Notes()

    class Started:
        name, side_by_side = "fake", True

        def start(self, work: Work, tell: object) -> Any:
            started.append(work.gpu)
            return Fake(len(started))

    room = Room(jobs=2, free=lambda: free[0], size=lambda pid: Size(gib(0.5), gib(0.5)))
    work = Work(out=tmp_path)
    supervisor = Supervisor(work, Started(), 2, watcher, lambda: False, room, gpus=["0", "1"])
    supervisor._waited = False
    missing = [
        CellState(cell=str(k), names=(("a", ()),), seed=k, status="missing", epoch=0, epochs=1) for k in range(9)
    ]
    for _ in range(3):
        supervisor._hire(missing)
    assert started == ["0"]
    assert len(watcher.notes) == 1
    assert watcher.notes[0].startswith("not all jobs are started yet: 1.0 GiB of memory are free; ")
    free[0] = gib(8)
    supervisor._hire(missing)
    assert started == ["0", "1"]
