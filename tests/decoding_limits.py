"""Run as a program: decoding processes under limits. Prints a line of JSON for each limit that was given.

    python decoding_limits.py FOLDER WORKERS LIMIT...

A LIMIT is files:N (open files), processes:N (beside those that the user `nobody` has) or space:N (MiB of addresses
beside those in use). Each is tried in a process of its own, which has `SECONDS` to end.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from bamgate.data import FileLoader, FileSplit, dead_workers_named, find_dataset
from bamgate.errors import BamgateError

SECONDS = 20
NOBODY = 65534


def restrict(limit: str) -> None:
    kind, _, number = limit.partition(":")
    amount = int(number)
    if kind == "files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (amount, amount))
    elif kind == "processes":
        os.setuid(NOBODY)
        resource.setrlimit(resource.RLIMIT_NPROC, (amount, amount))
    else:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + (amount << 20),) * 2)


def tried(loader: FileLoader, limit: str) -> str:
    """How a pass over the test images ended."""
    restrict(limit)
    try:
        with dead_workers_named():
            loader.begin()
            images = sum(len(labels) for _, labels in loader.evaluation_batches())
    except BamgateError as error:
        return f"{error.exit_code} {error}"
    return f"0 {images}"


def main(folder: Path, workers: int, limits: list[str]) -> None:
    train, test = find_dataset(f"folder:{folder.name}", folder.parent).load(folder.parent)
    assert isinstance(train, FileSplit)
    assert isinstance(test, FileSplit)
    loader = FileLoader(
        train, test, size=16, batch_size=2, augment="none", channels_last=False, seed=0, workers=workers
    )
    loader.begin()  # everything is loaded: `nobody` may not read where it lies
    loader.close()
    for limit in limits:
        reading, writing = os.pipe()
        begun = time.monotonic()
        child = os.fork()
        if not child:
            signal.alarm(SECONDS)
            os.setpgid(0, 0)
            answer = tried(loader, limit)
            os.write(writing, answer.encode())
            sys.exit(0)  # as a program ends: multiprocessing ends its processes
        os.close(writing)
        _, status = os.waitpid(child, 0)
        row = {"limit": limit, "answer": os.read(reading, 10_000).decode(), "end": os.waitstatus_to_exitcode(status)}
        os.close(reading)
        print(json.dumps({**row, "left": _left(child), "seconds": time.monotonic() - begun}), flush=True)


def _left(group: int) -> int:
    """Processes of a group that are still there a moment after."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return 0
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
