"""The processes that decode: real ones, under real limits and signals. They end with their run, however it ends."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from folder_samples import make_folder
from helpers import bamgate
from torch import Tensor

from bamgate.data import FileLoader, FileSplit, dead_workers_named, find_dataset
from bamgate.data.files import loader as file_loader
from bamgate.data.files import processes as decoding
from bamgate.errors import TryAgainError

WAY_OUT = "use fewer --workers, or raise the limit (ulimit -n, ulimit -u, memory, /dev/shm)"
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data") / "tiny")


def _loader(folder: Path) -> FileLoader:
    train, test = find_dataset(f"folder:{folder.name}", folder.parent).load(folder.parent)
    assert isinstance(train, FileSplit)
    assert isinstance(test, FileSplit)
    return FileLoader(
        train, test, size=16, batch_size=5, augment="resized-crop-flip", channels_last=True, seed=3, workers=2
    )


def _children(parent: int | None = None) -> set[int]:
    """Processes that this one, or `parent`, has started and that are alive."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == (parent or os.getpid()) and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


@pytest.fixture
def workers(folder: Path) -> Iterator[tuple[FileLoader, Iterator[tuple[Tensor, Tensor]], set[int]]]:
    """A loader in the middle of a pass, and its two processes."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    before, loader = _children(), _loader(folder)
    batches = loader.training_batches(0)
    next(batches)
    yield loader, batches, _children() - before
    loader.close()


def test_a_signal_to_the_whole_group_leaves_the_workers_to_the_run(workers: Any) -> None:
    loader, batches, processes = workers
    assert len(processes) == 2
    for name in ("INT", "TERM", "HUP", "TERM"):
        subprocess.run(["kill", "-s", name, *map(str, processes)], check=True)  # by somebody else than the run
    assert len(list(batches)) == 3
    assert processes <= _children()
    del batches
    loader.close()
    deadline = time.monotonic() + 20
    while processes & _children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes & _children()


def test_a_signal_before_a_worker_has_begun_is_no_end_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    begin, before, hit = decoding.begin, _children(), set()

    def slowly(number: int) -> None:
        time.sleep(1)
        begin(number)

    def as_soon_as_they_are_there() -> None:
        while len(hit) < 2:
            for process in _children() - before - hit:
                os.kill(process, signal.SIGINT)
                os.kill(process, signal.SIGHUP)
                hit.add(process)

    monkeypatch.setattr(file_loader, "begin", slowly)
    loader, sender = _loader(folder), threading.Thread(target=as_soon_as_they_are_there, daemon=True)
    sender.start()
    assert len(list(loader.training_batches(0))) == 4
    sender.join(20)
    assert len(hit) == 2
    assert hit <= _children()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    loader.close()


def test_a_worker_that_dies_is_one_line_that_says_how_to_go_on(workers: Any) -> None:
    _, batches, processes = workers

    def lose_one() -> None:
        with dead_workers_named():
            os.kill(min(processes), signal.SIGKILL)
            time.sleep(1)
            list(batches)

    with pytest.raises(TryAgainError) as caught:
        lose_one()
    assert str(caught.value).startswith("a process that decodes images has died (DataLoader worker (pid")
    assert str(caught.value).endswith(
        f"killed by signal: Killed); if the machine ran short of something, {WAY_OUT}. "
        "The same command resumes from the last checkpoint"
    )
    assert "\n" not in str(caught.value)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"), dead_workers_named():
        raise RuntimeError("something else")


# They cannot be started, or cannot hand over what they made.


def _under(limits: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """How a pass with three processes ends under each limit. All that is said anywhere is in the answers."""
    script = Path(__file__).with_name("decoding_limits.py")
    ended = subprocess.run(
        [sys.executable, str(script), str(folder), "3", *limits],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert ended.stderr == ""
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row["limit"] for row in rows] == limits
    return {row["limit"]: row for row in rows}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_with_few_open_files_a_run_ends_within_seconds_and_says_so(folder: Path) -> None:
    rows = _under([f"files:{number}" for number in (12, 20, 25)] + ["files:60"], folder)
    assert rows.pop("files:60")["answer"] == "0 12"
    for row in rows.values():
        assert row["answer"].startswith("75 "), row
        assert "Too many open files" in row["answer"]
        assert row["answer"].endswith(WAY_OUT)
        assert "\n" not in row["answer"]
        assert (row["end"], row["left"]) == (0, 0), row
    assert "3 processes that decode images cannot be started (" in rows["files:12"]["answer"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user whose processes are counted")
def test_with_few_processes_too(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder, *folder.parents[:2]):
        path.chmod(0o755)
    for row in _under(["processes:1", "processes:6"], folder).values():
        assert row["answer"].startswith("75 "), row
        assert (row["end"], row["left"]) == (0, 0), row


@pytest.mark.slow
def test_a_run_that_cannot_start_them_writes_nothing(folder: Path, tmp_path: Path) -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (22, 22))

    out = tmp_path / "out"
    options = ["--dataset", "folder:tiny", "--data-dir", str(folder.parent), "--image-size", "32", "--model", "resnet8"]
    options += ["--batch-size", "4", "--epochs", "1", "--workers", "6", "--out", str(out), "--quiet"]
    ended = bamgate("run", *options, preexec_fn=few_files)
    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr == (
        f"bamgate: 6 processes that decode images cannot be started (Too many open files); {WAY_OUT}\n"
    )
    assert not out.exists()


# They end with their run.


def test_one_sigterm_of_the_run_ends_them(workers: Any) -> None:
    """Multiprocessing sends one when it ends, and then waits for ever."""
    _, _, processes = workers
    mine = [process for process in multiprocessing.active_children() if process.pid in processes]
    for process in mine:
        process.terminate()
    for process in mine:
        process.join(20)
    assert [process.exitcode for process in mine] == [0, 0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_none_is_left_when_the_run_is_killed(folder: Path) -> None:
    reading, writing = os.pipe()
    run = os.fork()
    if not run:
        os.setpgid(0, 0)
        loader = _loader(folder)
        loader.begin()
        os.write(writing, b"begun")
        signal.pause()
    assert os.read(reading, 5) == b"begun"
    os.close(reading)
    os.close(writing)
    assert len(_children(run)) == 2
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    assert _is_gone(run, time.monotonic() + 20)


def _is_gone(group: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
