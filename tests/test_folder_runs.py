"""`bamgate run` and `bamgate data` on an image folder: real processes, really killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folder_samples import cut_short, make_folder, save, smooth
from helpers import bamgate, without_times

from bamgate.data.files.listing import list_images

OPTIONS = ["--dataset", "folder:tiny", "--image-size", "32", "--model", "resnet8", "--batch-size", "8", "--quiet"]


def _arguments(root: Path, out: Path, *more: str) -> list[str]:
    return ["run", *OPTIONS, "--epochs", "3", "--data-dir", str(root.parent), "--out", str(out), *more]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data" / "tiny", train=40, test=6)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no test changes."""
    return make_folder(tmp_path_factory.mktemp("data") / "tiny", train=40, test=6)


@pytest.fixture(scope="module")
def undisturbed(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    finished = bamgate(*_arguments(shared, out))
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.mark.slow
def test_a_folder_is_trained_on_recorded_and_skipped_when_finished(shared: Path, undisturbed: Path) -> None:
    folder = next((undisturbed / "cells").iterdir())
    config = json.loads((folder / "config.json").read_text())["config"]
    assert (config["dataset"], config["image_size"]) == ("folder:tiny", 32)
    assert config["training"]["augment"] == "resized-crop-flip"
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["listing_sha256"] == list_images(shared).sha256()
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["total"]) == ("finished", 18)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = bamgate(*_arguments(shared, undisturbed))
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def _wait_for_its_first_step(process: subprocess.Popen[str], out: Path) -> None:
    """The untrained network is measured right before it."""
    deadline = time.monotonic() + 60
    while not list(out.glob("cells/*/gates.csv")):
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=str)
def test_a_run_that_was_ended_with_all_its_processes_goes_on_to_the_same_bytes(
    shared: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """With two processes that decode, then with none: the undisturbed run had as many as there are cores, less one."""
    command = [sys.executable, "-m", "bamgate", *_arguments(shared, tmp_path, "--workers", "2")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    _wait_for_its_first_step(process, tmp_path)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (75 if number == signal.SIGTERM else -signal.SIGKILL), errors
    if number == signal.SIGTERM:
        assert errors.startswith("SIGTERM: stopped in epoch ")
        assert errors.count("\n") == 1
    rest = bamgate(*_arguments(shared, tmp_path, "--workers", "0"))
    assert rest.returncode == 0, rest.stderr
    assert without_times(tmp_path) == without_times(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_damaged_file_is_one_line_and_exit_code_4(root: Path, tmp_path: Path, workers: str) -> None:
    path = cut_short(root / "train" / "class-1" / "001.jpg")
    finished = bamgate(*_arguments(root, tmp_path / "out", "--workers", workers))
    assert finished.returncode == 4
    assert finished.stderr.startswith(f"bamgate: {path} cannot be decoded: image file is truncated")
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert not list(tmp_path.rglob("result.json"))
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_files(root: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "bamgate", *_arguments(root, tmp_path / "out")])
    _wait_for_its_first_step(process, tmp_path / "out")
    process.terminate()
    assert process.wait(timeout=60) == 75  # where it stands is saved
    save(root / "train" / "class-0" / "one-more.jpg", smooth(1, 20, 20))
    changed = bamgate(*_arguments(root, tmp_path / "out"))
    assert changed.returncode == 2
    cell = next((tmp_path / "out" / "cells").iterdir())
    assert changed.stderr == (
        f"bamgate: {cell} was begun with other image files: since then some were added, removed, renamed or changed "
        "in size; put them back as they were or choose another --out\n"
    )


@pytest.mark.slow
def test_a_run_that_has_saved_nothing_begins_anew_without_the_file_that_ended_it(root: Path, tmp_path: Path) -> None:
    damaged = cut_short(root / "val" / "class-2" / "005.jpg")
    first = bamgate(*_arguments(root, tmp_path / "out", "--workers", "0"))
    assert first.returncode == 4, first.stderr
    damaged.unlink()
    second = bamgate(*_arguments(root, tmp_path / "out", "--workers", "0"))
    assert second.returncode == 0, second.stderr
    cell = next((tmp_path / "out" / "cells").iterdir())
    assert json.loads((cell / "result.json").read_text())["total"] == 17


@pytest.mark.slow
def test_data_verify_says_what_is_damaged(root: Path) -> None:
    place = ["--data-dir", str(root.parent)]
    whole = bamgate("data", "verify", "folder:tiny", *place)
    assert (whole.returncode, whole.stdout.splitlines()) == (
        0,
        ["train: 120 images in 3 classes", "val: 18 images in 3 classes"],
    )
    assert whole.stderr == f"Next: bamgate run --dataset folder:tiny --data-dir {root.parent} --dry-run\n"
    path = cut_short(root / "val" / "class-1" / "001.jpg")
    damaged = bamgate("data", "verify", "folder:tiny", *place)
    assert damaged.returncode == 4
    assert damaged.stdout.splitlines()[2].startswith(f"{path} cannot be decoded: image file is truncated")
    assert damaged.stderr == f"bamgate: 1 of 138 files of {root} cannot be used\n"
    missing = bamgate("data", "get", "imagenet", *place)
    assert missing.returncode == 4
    assert "ImageNet-1K needs an account at https://image-net.org" in missing.stderr


@pytest.mark.slow
def test_a_dry_run_counts_the_decoding(shared: Path, tmp_path: Path) -> None:
    finished = bamgate(*_arguments(shared, tmp_path, "--dry-run", "--json"))
    assert finished.returncode == 0, finished.stderr
    facts = json.loads(finished.stdout)
    assert facts["decoding_ms_an_image"] > 0
    assert facts["steps_a_cell"] == 45
    place = ["--data-dir", str(tmp_path), "--image-size", "32", "--batch-size", "8"]
    absent = bamgate("run", "--dataset", "imagenet", "--model", "resnet8", *place, "--dry-run")
    assert absent.returncode == 0, absent.stderr
    assert "# decoding ms an image not measured, the files are not here" in absent.stdout
