"""Fashion-MNIST, on files of the official layout with few images in them; the md5 table is changed to fit."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from bamgate.data import DATASETS, Split, default_root
from bamgate.errors import DataError

COUNTS = {"train": 12, "t10k": 5}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Name -> content: headers and bytes as the IDX format has them."""
    made: dict[str, bytes] = {}
    for part, count in COUNTS.items():
        numbers = np.random.default_rng(count)
        pixels = numbers.integers(0, 256, count * 784, dtype=np.uint8).tobytes()
        images = struct.pack(">4i", 2051, count, 28, 28) + pixels
        labels = struct.pack(">2i", 2049, count) + bytes(i % 10 for i in range(count))
        made[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(images)
        made[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(labels)
    table = [(name, hashlib.md5(data).hexdigest()) for name, data in made.items()]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", table)
    return made


@pytest.fixture
def root(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return tmp_path


def test_files_are_read_as_torchvision_reads_them(root: Path) -> None:
    ours = DATASETS.get("fashion-mnist").load(root)
    # torchvision wants unpacked files beside the official ones.
    for path in (root / "FashionMNIST" / "raw").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    for split, train in zip(ours, (True, False), strict=True):
        theirs = datasets.FashionMNIST(root, train=train)
        assert isinstance(split, Split)
        assert torch.equal(split.images[..., 0], theirs.data)
        assert torch.equal(split.labels, theirs.targets)
        assert split.images.shape[1:] == (28, 28, 1)


def test_a_missing_and_a_damaged_file_are_named(root: Path) -> None:
    data, path = DATASETS.get("fashion-mnist"), root / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    assert [line.split(":")[0] for line in data.verify(root)] == [name for name, _ in datasets.FashionMNIST.resources]
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(DataError, match=rf"^{path} is damaged: md5 .*; delete it and run `bamgate data get fashion-mn"):
        data.load(root)
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path} is missing; `bamgate data get fashion-mnist` downloads it"):
        data.load(root)


@pytest.fixture
def mirror(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real server on this machine with the files."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root / "FashionMNIST" / "raw"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_brings_what_is_missing(tmp_path: Path, mirror: None) -> None:
    data, fresh = DATASETS.get("fashion-mnist"), tmp_path / "fresh"
    assert data.fetch is not None
    data.fetch(fresh)
    assert len(data.verify(fresh)) == 4
    path = fresh / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(b"damaged")
    path.with_suffix("").write_bytes(b"unpacked by torchvision")
    data.fetch(fresh)
    assert len(data.verify(fresh)) == 4


def test_a_download_that_fails_says_where_to_put_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    data = DATASETS.get("fashion-mnist")
    assert data.fetch is not None
    with pytest.raises(DataError) as caught:
        data.fetch(tmp_path)
    assert str(caught.value).startswith("fashion-mnist cannot be downloaded (")
    assert str(caught.value).endswith(f"into {tmp_path / 'FashionMNIST' / 'raw'}")


def test_the_official_files_where_they_are() -> None:
    if not (default_root() / "FashionMNIST" / "raw").is_dir():
        pytest.skip("the official Fashion-MNIST files are not on this machine")
    for split, count in zip(DATASETS.get("fashion-mnist").load(default_root()), (60_000, 10_000), strict=True):
        assert isinstance(split, Split)
        assert split.images.shape == (count, 28, 28, 1)
        assert torch.bincount(split.labels).tolist() == [count // 10] * 10
