"""Claims of a folder where file locks do not work: numbered files in which the owner leaves a beat.

`.claim.<n>` is created with O_EXCL, so of all who would follow claim n - 1 exactly one gets it. The highest number is
the claim in force, and it is never removed before a higher one is there. Its owner writes a beat every BEAT_S seconds,
and "free" when it leaves. A claim is over when it is free, when its process has died on this machine, or when whoever
looks has seen no new beat for SILENT_S of its own clock: the clocks of two machines are never compared.

An owner that was suspended meanwhile finds its file gone before its next write. If it is suspended between that look
and the write, which follows at once, the file that it would rename into place has been removed by its successor. What
is left open is a removal: of a damaged checkpoint, or of the last but one.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from bamgate.errors import BusyError

BEAT_S = 5.0
SILENT_S = 60.0  # not below the 60 s for which a network file system may show an old state of a folder
_NAME = re.compile(r"\.claim\.(\d+)")
_FREE = b"free".ljust(20)


class Claim:
    """A claim of this process's. Raises OSError where the first beat cannot be written."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor
        self._mark = uuid.uuid4().hex
        self._stop = threading.Event()
        self._write(b"%020d\n%s\n" % (0, json.dumps({"mark": self._mark, **_process()}).encode()))
        self._thread = threading.Thread(target=self._beat, name=f"beat of {path}", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """BusyError where another process has taken over."""
        following = _path(self.path.parent, _number(self.path) + 1)
        # In this order: the files are removed in ascending order. Opened, not looked up: opening asks the server.
        if following.exists() or self._mark.encode() not in (_content(self.path) or b""):
            raise BusyError(
                f"another process has taken over {self.path.parent}, having seen no sign of this one for "
                f"{SILENT_S:g} s; nothing more was written here"
            )

    def leave(self) -> None:
        """Free the claim; without effect on a successor where there is one."""
        self._stop.set()
        self._thread.join(BEAT_S)
        with contextlib.suppress(OSError):  # then it is over when it has been silent for long enough
            self._write(_FREE)
        os.close(self._descriptor)

    def _beat(self) -> None:
        number = 0
        while not self._stop.wait(BEAT_S):
            number += 1
            with contextlib.suppress(OSError):
                self._write(b"%020d" % number)

    def _write(self, data: bytes) -> None:
        # Through the descriptor: where the claim was taken over, this goes to a file that nobody reads any more.
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, data)
        os.fsync(self._descriptor)


class Watch:
    """What this process has seen of claims, look by look."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[bytes, float, float]] = {}

    def look(self, path: Path) -> tuple[bool, bool]:
        """(the claim is over, it was seen to live: there is a beat since the last look)."""
        content = _content(path)
        if content is None:
            return False, True  # removed for a higher one
        if content.startswith(_FREE) or _has_died(content):
            return True, False
        now = time.monotonic()
        before, looked, silent = self._seen.get(path, (content, now, 0.0))
        # No single gap counts for much: it may be this process that was suspended, or the file server.
        silent = silent + min(now - looked, SILENT_S / 4) if content == before else 0.0
        self._seen[path] = content, now, silent
        return silent >= SILENT_S, content != before


_WATCH = Watch()


def in_use(folder: Path) -> bool:
    """Whether `folder` has ever been claimed by a file."""
    return bool(_numbers(folder))


def take(folder: Path, patience_s: float) -> Claim:
    """Claim `folder`.

    Raises:
        BusyError: another process's claim lives on after `patience_s`. To see whether it lives takes a beat, and up to
            SILENT_S where it does not.
    """
    end, alive, last = time.monotonic() + patience_s, False, None
    while True:
        number = max(_numbers(folder), default=0)
        over, beat = _WATCH.look(_path(folder, number)) if number else (True, False)
        if over and (claim := _create(folder, number + 1)):
            return claim
        alive = alive or beat or last not in (None, number)
        last = number
        if alive and time.monotonic() >= end:
            raise BusyError(f"another process is at work on {folder}; nothing was done here")
        time.sleep(min(0.1, BEAT_S / 4))


def is_held(folder: Path) -> bool:
    """Whether a living claim is on `folder`, as far as this process has watched it: at first each counts as living."""
    number = max(_numbers(folder), default=0)
    if not number:
        return False
    path = _path(folder, number)
    over, _ = _WATCH.look(path)
    content = _content(path) or b""
    if over and not content.startswith(_FREE) and not _has_died(content):
        # Others need not watch for as long as we have.
        with contextlib.suppress(OSError):
            claim = _create(folder, number + 1)
            if claim:
                claim.leave()
    return not over


def _create(folder: Path, number: int) -> Claim | None:
    """Claim `number`; None where another process has it, or a higher one."""
    path = _path(folder, number)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    try:
        claim = Claim(path, descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if max(_numbers(folder)) != number:  # whoever followed on our predecessor has come and gone already
        claim.leave()
        path.unlink(missing_ok=True)
        return None
    for former in sorted(_numbers(folder)):
        if former < number:
            _path(folder, former).unlink(missing_ok=True)
    return claim


def _path(folder: Path, number: int) -> Path:
    return folder / f".claim.{number}"


def _number(path: Path) -> int:
    return int(path.name.rpartition(".")[2])


def _numbers(folder: Path) -> list[int]:
    return [int(match[1]) for match in map(_NAME.fullmatch, os.listdir(folder)) if match]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _process() -> dict[str, Any]:
    """Who this process is, also beside those of other machines and containers."""
    return {"pid": os.getpid(), "started": _started(os.getpid()), **_place()}


def _place() -> dict[str, Any]:
    """Where a process number means the same process. Without /proc there is no telling."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    with contextlib.suppress(OSError):
        return {"host": socket.gethostname(), "boot": boot.read_text().strip(), "space": os.readlink(space)}
    return {"host": socket.gethostname(), "boot": "", "space": ""}


def _started(pid: int) -> str | None:
    """When a process was started, in the system's ticks; empty for one that has ended, None where that is not told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]


def _has_died(content: bytes) -> bool:
    """Whether the owner ran on this machine and has ended."""
    try:
        owner = json.loads(content.split(b"\n")[1])
        pid, started, boot = owner["pid"], owner["started"], owner["boot"]
        here = boot and {name: owner[name] for name in ("host", "boot", "space")} == _place()
    except (IndexError, KeyError, TypeError, ValueError):
        return False  # not yet written as a whole
    return bool(here) and not _lives(pid, started)


def _lives(pid: int, started: str) -> bool:
    now = _started(pid)
    if now is not None:
        return now == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
