"""A report takes its place whole: readers see the one that was there or the new one, whenever a process dies."""

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from bamgate.errors import TryAgainError, UsageError
from bamgate.record.storage import sole_writer

OWN = {"report.html", "report.md", "report.tex", "tables", "figures", "stats.json", "provenance.json"}
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextlib.contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of `out` when all is written; else nothing has changed.

    It lies in one folder beside `out`, which has one owner. What a killed owner has left there is taken up by the
    next: a report that was moved aside comes back, the rest is removed.

    Raises:
        UsageError: `out` holds something that is not a report.
        TryAgainError: it cannot be written; BusyError while another process writes it.
    """
    # Not by its name alone, which may be as long as names can be.
    work = out.with_name(f".report-{hashlib.sha256(out.name.encode()).hexdigest()[:8]}.new")
    try:
        _refuse_foreign(out)
        work.mkdir(parents=True, exist_ok=True)
        with sole_writer(work):
            _recover(work, out)
            new = work / "new"
            try:
                new.mkdir()
                yield new
                _refuse_foreign(out)
                _swap(new, out, work / "old")
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        why = f"cannot write the report {out}: {error.strerror}; nothing there has changed"
        raise TryAgainError(why) from error


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not (out.is_dir() and _is_ours({path.name for path in out.iterdir()})):
        raise UsageError(f"--out {str(out)!r} holds something that is not a report; name another folder")


def _is_ours(names: set[str]) -> bool:
    """Whether a folder is empty, or a report and nothing beside it."""
    return not names or (names <= OWN and {"stats.json", "provenance.json"} <= names)


def _recover(work: Path, out: Path) -> None:
    if (work / "old").exists() and not out.exists():
        (work / "old").rename(out)
    for name in ("new", "old"):
        shutil.rmtree(work / name, ignore_errors=True)


def _swap(new: Path, out: Path, old: Path) -> None:
    """Put `new` where `out` is: in one step if the system can, else the old one comes back where the second fails."""
    if not out.exists():
        new.rename(out)
    elif not _exchanged(new, out):
        out.rename(old)
        try:
            new.rename(out)
        except OSError:
            old.rename(out)
            raise


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the two have changed places, in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number not in _CANNOT:
        raise OSError(number, os.strerror(number), str(other))
    return False
