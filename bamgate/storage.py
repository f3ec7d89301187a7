"""Files that are never half-written: whole replacement, synced appends, and one writer at a time."""

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bamgate.errors import BusyError, TryAgainError

_NUMBER = itertools.count()
_TEMPORARY = re.compile(r".+\.\d+-\d+\.tmp")


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, whenever the process dies."""
    # A name of its own: two writers may replace the same file at once.
    beside = path.with_name(f"{path.name}.{os.getpid()}-{next(_NUMBER)}.tmp")
    with disk_errors(path):
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def append_synced(path: Path, text: str) -> None:
    """Append and sync; where that fails, the file keeps its former length."""
    # Unbuffered: what a full disk refused must not be flushed after the file has been cut back.
    with disk_errors(path), path.open("ab", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        try:
            left = memoryview(text.encode())
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, length)
            raise


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a lost permission into one line that says how to go on."""
    try:
        yield
    except OSError as error:
        raise TryAgainError(
            f"cannot write {path}: {error.strerror}; what was logged is whole, the same command goes on from there"
        ) from error


@contextlib.contextmanager
def sole_writer(folder: Path, *, patience_s: float = 0) -> Iterator[None]:
    """Hold `folder` for this process; BusyError where another holds it for longer than `patience_s`.

    What a killed `write_atomic` has left half-done is removed.
    """
    lock = FileLock(folder / ".lock")
    with disk_errors(folder / ".lock"):
        try:
            lock.acquire(timeout=patience_s)
        except Timeout:
            raise BusyError(f"another process is at work on {folder}; nothing was done here") from None
    try:
        with disk_errors(folder):
            for stale in folder.glob("*.tmp"):
                if _TEMPORARY.fullmatch(stale.name) and stale.is_file():
                    stale.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process is at work on `folder` now."""
    if not (folder / ".lock").exists():
        return False
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # somebody else's folder, which can only be read
        return False
    lock.release()
    return False
