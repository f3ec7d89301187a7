"""Batches from files: the right part of the right picture, whoever decodes it and wherever a run was cut."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folder_samples import cut_short, make_folder, smooth
from scipy import stats
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import functional as F

from bamgate.data import FileLoader, FileSplit, find_dataset
from bamgate.data.files.crops import CHANCES, Box, chances, evaluation_crop, middle_box, random_box, training_crop
from bamgate.data.files.decode import read_image
from bamgate.data.files.loader import MEAN, STD
from bamgate.errors import DataError, UsageError
from bamgate.seeding import stream_key

Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data") / "tiny")


def _splits(folder: Path) -> tuple[FileSplit, FileSplit]:
    train, test = find_dataset(f"folder:{folder.name}", folder.parent).load(folder.parent)
    assert isinstance(train, FileSplit)
    assert isinstance(test, FileSplit)
    return train, test


def _loader(folder: Path, **changes: Any) -> FileLoader:
    train, test = _splits(folder)
    settings = {"size": 16, "batch_size": 5, "augment": "resized-crop-flip", "channels_last": True, "seed": 3}
    return FileLoader(train, test, **{**settings, "workers": 0, **changes})


def _same(one: Batches, other: Batches) -> bool:
    assert len(one) == len(other)
    return all(torch.equal(x, y) and torch.equal(a, b) for (x, a), (y, b) in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_batches_do_not_depend_on_workers_or_on_where_a_run_was_cut(folder: Path, workers: int) -> None:
    """24 training images make four batches of five; 12 test images two of five and one of two."""
    here, there = _loader(folder), _loader(folder, workers=workers)
    whole = list(here.training_batches(2))
    assert [len(labels) for _, labels in whole] == [5] * 4
    assert _same(whole, list(there.training_batches(2)))
    cut = there.training_batches(2)
    next(cut)
    assert _same(whole[2:], list(there.training_batches(2, first=2)))  # the pass before it is given up
    tests = list(here.evaluation_batches())
    assert [len(labels) for _, labels in tests] == [5, 5, 2]
    assert _same(tests, list(there.evaluation_batches()))
    assert torch.equal(here.probe_batch(3)[0], there.probe_batch(3)[0])
    there.close()
    assert _same(whole, list(there.training_batches(2)))
    there.close()


def test_a_crop_does_not_depend_on_the_batch_size_but_on_seed_and_epoch(folder: Path) -> None:
    def images(epoch: int = 0, **changes: Any) -> Tensor:
        return torch.cat([x for x, _ in _loader(folder, **changes).training_batches(epoch)])

    assert torch.equal(images(batch_size=4), images(batch_size=8))
    assert not torch.equal(images(), images(1))
    assert not torch.equal(images(), images(seed=4))


def test_an_epoch_shows_each_image_once_in_a_shuffled_order(folder: Path) -> None:
    loader = _loader(folder, batch_size=6, augment="none")
    shown = {
        x.numpy().tobytes(): int(label) for batch in loader.training_batches(0) for x, label in zip(*batch, strict=True)
    }
    middles = {}
    for path, label in zip(loader.train.paths, loader.train.labels.tolist(), strict=True):
        middle = evaluation_crop(read_image(loader.train.root / path), 16)[None].permute(0, 2, 3, 1)
        middles[loader.normalise(middle, channels_last=True)[0].numpy().tobytes()] = label
    assert shown == middles
    assert loader.order(0).tolist() != list(range(24))


def test_batches_are_normalised_as_everybody_normalises_photographs(folder: Path) -> None:
    for channels_last in (True, False):
        loader = _loader(folder, augment="none", channels_last=channels_last)
        x, labels = next(loader.evaluation_batches())
        bytes_ = evaluation_crop(read_image(loader.test.root / loader.test.paths[4]), 16)
        expected = F.normalize(bytes_.float() / 255, MEAN, STD)
        assert x[4].numpy() == pytest.approx(expected.numpy(), abs=1e-5)
        assert labels.tolist() == [0, 0, 0, 0, 1]
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert x.is_contiguous(memory_format=layout)


def test_the_probe_has_all_classes_and_no_more_images_than_a_step(folder: Path) -> None:
    x, labels, masks = _loader(folder, batch_size=6).probe_batch(128)
    assert (x.shape, labels.tolist(), masks) == ((6, 3, 16, 16), [0, 0, 1, 1, 2, 2], None)


def test_what_fits_no_folder_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _loader(folder, augment="crop")
    assert str(caught.value) == (
        "augment 'crop' is for images of one size (allowed for image folders: none, resized-crop-flip)"
    )
    with pytest.raises(UsageError) as caught:
        _loader(folder, batch_size=25)
    assert str(caught.value) == "batch_size 25 is more than the 24 training images; choose a smaller one"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_damaged_file_ends_the_pass_and_is_named(tmp_path: Path, workers: int) -> None:
    folder = make_folder(tmp_path / "broken", train=3, test=2)
    loader = _loader(folder, workers=workers, batch_size=3)
    path = cut_short(folder / "train" / "class-1" / "001.jpg")
    with pytest.raises(DataError) as caught:
        list(loader.training_batches(0))
    assert str(caught.value).startswith(f"{path} cannot be decoded: image file is truncated")
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError) as caught:
        list(loader.training_batches(0))
    assert str(caught.value) == f"{path} cannot be read: No such file or directory"
    loader.close()


def test_the_global_randomness_is_left_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    list(_loader(folder).training_batches(0))
    assert torch.equal(torch.get_rng_state(), before)


# What is cut out of a picture.


@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (224, 224), (100, 900), (900, 100), (40, 50)])
@pytest.mark.parametrize("size", [224, 64, 33])
def test_the_middle_is_torchvisions(shape: tuple[int, int], size: int) -> None:
    picture = smooth(5, *shape)
    theirs = transforms.Compose(
        [transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size), transforms.PILToTensor()]
    )(picture)
    ours = evaluation_crop(picture, size)
    assert (ours.dtype, ours.shape) == (torch.uint8, (3, size, size))
    assert (ours.int() - theirs.int()).abs().max() <= 2


@pytest.mark.parametrize("number", range(12))
def test_a_training_crop_is_torchvisions_of_the_same_box(number: int) -> None:
    picture, chance = smooth(number, 375, 500), chances(99, [number])[0]
    box = random_box(375, 500, chance)
    theirs = F.resized_crop(picture, *box, [64, 64])
    theirs = F.pil_to_tensor(F.hflip(theirs) if chance[-1] < 0.5 else theirs)
    assert (training_crop(picture, 64, chance).int() - theirs.int()).abs().max() <= 2


def _boxes(height: int, width: int, count: int) -> list[Box]:
    return [random_box(height, width, chance) for chance in chances(stream_key(0, "test"), list(range(count)))]


def test_random_boxes_are_distributed_as_torchvisions() -> None:
    """Area, shape and place of 3,000 boxes beside as many of torchvision's: by Kolmogorov and Smirnov no difference."""
    height, width, count = 300, 400, 3000
    image = torch.zeros(3, height, width)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        get = transforms.RandomResizedCrop.get_params
        theirs = [Box(*get(image, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3))) for _ in range(count)]
    ours = _boxes(height, width, count)
    for measure in (
        lambda box: box.height * box.width,
        lambda box: box.width / box.height,
        lambda box: box.top / max(1, height - box.height),
        lambda box: box.left / max(1, width - box.width),
    ):
        assert stats.ks_2samp([measure(box) for box in ours], [measure(box) for box in theirs]).pvalue > 0.01


def test_boxes_lie_inside_have_their_shape_and_differ() -> None:
    boxes = _boxes(60, 400, 500)
    for top, left, height, width in boxes:
        assert 0 <= top <= 60 - height
        assert 0 <= left <= 400 - width
        assert 3 / 4 - 0.05 < width / height < 4 / 3 + 0.05
    assert len(set(boxes)) > 250  # many find no box and take the middle


@pytest.mark.parametrize(("height", "width"), [(8, 900), (900, 8), (9, 1000)])
def test_where_no_try_fits_the_middle_is_torchvisions(height: int, width: int) -> None:
    theirs = transforms.RandomResizedCrop.get_params(
        torch.zeros(3, height, width), scale=(0.9, 1.0), ratio=(3 / 4, 4 / 3)
    )
    assert middle_box(height, width) == tuple(theirs)
    assert random_box(height, width, [0.999999] * CHANCES) == tuple(theirs)


def test_chances_are_uniform_and_belong_to_the_image() -> None:
    both = chances(7, [11, 4])
    assert both == [*chances(7, [11]), *chances(7, [4])]
    assert chances(8, [11]) != chances(7, [11])
    numbers = np.array(chances(7, list(range(2000))))
    assert numbers.shape == (2000, CHANCES)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.abs(numbers.mean(axis=0) - 0.5).max() < 5 / math.sqrt(12 * 2000)
