"""The device of a run: whether it is there, what it is, and how exactly it computes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from bamgate import environment
from bamgate.errors import UsageError


@contextlib.contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """torch with this many CPU threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(name: str) -> torch.device:
    """A device that is there; UsageError otherwise."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r} (allowed: cpu, cuda, cuda:N)") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index is not None):
        raise UsageError(f"device {name!r} is not supported (allowed: cpu, cuda, cuda:N)")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def describe_device(device: torch.device, threads: int) -> dict[str, Any]:
    """environment.json without its schema."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else environment.cpu_name()
    return environment.describe(device=device.type, device_name=name, threads=threads)


def use_exact_arithmetic() -> None:
    """fp32 means fp32 on a GPU too, and the same kernel each time; for the whole process."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    # The older switches: the newer `fp32_precision` of all backends does not reach convolutions in every release.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
