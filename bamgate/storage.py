"""Files that are never half-written: whole replacement, synced appends, and one writer at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bamgate.errors import TryAgainError


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, whenever the process dies."""
    beside = path.with_name(path.name + ".tmp")
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
    with disk_errors(path), path.open("ab") as file:
        length = file.tell()
        try:
            file.write(text.encode())
            file.flush()
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
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; TryAgainError at once where another process holds it."""
    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise TryAgainError(f"another process is at work on {folder}; nothing was done here") from None
