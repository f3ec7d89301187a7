"""What several tests need: running the command line for real, and comparing runs, times and attempts set aside."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bamgate.tables import TIMES

SMALL = ["--train-limit", "320", "--batch-size", "32", "--epochs", "3", "--threads", "1"]


def bamgate(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own."""
    command = [sys.executable, "-m", "bamgate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, **options)


def without_times(folder: Path) -> dict[str, Any]:
    """Every file under `folder` by name: bytes, or rows and fields without the columns that hold times or attempts."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "attempts.csv"]
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _content(path: Path) -> Any:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [{k: v for k, v in row.items() if k not in (*TIMES, "attempt")} for row in csv.DictReader(file)]
    if path.name == "result.json":
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in TIMES}
    return path.read_bytes()
