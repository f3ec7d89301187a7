"""Where data sets lie: a user without a home is asked for a folder only if one is needed. And disks that fail."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bamgate.data import default_root, find_dataset
from bamgate.data.memory import cifar, digits, fashion
from bamgate.errors import DataError, UsageError

NEEDED = "there is no home folder for data sets (HOME is not set); pass --data-dir or set BAMGATE_DATA"
# A container's user: no HOME, and an id that no file knows.
NOBODY = "import os; os.getuid = lambda: 54321; from bamgate.cli.app import main; main()"


def _as_nobody(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", NOBODY, *arguments]
    given = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
def test_a_generated_data_set_needs_no_folder(tmp_path: Path) -> None:
    run = ["run", "--dataset", "digits", "--epochs", "1", "--train-limit", "64", "--batch-size", "32", "--out", "out"]
    ended = _as_nobody(tmp_path, *run, "--quiet")
    assert ended.returncode == 0, ended.stderr
    (cell,) = (tmp_path / "out" / "cells").iterdir()
    ended = _as_nobody(tmp_path, "evaluate", str(cell))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_any_other_names_the_options(tmp_path: Path) -> None:
    for command in (["run", "--dataset", "cifar10"], ["data", "verify", "folder:mine"]):
        ended = _as_nobody(tmp_path, *command)
        assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"bamgate: {NEEDED}\n")
    ended = _as_nobody(tmp_path, "data", "verify", "folder:mine", BAMGATE_DATA=str(tmp_path))
    assert (ended.returncode, ended.stderr.split(";")[0]) == (4, f"bamgate: there is no folder {tmp_path / 'mine'}")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("BAMGATE_DATA", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    return


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion-mnist", "imagenet", "folder:mine"])
def test_every_data_set_of_files_asks_for_a_folder(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_dataset(name, default_root()).load(default_root())
    assert str(caught.value) == NEEDED


@pytest.mark.usefixtures("homeless")
def test_a_data_folder_in_a_home_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAMGATE_DATA", "~/sets")
    with pytest.raises(UsageError) as caught:
        default_root()
    assert str(caught.value) == "BAMGATE_DATA is '~/sets', but there is no such home; give the full path"


FAILS = Path("/proc/self/mem")  # reading it from its beginning is an input/output error, as of a failing disk


@pytest.mark.skipif(not FAILS.exists(), reason="needs /proc")
def test_a_disk_that_fails_is_named(tmp_path: Path) -> None:
    first = cifar._known_files(cifar._torchvision_class(10))[0][0]
    for path, verify in (
        (tmp_path / "cifar-10-batches-py" / first, lambda: cifar.verify(10, tmp_path)),
        (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz", lambda: fashion.verify(tmp_path)),
    ):
        path.parent.mkdir(parents=True)
        path.symlink_to(FAILS)
        with pytest.raises(DataError) as caught:
            verify()
        assert str(caught.value) == f"{path} cannot be read: Input/output error"


def test_digits_that_are_damaged_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "datasets" / "data" / "digits.csv.gz"
    path.parent.mkdir(parents=True)

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: Spec)
    contents = [gzip.compress(b"1,2,3\n" * 1000)[:40], b"no gzip", gzip.compress(b"1,x\n")]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            digits.load(tmp_path)
        assert str(caught.value).startswith(f"{path} cannot be read (")
        assert str(caught.value).endswith("); install scikit-learn again")
