"""The device of a run: whether it exists, what it is, and how exactly it computes."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from bamgate.errors import UsageError
from bamgate.record import environment

MOST = 64  # threads or processes that are allowed on any machine


@contextlib.contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Let torch use this many CPU threads inside this context; afterwards as many as before.

    Raises:
        UsageError: so many threads that the system would kill the process without a message.
    """
    check_number("threads", threads, low=1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_number(name: str, number: int, *, low: int) -> None:
    """UsageError unless `number` threads or processes are between `low` and what is sensible on this machine."""
    cores = os.cpu_count() or 1
    most = max(MOST, 4 * cores)
    if not low <= number <= most:
        raise UsageError(f"{name} must be from {low} to {most} (this machine has {cores} cores), got {number}")


def resolve_device(name: str) -> torch.device:
    """The device `name`; UsageError if this machine does not have it."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r} (allowed: cpu, cuda, cuda:N)") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index is not None):
        raise UsageError(f"device {name!r} is not supported (allowed: cpu, cuda, cuda:N)")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Inside this context, every operation computes in the precision of its inputs."""
    # Some releases of torch.compile cannot trace is_autocast_available; the devices it compiles for all have autocast.
    available = torch.compiler.is_compiling() or torch.amp.autocast_mode.is_autocast_available(device_type)
    return torch.autocast(device_type, enabled=False) if available else nullcontext()


def describe_device(device: torch.device, threads: int) -> dict[str, Any]:
    """The content of environment.json, without its schema."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else environment.cpu_name()
    return environment.describe(device=device.type, device_name=name, threads=threads)


@contextlib.contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Inside this context, `device` is the current GPU and computes as `use_exact_arithmetic` says.

    Afterwards all switches are as before. On the CPU there is nothing to switch.
    """
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device), _switches_kept():
        use_exact_arithmetic()
        yield


def use_exact_arithmetic() -> None:
    """Make fp32 mean fp32 on a GPU too, with the same kernels each time; for the whole process.

    This holds for cuDNN's kernels. Of torch's own, the gradient of vgg16's adaptive pooling sums in no fixed order on a
    GPU, if the last map is neither 7x7 nor 1x1 (see `bamgate.networks.families.plain`).
    """
    torch.backends.cudnn.deterministic = True
    # benchmark would time several kernels at the start and take the fastest, which differs between runs.
    torch.backends.cudnn.benchmark = False
    # The older switches: in some releases the newer `fp32_precision` of all backends does not reach convolutions.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def describe_arithmetic() -> str:
    """What the switches mean for fp32 on a GPU now, for instance "no TF32, the same kernels each time"."""
    places = {"convolutions": torch.backends.cudnn, "matrix products": torch.backends.cuda.matmul}
    where = " and ".join(name for name, owner in places.items() if _read(owner, "allow_tf32"))
    kernels = "the same kernels each time" if torch.backends.cudnn.deterministic else "whichever kernels cuDNN chooses"
    return f"{f'TF32 in {where}' if where else 'no TF32'}, {kernels}"


@contextlib.contextmanager
def _switches_kept() -> Iterator[None]:
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    # Older switches first: setting one of them sets its newer counterpart as well.
    owners: list[tuple[Any, str]] = [(cudnn, "deterministic"), (cudnn, "benchmark")]
    owners += [(cudnn, "allow_tf32"), (matmul, "allow_tf32")]
    owners += [(owner, "fp32_precision") for owner in (matmul, cudnn.conv, cudnn.rnn)]
    before = [(owner, name, _read(owner, name)) for owner, name in owners]
    try:
        yield
    finally:
        for owner, name, value in before:
            if value is not None:
                setattr(owner, name, value)


def _read(owner: Any, name: str) -> Any:
    """The value of a switch; None if the newer switches have been set, as torch then refuses to read the older ones."""
    try:
        return getattr(owner, name)
    except RuntimeError:
        return None
