"""What a run was executed with: versions, machine, code. Read without importing torch."""

import hashlib
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bamgate._version import __version__

# A run goes on only where these agree: a change in any of them changes rounding, and with it the run.
BINDING = ("torch", "device", "device_name", "threads")
# Runs make a pair only if these agree too. The one list of what makes runs incomparable.
EXECUTION = (*BINDING, "compile", "executor")
BINDING_FILES = ("torchvision", "pillow")  # they decode images; bound only where a run reads image files
FIRST_ENGINE = "single"  # trained every run of before environment.json named its engine
_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "timm")


def describe(*, device: str, device_name: str, threads: int) -> dict[str, Any]:
    """Plain facts for environment.json; `env_id` is the hash of the rest."""
    facts: dict[str, Any] = {
        "bamgate": __version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        **{name: package_version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "device": device,
        "device_name": device_name,
        "threads": threads,
    }
    text = json.dumps(facts, sort_keys=True)
    return {"env_id": hashlib.sha256(text.encode()).hexdigest()[:12], **facts}


def package_version(name: str) -> str:
    """The installed version, or an empty text."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def git_commit() -> str:
    """Commit of the checkout that bamgate runs from, with "+changed" where files differ; empty when it is none."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changed"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        tracked = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if tracked.returncode == 0 else ""


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def memory_gib() -> float:
    """Memory of the machine in GiB; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return 0.0
