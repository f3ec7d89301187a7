"""Data sets: what they hold, that they are the same everywhere, and that damage is found."""

import functools
import hashlib
import http.server
import pickle
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import datasets, transforms

from bamgate.data import DATASETS, ImageLoader, Normalisation, Split, augmented, default_root
from bamgate.data.memory.cluttered import CANVAS, INK
from bamgate.data.memory.digits import _shipped
from bamgate.errors import DataError, UsageError


@pytest.fixture(scope="module")
def cluttered() -> tuple[Split, Split]:
    return DATASETS.get("cluttered-digits").load(Path())


def test_the_made_sets_have_their_known_checksums() -> None:
    for name in ("digits", "cluttered-digits"):
        lines = DATASETS.get(name).verify(Path())
        assert len(lines) == 2
        assert all(line.endswith("ok") for line in lines)


def test_another_generator_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bamgate.data.memory.cluttered.TEXTURE", 31)
    with pytest.raises(DataError, match=r"^train split: sha256 [0-9a-f]{16}\.\.\. instead of 859726328b274e0b"):
        DATASETS.get("cluttered-digits").verify(Path())


@pytest.mark.parametrize("name", ["digits", "cluttered-digits"])
def test_a_data_set_is_what_its_facts_say(name: str) -> None:
    data = DATASETS.get(name)
    for split, count in zip(data.load(Path()), (data.train, data.test), strict=True):
        assert split.images.shape == (count, *data.size, data.channels)
        assert split.images.dtype == torch.uint8
        assert set(split.labels.tolist()) == set(range(data.classes))


def test_digits_are_split_by_image() -> None:
    train, test = DATASETS.get("digits").load(Path())
    seen = {image.numpy().tobytes() for image in train.images}
    assert len(train) + len(test) == 1797
    assert not any(image.numpy().tobytes() in seen for image in test.images)


def test_each_mask_covers_the_ink_of_its_own_digit(cluttered: tuple[Split, Split]) -> None:
    """By another road: the masked 8 x 8 window, taken back out of the picture, is a digit of its split and class."""
    _, test = cluttered
    ink = DATASETS.get("digits").load(Path())[1]
    inked = ink.images[..., 0] >= INK * 16
    shapes = {(inked[i].numpy().tobytes(), int(ink.labels[i])) for i in range(len(ink))}
    assert test.masks is not None
    for i in range(0, len(test), 37):
        rows, columns = test.masks[i].nonzero(as_tuple=True)
        windows = (
            test.masks[i, top : top + 8, left : left + 8]
            for top in range(max(0, int(rows.max()) - 7), min(int(rows.min()), CANVAS - 8) + 1)
            for left in range(max(0, int(columns.max()) - 7), min(int(columns.min()), CANVAS - 8) + 1)
        )
        assert any((window.contiguous().numpy().tobytes(), int(test.labels[i])) in shapes for window in windows)
        assert test.images[i, ..., 0][test.masks[i]].min() >= INK * 14


def test_digits_stand_everywhere_and_clutter_stands_beside_them(cluttered: tuple[Split, Split]) -> None:
    train, _ = cluttered
    assert train.masks is not None
    covered = train.masks.float().mean(dim=0)
    assert covered[3:-3, 3:-3].min() > 0.01
    bright_off_digit = (train.images[..., 0] > 100) & ~train.masks
    assert bright_off_digit.flatten(1).any(dim=1).float().mean() > 0.99


def test_normalisation_is_the_mean_and_sd_of_the_bytes(cluttered: tuple[Split, Split]) -> None:
    train, _ = cluttered
    pixels = train.images.numpy().astype(np.float64)
    found = Normalisation.of(train)
    assert found.mean.item() == pytest.approx(pixels.mean(), rel=1e-12)
    assert found.std.item() == pytest.approx(pixels.std(), rel=1e-9)
    x = found(train.images, channels_last=True)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert found(train.images[:4], channels_last=False).is_contiguous()
    assert abs(float(x.mean())) < 1e-4


def test_a_crop_is_torchvisions_crop() -> None:
    """The gather against PIL-style pad, crop and flip with the parameters that the picture itself reveals."""
    size, padding, count = (6, 9), 2, 64
    images = torch.arange(1, count * 54 + 1).reshape(count, 6, 9, 1).remainder(251).to(torch.uint8) + 1
    padded = torch.nn.functional.pad(images, (0, 0, *(padding,) * 4))
    cut = augmented(padded, key=5, index_B=torch.arange(count), padding=padding, size=size, flip=True)
    seen = set()
    for i in range(count):
        plane = transforms.functional.pad(images[i].permute(2, 0, 1), [padding])
        options = {
            (top, left, flip): (
                plane[:, top : top + 6, left : left + 9].flip(2) if flip else plane[:, top : top + 6, left : left + 9]
            )
            for top in range(5)
            for left in range(5)
            for flip in (False, True)
        }
        matches = [name for name, option in options.items() if torch.equal(option, cut[i].permute(2, 0, 1))]
        assert matches
        seen.add(matches[0])
    assert len(seen) > 25
    assert {flip for _, _, flip in seen} == {False, True}


def _loader(split: Split, seed: int = 0, batch_size: int = 16, augment: str = "crop-flip") -> ImageLoader:
    return ImageLoader(split, split, batch_size=batch_size, augment=augment, padding=2, channels_last=True, seed=seed)


def _all(batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    x, labels = zip(*batches, strict=True)
    return torch.cat(x), torch.cat(labels)


def test_batches_depend_on_seed_and_epoch_and_not_on_where_a_run_was_cut(cluttered: tuple[Split, Split]) -> None:
    part = cluttered[0].first(100)
    whole, labels = _all(_loader(part).training_batches(3))
    rest, rest_labels = _all(_loader(part).training_batches(3, first=2))
    assert torch.equal(whole[32:], rest)
    assert torch.equal(labels[32:], rest_labels)
    assert not torch.equal(whole, _all(_loader(part).training_batches(4))[0])
    assert not torch.equal(whole, _all(_loader(part, seed=1).training_batches(3))[0])


def test_a_samples_crop_does_not_depend_on_the_batch_size(cluttered: tuple[Split, Split]) -> None:
    part = cluttered[0].first(96)
    small, _ = _all(_loader(part, batch_size=8).training_batches(1))
    large, _ = _all(_loader(part, batch_size=48).training_batches(1))
    assert torch.equal(small, large)


def test_an_epoch_shows_each_image_once_and_leaves_out_the_incomplete_batch(cluttered: tuple[Split, Split]) -> None:
    part = cluttered[0].first(100)
    loader = _loader(part, augment="none")
    x, _ = _all(loader.training_batches(0))
    everything = loader.normalise(part.images, channels_last=True)
    shown = {image.numpy().tobytes() for image in x}
    assert loader.steps == 6
    assert len(x) == 96
    assert shown <= {image.numpy().tobytes() for image in everything}
    assert len(shown) == 96


def test_more_images_a_batch_than_there_are(cluttered: tuple[Split, Split]) -> None:
    with pytest.raises(UsageError) as caught:
        _loader(cluttered[0].first(10), batch_size=11)
    assert str(caught.value) == "batch_size 11 is more than the 10 training images; choose a smaller one"


# CIFAR, on files of the official layout with few images in them. The md5 table is changed to fit, nothing else.


def _pickled(count: int, classes: int, seed: int) -> bytes:
    numbers = np.random.default_rng(seed)
    key = "fine_labels" if classes == 100 else "labels"
    content = {"data": numbers.integers(0, 256, (count, 3072), dtype=np.uint8), key: list(range(count))}
    return pickle.dumps(content)


@pytest.fixture
def cifar_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    files = {
        "train": _pickled(20, 100, 1),
        "test": _pickled(10, 100, 2),
        "meta": pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}),
    }
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(datasets.CIFAR100, "meta", {**datasets.CIFAR100.meta, "md5": md5["meta"]})
    return files


@pytest.fixture
def cifar_root(tmp_path: Path, cifar_files: dict[str, bytes]) -> Path:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, data in cifar_files.items():
        (folder / name).write_bytes(data)
    return tmp_path


def test_cifar_files_are_read_as_they_were_written(cifar_root: Path, cifar_files: dict[str, bytes]) -> None:
    train, test = DATASETS.get("cifar100").load(cifar_root)
    rows = pickle.loads(cifar_files["train"])["data"]
    assert (len(train), len(test)) == (20, 10)
    assert train.labels.tolist() == list(range(20))
    # The official row: 1024 red, 1024 green, 1024 blue bytes, each row by row.
    assert train.images[3, 5, 7].tolist() == [rows[3, c * 1024 + 5 * 32 + 7] for c in range(3)]


def test_a_missing_file_says_which_folder_and_which_command(cifar_root: Path) -> None:
    path = cifar_root / "cifar-100-python" / "test"
    path.unlink()
    with pytest.raises(DataError) as caught:
        DATASETS.get("cifar100").load(cifar_root)
    assert str(caught.value) == (
        f"{path} is missing; `bamgate data get cifar100` downloads it, or put the official files into {path.parent} "
        f"(--data-dir or BAMGATE_DATA sets another folder than {cifar_root})"
    )


def test_one_changed_byte_is_found(cifar_root: Path, cifar_files: dict[str, bytes]) -> None:
    path = cifar_root / "cifar-100-python" / "train"
    damaged = bytearray(cifar_files["train"])
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError) as caught:
        DATASETS.get("cifar100").load(cifar_root)
    found, known = (hashlib.md5(data).hexdigest() for data in (damaged, cifar_files["train"]))
    assert str(caught.value) == (
        f"{path} is damaged: md5 {found} instead of {known}; delete it and run `bamgate data get cifar100`"
    )


@pytest.fixture
def archive_server(tmp_path: Path, cifar_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real server on this machine with the archive that torchvision downloads."""
    served = tmp_path / "served"
    served.mkdir()
    archive = served / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar_root / "cifar-100-python", "cifar-100-python")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(datasets.CIFAR100, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    monkeypatch.setattr(datasets.CIFAR100, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    yield datasets.CIFAR100.url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_fetched_unpacked_and_checked(tmp_path: Path, archive_server: str) -> None:
    data, root = DATASETS.get("cifar100"), tmp_path / "fresh"
    assert data.fetch is not None
    data.fetch(root)
    assert [line.split(":")[0] for line in data.verify(root)] == ["train", "test", "meta"]


def test_a_download_that_fails_says_where_to_put_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR100, "url", "http://127.0.0.1:9/nothing-listens-here.tar.gz")
    data = DATASETS.get("cifar100")
    assert data.fetch is not None
    with pytest.raises(DataError) as caught:
        data.fetch(tmp_path)
    assert str(caught.value).startswith("cifar100 cannot be downloaded (")
    assert str(caught.value).endswith(f"put the official files train, test, meta into {tmp_path / 'cifar-100-python'}")


def test_the_official_cifar100_where_it_is() -> None:
    if not (default_root() / "cifar-100-python").is_dir():
        pytest.skip("the official CIFAR-100 files are not on this machine")
    train, test = DATASETS.get("cifar100").load(default_root())
    assert (train.images.shape, test.images.shape) == ((50_000, 32, 32, 3), (10_000, 32, 32, 3))
    assert torch.bincount(train.labels).tolist() == [500] * 100
    # The widely used constants of the set.
    assert (Normalisation.of(train).mean / 255).tolist() == pytest.approx([0.5071, 0.4865, 0.4409], abs=5e-5)
    assert (Normalisation.of(train).std / 255).tolist() == pytest.approx([0.2673, 0.2564, 0.2762], abs=5e-5)


def test_the_digits_are_those_that_scikit_learn_loads() -> None:
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    rows = _shipped()
    assert np.array_equal(rows[:, :-1], data)
    assert np.array_equal(rows[:, -1], target)
