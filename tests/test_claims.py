"""One writer also where file locks do not work: claim files, their beat, and who may take one over."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from record_samples import message

from bamgate.errors import BusyError, TryAgainError, UsageError
from bamgate.record import claims
from bamgate.record.storage import append_synced, is_held, sole_writer, write_atomic

BEAT_S, SILENT_S = 0.02, 0.8
SHORT = f"""
import os, signal, sys, time
from pathlib import Path
from bamgate.record import claims
from bamgate.errors import TryAgainError
from bamgate.record.storage import append_synced, sole_writer, write_atomic
claims.BEAT_S, claims.SILENT_S = {BEAT_S}, {SILENT_S}
folder = Path(sys.argv[1])
"""
ELSEWHERE = "claims._place = lambda: {'host': 'far', 'boot': 'b', 'space': 's'}\n"
HOLDER = """
with sole_writer(folder):
    append_synced(folder / "rows.csv", "mine\\n")
    print("held", flush=True)
    time.sleep(60)
"""
SUSPENDED = """
writes = {
    "append": lambda: append_synced(folder / "rows.csv", "late\\n"),
    "replace": lambda: write_atomic(folder / "rows.csv", b"late\\n"),
}
try:
    with sole_writer(folder):
        append_synced(folder / "rows.csv", "mine\\n")
        print("held", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        writes[sys.argv[2]]()
        print("written", flush=True)
except TryAgainError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""
CONTENDER = """
claims.SILENT_S = 30
for line in sys.stdin:
    try:
        with sole_writer(Path(line.strip())):
            print("won", flush=True)
            sys.stdin.readline()
    except TryAgainError:
        print("lost", flush=True)
        sys.stdin.readline()
"""
STALE = b"%020d\n%s\n" % (7, json.dumps({"mark": "x", "pid": 1, "started": "1", "host": "far", "boot": "b"}).encode())


@pytest.fixture(autouse=True)
def by_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims in this process and its children, with times for the impatient."""
    monkeypatch.setenv("BAMGATE_LOCKS", "files")
    monkeypatch.setattr(claims, "BEAT_S", BEAT_S)
    monkeypatch.setattr(claims, "SILENT_S", SILENT_S)
    monkeypatch.setattr(claims, "_WATCH", claims.Watch())


@contextlib.contextmanager
def process(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SHORT + code, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".claim.*"))


def busy(folder: Path) -> str:
    return f"another process is at work on {folder}; nothing was done here"


def test_a_second_writer_is_refused_until_the_first_leaves(tmp_path: Path) -> None:
    with sole_writer(tmp_path):
        assert is_held(tmp_path)
        assert message(BusyError, lambda: sole_writer(tmp_path).__enter__()) == busy(tmp_path)
        assert not (tmp_path / ".lock").exists()
    assert not is_held(tmp_path)
    with sole_writer(tmp_path):
        assert names(tmp_path) == [".claim.2"]


def test_a_killed_owner_on_this_machine_is_followed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "SILENT_S", 1000.0)
    with process(HOLDER, str(tmp_path)) as owner:
        assert line(owner) == "held"
        assert is_held(tmp_path)
        assert message(BusyError, lambda: sole_writer(tmp_path).__enter__()) == busy(tmp_path)
        owner.kill()
        owner.wait()
        assert not is_held(tmp_path)
        with sole_writer(tmp_path):
            assert names(tmp_path) == [".claim.2"]


def test_a_killed_owner_elsewhere_is_followed_when_its_beat_has_stopped(tmp_path: Path) -> None:
    with process(ELSEWHERE + HOLDER, str(tmp_path)) as owner:
        assert line(owner) == "held"
        owner.kill()
        owner.wait()
        began = time.monotonic()
        with sole_writer(tmp_path):
            assert time.monotonic() - began >= SILENT_S
            append_synced(tmp_path / "rows.csv", "next\n")
    assert (tmp_path / "rows.csv").read_text() == "mine\nnext\n"


@pytest.mark.parametrize("write", ["append", "replace"])
def test_a_suspended_owner_that_was_followed_stops_without_writing(tmp_path: Path, write: str) -> None:
    with process(SUSPENDED, str(tmp_path), write) as owner:
        assert line(owner) == "held"
        with sole_writer(tmp_path):
            append_synced(tmp_path / "rows.csv", "next\n")
            owner.send_signal(signal.SIGCONT)
            expected = f"another process has taken over {tmp_path}, having seen no sign of this one for {SILENT_S:g} s"
            assert line(owner).startswith(expected)
            assert owner.wait() == 75
            append_synced(tmp_path / "rows.csv", "next\n")
            assert is_held(tmp_path)
    assert (tmp_path / "rows.csv").read_text() == "mine\nnext\nnext\n"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_suspended_owner_that_nobody_followed_goes_on(tmp_path: Path) -> None:
    with process(SUSPENDED, str(tmp_path), "append") as owner:
        assert line(owner) == "held"
        time.sleep(2 * SILENT_S)
        owner.send_signal(signal.SIGCONT)
        assert line(owner) == "written"
        assert owner.wait() == 0


def test_of_many_contenders_for_a_stale_claim_exactly_one_wins_each_time(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        contenders = [stack.enter_context(process(CONTENDER, str(tmp_path))) for _ in range(3)]
        dead = subprocess.Popen([sys.executable, "-c", ""])
        owner = {"mark": "x", "pid": dead.pid, "started": "1", **claims._place()}
        dead.wait()
        winners = []
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / ".claim.1").write_bytes(b"%020d\n%s\n" % (7, json.dumps(owner).encode()))
            tell(contenders, f"{folder}\n")
            answers = [line(contender) for contender in contenders]
            assert sorted(answers) == ["lost", "lost", "won"]
            winners.append(answers.index("won"))
            tell(contenders, "\n")
        assert len(set(winners)) > 1, "the same one won each time: there was no race"


def tell(contenders: list[subprocess.Popen[str]], text: str) -> None:
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write(text)
        contender.stdin.flush()


def test_whoever_decided_late_gets_nothing(tmp_path: Path) -> None:
    """Both saw that claim 1 is over; the other has taken 2, left, taken 3, and 2 is gone."""
    (tmp_path / ".claim.1").write_bytes(STALE)
    second = claims._create(tmp_path, 2)
    assert second is not None
    assert claims._create(tmp_path, 2) is None
    second.leave()
    third = claims._create(tmp_path, 3)
    assert third is not None
    assert names(tmp_path) == [".claim.3"]
    assert claims._create(tmp_path, 2) is None
    assert names(tmp_path) == [".claim.3"]
    third.require()
    with pytest.raises(BusyError):
        second.require()
    third.leave()


def test_who_has_watched_for_long_enough_frees_the_claim_for_all(tmp_path: Path) -> None:
    (tmp_path / ".claim.1").write_bytes(STALE)
    began = time.monotonic()
    while is_held(tmp_path):
        time.sleep(BEAT_S)
    assert time.monotonic() - began >= SILENT_S
    began = time.monotonic()
    with process(HOLDER, str(tmp_path)) as owner:
        assert line(owner) == "held"
        assert names(tmp_path) == [".claim.3"]


@pytest.mark.parametrize("content", [STALE, b"", b"\0" * 200, b"%020d\n{\n" % 3])
def test_silence_is_counted_look_by_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(claims, "SILENT_S", 60.0)
    path, watch = tmp_path / ".claim.1", claims.Watch()
    path.write_bytes(content)
    found = []
    # Three hours pass between two looks: whoever looks was suspended, so they count as a quarter of 60 s.
    for now[0] in (0.0, 10.0, 20.0, 10_820.0, 10_830.0, 10_840.0, 10_844.0, 10_846.0):
        found.append(watch.look(path)[0])
    assert found == [False] * 7 + [True]
    path.write_bytes(b"%020d" % 8)
    assert watch.look(path) == (False, True)
    path.write_bytes(claims._FREE)
    assert watch.look(path) == (True, False)
    path.unlink()
    assert watch.look(path) == (False, True)


def test_an_owner_that_beats_is_never_followed(tmp_path: Path) -> None:
    with process(ELSEWHERE + HOLDER, str(tmp_path)) as owner:
        assert line(owner) == "held"
        end = time.monotonic() + 2.5 * SILENT_S
        while time.monotonic() < end:
            assert is_held(tmp_path)
            time.sleep(BEAT_S)
        assert names(tmp_path) == [".claim.1"]


def no_locks(number: int) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


LOCKS = [no_locks(number) for number in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)]


@pytest.mark.parametrize("flock", [*LOCKS, lambda *_: None], ids=["ENOSYS", "ENOLCK", "EOPNOTSUPP", "no effect"])
def test_where_locks_do_not_work_claims_take_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flock: Callable[..., None]
) -> None:
    monkeypatch.delenv("BAMGATE_LOCKS")
    monkeypatch.setattr(fcntl, "flock", flock)
    assert not is_held(tmp_path)
    with sole_writer(tmp_path):
        assert names(tmp_path) == [".claim.1"]
        assert is_held(tmp_path)
        assert message(BusyError, lambda: sole_writer(tmp_path).__enter__()) == busy(tmp_path)
    assert not is_held(tmp_path)


def test_a_lock_that_works_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAMGATE_LOCKS")
    with sole_writer(tmp_path):
        assert is_held(tmp_path)
    assert names(tmp_path) == []


def test_a_lock_keeps_out_who_claims_and_a_claim_who_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = lambda: sole_writer(tmp_path).__enter__()  # noqa: E731
    monkeypatch.setenv("BAMGATE_LOCKS", "os")
    with sole_writer(tmp_path):
        monkeypatch.setenv("BAMGATE_LOCKS", "files")
        assert message(BusyError, refused) == busy(tmp_path)
    with sole_writer(tmp_path):
        monkeypatch.setenv("BAMGATE_LOCKS", "os")
        assert message(BusyError, refused) == busy(tmp_path)
    with sole_writer(tmp_path):
        assert names(tmp_path) == [".claim.2"]


def test_an_unknown_way_of_locking_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAMGATE_LOCKS", "file")
    expected = "unknown BAMGATE_LOCKS 'file'; did you mean 'files'? (allowed: os, files)"
    assert message(UsageError, lambda: sole_writer(tmp_path).__enter__()) == expected


def test_a_claim_is_of_one_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with sole_writer(tmp_path / "a"), sole_writer(tmp_path / "b"):
        (tmp_path / "a" / ".claim.1").unlink()
        (tmp_path / "a" / ".claim.2").touch()
        write_atomic(tmp_path / "b" / "x", b"")
        with pytest.raises(TryAgainError, match="has taken over"):
            write_atomic(tmp_path / "a" / "x", b"")
    assert not list((tmp_path / "a").glob("x*"))
