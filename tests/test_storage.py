"""Files on a disk that fails: they stay whole, and one line says how to go on."""

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamgate.errors import TryAgainError
from bamgate.record.storage import append_synced, sole_writer, write_atomic

FULL = "No space left on device"


def full_disk(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, FULL)


def cannot_write(path: Path, reason: str = FULL) -> str:
    return f"cannot write {path}: {reason}; what was logged is whole, the same command goes on from there"


def refusal(action: Callable[[], None]) -> TryAgainError:
    with pytest.raises(TryAgainError) as caught:
        action()
    return caught.value


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for data in (b"old", b"", b"new\x00\xff" * 10_000):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_appended_texts_stand_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for text in ("a,b\n", "", "ä\n", "x" * 100_000 + "\n"):
        append_synced(path, text)
    assert path.read_bytes() == "a,b\nä\n".encode() + b"x" * 100_000 + b"\n"


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_replacement_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str, before: bytes | None
) -> None:
    path = tmp_path / "a.json"
    if before is not None:
        path.write_bytes(before)
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, full_disk)
        error = refusal(lambda: write_atomic(path, b"new"))
    assert str(error) == cannot_write(path)
    assert error.exit_code == 75
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == ({"a.json": before} if before else {})
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_cannot_be_synced_leaves_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    calls = []

    def second_fails(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", second_fails)
        error = refusal(lambda: write_atomic(path, b"new"))
    assert str(error) == cannot_write(path, "Input/output error")
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == {"a.json": b"new"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_process_that_dies_in_between_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        """Not an Exception, so nothing tidies up after it, as after a kill."""

    def die(*_: Any) -> None:
        raise KilledError

    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os if step == "fsync" else Path, step, die)
        with pytest.raises(KilledError):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_two_processes_that_write_the_same_file_at_once_both_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """design.json and runs.csv have no lock: two commands in one folder write them at the same time."""
    path, real_fsync, others = tmp_path / "design.json", os.fsync, [b"from the other process\n"]

    def overtaken(descriptor: int) -> None:
        real_fsync(descriptor)
        if others:
            write_atomic(path, others.pop())

    monkeypatch.setattr(os, "fsync", overtaken)
    write_atomic(path, b"mine\n")
    assert path.read_bytes() == b"mine\n"
    assert [item.name for item in tmp_path.iterdir()] == ["design.json"]


@pytest.mark.parametrize("before", [None, "kept\n"])
def test_an_append_that_fails_restores_the_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    path = tmp_path / "rows.csv"
    if before is not None:
        path.write_text(before)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_disk)
        error = refusal(lambda: append_synced(path, "lost\n" * 5_000))
    assert str(error) == cannot_write(path)
    assert path.read_text() == (before or "")
    append_synced(path, "more\n")
    assert path.read_text() == (before or "") + "more\n"


@pytest.mark.parametrize("write", [write_atomic, append_synced], ids=["write_atomic", "append_synced"])
def test_a_folder_that_is_gone_is_one_line(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "gone" / "a.json"
    error = refusal(lambda: write(path, b"" if write is write_atomic else ""))
    assert str(error) == cannot_write(path, "No such file or directory")


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`: the kernel writes a part and then fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@given(held=st.integers(0, 9_000), room=st.integers(0, 9_000), more=st.integers(1, 20_000))
def test_an_append_that_the_kernel_breaks_off_leaves_what_was_there(
    tmp_path_factory: pytest.TempPathFactory, held: int, room: int, more: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "limited.csv"
    path.write_bytes(b"o" * held)
    with file_size_limit(held + room):
        if more <= room:
            append_synced(path, "n" * more)
        else:
            assert str(refusal(lambda: append_synced(path, "n" * more))) == cannot_write(path, "File too large")
    assert path.read_bytes() == b"o" * held + b"n" * (more if more <= room else 0)


@given(room=st.integers(0, 9_000), size=st.integers(1, 20_000))
def test_a_replacement_that_the_kernel_breaks_off_leaves_what_was_there(
    tmp_path_factory: pytest.TempPathFactory, room: int, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "limited.json"
    path.write_bytes(b"old")
    with file_size_limit(room):
        if size <= room:
            write_atomic(path, b"n" * size)
        else:
            assert str(refusal(lambda: write_atomic(path, b"n" * size))) == cannot_write(path, "File too large")
    assert path.read_bytes() == (b"n" * size if size <= room else b"old")
    assert not path.with_name("limited.json.tmp").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=16", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def fill(folder: Path, left: int) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        file.write(b"\0" * (free_bytes(folder) - left))
    assert free_bytes(folder) == left


def test_a_full_disk_leaves_a_whole_table(small_disk: Path) -> None:
    path = small_disk / "epochs.csv"
    text = "".join(f"1,cell,{row}\n" for row in range(4_000))
    written = []

    def append_for_ever() -> None:
        while True:
            append_synced(path, text)
            written.append(text)

    assert str(refusal(append_for_ever)) == cannot_write(path)
    assert len(written) >= 2
    assert path.read_text() == "".join(written)


@pytest.mark.parametrize("rows", [1_000, 5_000, 8_000, 12_000, 60_000])
def test_a_disk_with_one_page_left_leaves_a_whole_table(small_disk: Path, rows: int) -> None:
    """The kernel takes the first page of the text and refuses the rest."""
    page = os.sysconf("SC_PAGE_SIZE")
    path = small_disk / "epochs.csv"
    path.write_bytes(b"o" * (page - 100))
    fill(small_disk, page)
    text = "n" * rows
    if rows <= page:
        append_synced(path, text)
        assert path.read_text() == "o" * (page - 100) + text
    else:
        assert str(refusal(lambda: append_synced(path, text))) == cannot_write(path)
        assert path.read_text() == "o" * (page - 100)
    (small_disk / "filler").unlink()
    append_synced(path, "more")
    assert path.read_text().endswith("more")


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(small_disk: Path) -> None:
    path = small_disk / "result.json"
    write_atomic(path, b"old" * 10_000)
    fill(small_disk, os.sysconf("SC_PAGE_SIZE"))
    for size in (6_000, 30_000, 200_000):
        assert str(refusal(lambda size=size: write_atomic(path, b"n" * size))) == cannot_write(path)  # type: ignore[misc]
        assert path.read_bytes() == b"old" * 10_000
        assert sorted(item.name for item in small_disk.iterdir()) == ["filler", "result.json"]
    (small_disk / "filler").unlink()
    write_atomic(path, b"n" * 200_000)
    assert path.read_bytes() == b"n" * 200_000


def test_a_disk_without_room_for_a_lock_is_one_line(small_disk: Path) -> None:
    with contextlib.suppress(OSError):
        for number in range(100):
            (small_disk / f"empty{number}").touch()

    def lock() -> None:
        with sole_writer(small_disk):
            pytest.fail("there was no room for the lock")

    assert str(refusal(lock)) == cannot_write(small_disk / ".lock")


HOLDER = """
import sys, time
from pathlib import Path
from bamgate.record.storage import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that holds the lock of `folder`."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    def enter() -> None:
        with sole_writer(tmp_path):
            pytest.fail("two writers at once")

    with holder(tmp_path) as process:
        for _ in range(2):
            error = refusal(enter)
            assert str(error) == f"another process is at work on {tmp_path}; nothing was done here"
            assert error.exit_code == 75
        process.kill()
        assert process.wait() == -9
        with sole_writer(tmp_path):
            pass


def test_a_writer_that_has_left_lets_the_next_one_in(tmp_path: Path) -> None:
    with sole_writer(tmp_path):
        pass
    with pytest.raises(KeyError), sole_writer(tmp_path):
        raise KeyError
    with holder(tmp_path), pytest.raises(TryAgainError), sole_writer(tmp_path):
        pass


def test_two_folders_have_two_writers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with holder(tmp_path / "a"), sole_writer(tmp_path / "b"):
        assert (tmp_path / "b" / ".lock").exists()
