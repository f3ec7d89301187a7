"""Whether there is room for one more job: what a cell needs, as measured on the jobs, beside what is free now."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

GIB = 1 << 30
UNMEASURED = 2 * GIB  # what a cell is taken to need until one has been measured
SETTLED_S = 10.0  # of a job in its cell, after which its size tells what a cell needs


class Running(Protocol):
    """What there is to know of a job; `pid` is None if it has no process of its own here."""

    @property
    def pid(self) -> int | None: ...

    cell: str


class Size(NamedTuple):
    """Resident bytes of a process: the most so far, and now."""

    peak: int
    now: int


@dataclass
class Room:
    """Memory of the machine, and of the GPUs that several jobs share.

    Args:
        devices: of torch, the GPUs that the slots take in turn; none for the CPU.
        jobs: how many slots there are.
        free, size, gpu_free: where the figures come from; each may say None where there is none, which holds up nobody.
    """

    devices: tuple[str, ...] = ()
    jobs: int = 1
    free: Callable[[], int | None] = lambda: available()
    size: Callable[[int], Size | None] = lambda pid: size_of(pid)
    gpu_free: Callable[[str], int | None] = lambda device: free_on(device)
    _largest: int = 0
    _settled: bool = False
    _in_cell: dict[int, float] = field(default_factory=dict)  # pid -> when it was first seen in a cell
    _gpus: dict[str, "_Gpu"] = field(default_factory=dict)

    def look(self, jobs: Mapping[int, Running]) -> None:
        """Measure the jobs; to be called again and again, since one that has ended tells nothing any more."""
        for job in jobs.values():
            if job.pid is not None and (size := self.size(job.pid)):
                self._largest = max(self._largest, size.peak)
                if job.cell:
                    self._in_cell.setdefault(job.pid, time.monotonic())
        running = {job.pid for job in jobs.values()}
        since = [time.monotonic() - began for pid, began in self._in_cell.items() if pid in running]
        # One that has ended its cells sooner has shown what it needs.
        self._settled = self._settled or max(since, default=0.0) >= SETTLED_S or bool(self._in_cell.keys() - running)
        for device in self._shared():
            self._gpu(device).look(self.gpu_free(device), self._on(device, jobs))

    def lacks(self, slot: int, jobs: Mapping[int, Running]) -> str:
        """Why a job in `slot` would have to wait, as a line; empty where it may start. The first one may."""
        if not jobs:
            return ""
        known = self._settled
        need = self._largest if known else max(self._largest, UNMEASURED)
        sizes = [self.size(job.pid) for job in jobs.values() if job.pid is not None]
        growth = sum(max(0, need - size.now) for size in sizes if size)
        if line := _shortage("memory", self.free(), need, growth, known=known):
            return line
        device = self.devices[slot % len(self.devices)] if self.devices else ""
        count = self._on(device, jobs)
        if device not in self._shared() or not count:
            return ""
        need, growth = self._gpu(device).needs(count, settled=known)
        return _shortage(f"memory on {device}", self.gpu_free(device), need, growth, known=known)

    def _shared(self) -> tuple[str, ...]:
        """The GPUs that get more than one job. Another is never asked: to be asked takes memory on it."""
        return self.devices if self.jobs > len(self.devices) else ()

    def _on(self, device: str, jobs: Mapping[int, Running]) -> int:
        return sum(bool(self.devices) and self.devices[slot % len(self.devices)] == device for slot in jobs)

    def _gpu(self, device: str) -> "_Gpu":
        return self._gpus.setdefault(device, _Gpu())


@dataclass
class _Gpu:
    """What this run's jobs have taken on one GPU."""

    free_before: int = 0
    used: int = 0
    largest: int = 0  # for one job

    def look(self, free: int | None, count: int) -> None:
        if free is None:
            return
        if not count:
            self.free_before = free
        self.used = max(0, self.free_before - free)
        self.largest = max(self.largest, self.used // count if count else 0)

    def needs(self, count: int, *, settled: bool) -> tuple[int, int]:
        """(bytes of one job, by how much those that are there may still grow)."""
        need = self.largest if settled else max(self.largest, UNMEASURED)
        return need, max(0, need * count - self.used)


def _shortage(what: str, free: int | None, need: int, growth: int, *, known: bool) -> str:
    if free is None or free >= need + growth:
        return ""
    cell = "a cell takes" if known else "until one is measured, a cell is taken to need"
    others = f", and those at work may take {_gib(growth)} more" if growth >= GIB / 20 else ""
    return f"not all jobs are started yet: {_gib(free)} of {what} are free; {cell} {_gib(need)}{others}"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def size_of(pid: int) -> Size | None:
    """Of a process that runs; None where the system does not tell."""
    figures = _figures(Path(f"/proc/{pid}/status"))
    return Size(figures["VmHWM:"] << 10, figures["VmRSS:"] << 10) if {"VmHWM:", "VmRSS:"} <= figures.keys() else None


def free_on(device: str) -> int | None:
    """Free bytes of a GPU; None where the driver does not tell."""
    try:
        return int(torch.cuda.mem_get_info(device)[0])
    except (RuntimeError, AssertionError, ValueError):
        return None


def available(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can be had without swapping, here and in every control group around this process; None: not told."""
    free = _figures(proc / "meminfo").get("MemAvailable:")
    return None if free is None else max(0, min([free << 10, *_left_in_groups(proc, groups)]))


def _left_in_groups(proc: Path, groups: Path) -> Iterator[int]:
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names, root = ("memory.max", "memory.current", "inactive_file"), groups
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = groups / "memory"
        else:
            continue
        own = root / path.strip("/")
        for folder in [own, *own.parents][: len(own.parts) - len(root.parts) + 1]:
            limit, used = _text(folder / names[0]).strip(), _text(folder / names[1]).strip()
            if limit.isdecimal() and used.isdecimal():
                # Files that were read and could be read again count as used, and are given up when memory is short.
                yield int(limit) - int(used) + _figures(folder / "memory.stat").get(names[2], 0)


def _figures(path: Path) -> dict[str, int]:
    """First word -> the number after it."""
    lines = [line.split() for line in _text(path).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def _text(path: Path) -> str:
    """Empty where the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
