"""Files that are never half-written: whole replacement, synced appends, and one writer at a time.

Whatever changes a file of a record does it by a function of this module, which asks first whether the claim of this
process still holds: an owner that was suspended, and has a successor, changes nothing when it wakes.
"""

import contextlib
import errno
import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bamgate.errors import BusyError, DataError, TryAgainError, unknown
from bamgate.record import claims

if sys.platform != "win32":
    import fcntl

_NUMBER = itertools.count()
_CLAIMS: dict[str, claims.Claim] = {}  # of this process, by folder
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
_TEMPORARY = re.compile(r".+\.\d+-\d+\.tmp")


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, whenever the process dies."""
    beside = _beside(path)
    with disk_errors(path):
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _require_claim(path)
            beside.replace(path)
        except (OSError, BusyError):
            beside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def _beside(path: Path) -> Path:
    """A name of its own: two writers may replace the same file at once. A successor removes what has such a name."""
    return path.with_name(f"{path.name}.{os.getpid()}-{next(_NUMBER)}.tmp")


def append_synced(path: Path, text: str) -> None:
    """Append and sync; if that fails, the file keeps its former length."""
    with disk_errors(path):
        if _claims_of(path):
            # Where locks do not work a successor may append at this moment: what it has removed cannot be renamed.
            write_atomic(path, (path.read_bytes() if path.exists() else b"") + text.encode())
        else:
            _append(path, text.encode())


def _append(path: Path, data: bytes) -> None:
    # Unbuffered: what a full disk refused must not be flushed after the file has been cut back.
    with path.open("ab", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, length)
            raise


def require_file(path: Path) -> None:
    """DataError if something is there that is not a file: a folder, a link that leads nowhere, a pipe nobody writes."""
    if os.path.lexists(path) and not path.is_file():
        raise DataError(f"{path} is not a file; move it away")


def keep_as(path: Path, copy: Path) -> None:
    """Make `copy` the file that `path` is now, whatever it was; `path` stays."""
    beside = _beside(copy)
    with disk_errors(copy):
        try:
            os.link(path, beside)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            write_atomic(copy, path.read_bytes())
            return
        try:
            _require_claim(copy)
            beside.replace(copy)
        finally:
            # Also after the renaming: of two names of one file it leaves both.
            beside.unlink(missing_ok=True)
        sync_folder(copy.parent)


def move(path: Path, target: Path) -> None:
    """Rename a file or a folder, for good."""
    with disk_errors(path), disk_errors(target):
        path.rename(target)
        sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with disk_errors(path):
        path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)


def make_folders(folder: Path) -> None:
    """A folder with its parents, each of them synced in its own; OSError if that is not possible here."""
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        if path.exists():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        path.mkdir(exist_ok=True)
        with contextlib.suppress(PermissionError):  # a folder that may be written to, but not read
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a lost permission into one line that says how to go on.

    Raises:
        TryAgainError: that line, or that another process has taken over the folder of `path`.
    """
    try:
        _require_claim(path)
        yield
    except OSError as error:
        with contextlib.suppress(OSError):
            _require_claim(path)  # a successor has removed what was to be renamed
        raise TryAgainError(
            f"cannot write {path}: {error.strerror}; what was logged is whole, the same command goes on from there"
        ) from error


@contextlib.contextmanager
def sole_writer(folder: Path, *, patience_s: float = 0) -> Iterator[None]:
    """Hold `folder` for this process; BusyError where another holds it for longer than `patience_s`.

    By a file lock; by a claim file (`bamgate.record.claims`) where file locks do not work, or BAMGATE_LOCKS is "files".
    What a killed `write_atomic` has left half-done is removed.
    """
    with disk_errors(folder / ".lock"):
        make_folders(folder)
        leave = _hold(folder, patience_s)
    try:
        with disk_errors(folder):
            for stale in folder.glob("*.tmp"):
                if _TEMPORARY.fullmatch(stale.name) and stale.is_file():
                    stale.unlink(missing_ok=True)
        yield
    finally:
        leave()


def _hold(folder: Path, patience_s: float) -> Callable[[], None]:
    """Take the lock or the claim; what gives it back."""
    by_files = _by_files() or claims.in_use(folder)
    lock = None if by_files else _lock(folder / ".lock", patience_s)
    # Somebody for whom locks do not work may have been here in between.
    if lock is not None and not claims.in_use(folder):
        return lambda: os.close(lock)
    if lock is not None:
        os.close(lock)
    elif _is_locked(folder / ".lock"):
        raise BusyError(f"another process is at work on {folder}; nothing was done here")
    return _claim(folder, patience_s)


def _by_files() -> bool:
    given = os.environ.get("BAMGATE_LOCKS") or "os"
    if given not in ("os", "files"):
        raise unknown("BAMGATE_LOCKS", given, ("os", "files"))
    return given == "files"


def _claim(folder: Path, patience_s: float) -> Callable[[], None]:
    claim, name = claims.take(folder, patience_s), os.path.abspath(folder)
    _CLAIMS[name] = claim

    def leave() -> None:
        del _CLAIMS[name]
        claim.leave()

    return leave


def _require_claim(path: Path) -> None:
    """BusyError if a folder around `path` was claimed by this process, and then taken over by another."""
    for claim in _claims_of(path):
        claim.require()


def _claims_of(path: Path) -> list[claims.Claim]:
    """This process's claims of `path` and of the folders that it lies in."""
    if not _CLAIMS:
        return []
    whole = Path(os.path.abspath(path))
    return [_CLAIMS[str(folder)] for folder in (whole, *whole.parents) if str(folder) in _CLAIMS]


def _lock(path: Path, patience_s: float) -> int | None:
    """A descriptor that holds the lock of a file; None where locks do not work there. BusyError after `patience_s`."""
    end = time.monotonic() + patience_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while (locked := _try_lock(descriptor)) is False:
            if time.monotonic() >= end:
                raise BusyError(f"another process is at work on {path.parent}; nothing was done here")
            time.sleep(0.05)
        if locked and _is_locked(path):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)  # there are no locks, or a second one was granted beside ours
    return None


def _try_lock(descriptor: int) -> bool | None:
    """Whether the lock could be had; None where there are none."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_held(folder: Path) -> bool:
    """Whether a process is at work on `folder` now."""
    try:
        return claims.is_held(folder) or _is_locked(folder / ".lock")
    except OSError:  # somebody else's folder, or none
        return False


def _is_locked(path: Path) -> bool:
    """Whether anybody, this process included, holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # there is none, or it is somebody else's and can only be read
        return False
    try:
        return _try_lock(descriptor) is False
    except OSError:
        return False
    finally:
        os.close(descriptor)
