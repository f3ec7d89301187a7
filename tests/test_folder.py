"""Image folders: what is found in them, what is refused, and how every kind of file becomes RGB."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_samples import CORNERS, cornered, cut_short, make_folder, save, smooth
from PIL import Image
from torchvision import datasets

from bamgate.data import FileSplit, find_dataset
from bamgate.data.files.decode import read_image
from bamgate.data.files.listing import list_images
from bamgate.data.files.verify import DamagedError
from bamgate.errors import BamgateError, DataError, UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "tiny")


def refusal(root: Path, kind: type[BamgateError] = DataError) -> str:
    list_images.cache_clear()
    with pytest.raises(kind) as caught:
        find_dataset(f"folder:{root.name}", root.parent)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_a_data_set_as_torchvision_sees_it(root: Path) -> None:
    data = find_dataset("folder:tiny", root.parent)
    train, test = data.load(root.parent)
    assert isinstance(train, FileSplit)
    assert isinstance(test, FileSplit)
    for split, count, part in ((train, data.train, "train"), (test, data.test, "val")):
        theirs = datasets.ImageFolder(root / part)
        assert [str(root / path) for path in split.paths] == [path for path, _ in theirs.samples]
        assert split.labels.tolist() == theirs.targets
        assert len(split) == count
    assert (data.classes, data.train, data.test, data.size) == (3, 24, 12, None)
    assert (data.model, data.recipe) == ("resnet18", "imagenet")


def test_test_stands_in_for_val_and_hidden_files_are_no_part(root: Path) -> None:
    (root / "val").rename(root / "test")
    (root / "train" / ".DS_Store").write_text("")
    (root / "train" / "class-0" / ".hidden").write_text("")
    assert find_dataset("folder:tiny", root.parent).test == 12


def _remove(*parts: str) -> Any:
    return lambda root: shutil.rmtree(root.joinpath(*parts))


def _empty(root: Path) -> None:
    for path in (root / "val" / "class-1").iterdir():
        path.unlink()


def _flat(root: Path) -> None:
    shutil.rmtree(root / "val")
    for number in range(3):
        save(root / "val" / f"{number}.jpg", smooth(0, 9, 9))


def _no_classes(root: Path) -> None:
    shutil.rmtree(root / "train")
    (root / "train").mkdir()


def _write(*parts: str) -> Any:
    return lambda root: root.joinpath(*parts).write_text("x")


def _more_classes(root: Path) -> None:
    for number in range(7):
        save(root / "train" / f"more-{number}" / "a.jpg", smooth(0, 9, 9))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_remove("train"), "{root} has no train/; put images into {root}/train/CLASS/ and {root}/val/CLASS/"),
        (_remove("val"), "{root} has no val/ (nor test/); put images into {root}/train/CLASS/ and {root}/val/CLASS/"),
        (
            _empty,
            "the class folder {root}/val/class-1 is empty; put images into it, or remove it from both splits",
        ),
        (
            _remove("val", "class-2"),
            "{root} has 1 class in train/ but not in val/: class-2; both need the same",
        ),
        (_remove("train", "class-0"), "{root} has 1 class in val/ but not in train/: class-0; both need the same"),
        (
            _more_classes,
            "{root} has 7 classes in train/ but not in val/: more-0, more-1, more-2, more-3, more-4, ...; "
            "both need the same",
        ),
        (_flat, "{root}/val holds 3 files but no class folders; put each image into {root}/val/CLASS/"),
        (_no_classes, "{root}/train holds no class folders; put each image into {root}/train/CLASS/"),
        (
            _write("train", "readme.txt"),
            "{root}/train/readme.txt is beside the class folders; move it into one of them or away",
        ),
        (
            _write("train", "class-0", "notes.txt"),
            "{root}/train/class-0/notes.txt does not have the name of an image (allowed: "
            ".bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp); move it away",
        ),
        (
            lambda root: (root / "val" / "class-0" / "more").mkdir(),
            "{root}/val/class-0/more is a folder; put the images of a class directly into {root}/val/class-0",
        ),
        (
            lambda root: shutil.rmtree(root),
            "there is no folder {root}; put images into {root}/train/CLASS/ and {root}/val/CLASS/ "
            "(--data-dir or BAMGATE_DATA sets another folder than {root.parent})",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(root: Path, damage: Any, expected: str) -> None:
    damage(root)
    assert refusal(root) == expected.format(root=root)


@pytest.mark.parametrize("name", ["folder:", "folder:a/b", "folder:..", "folder:."])
def test_a_name_is_one_folder_of_the_data_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_dataset(name, tmp_path)
    assert str(caught.value) == f"dataset {name!r} must name one folder in the data folder (--data-dir), as folder:NAME"


def test_a_link_that_leads_nowhere_is_named(root: Path) -> None:
    path = root / "train" / "class-0" / "link.jpg"
    path.symlink_to(root / "nowhere.jpg")
    with pytest.raises(DataError) as caught:
        find_dataset("folder:tiny", root.parent).load(root.parent)
    assert str(caught.value) == f"{path} cannot be read: No such file or directory"


def test_the_listing_is_hashed_by_names_and_sizes(root: Path) -> None:
    lines = [
        f"{path.relative_to(root)}\0{path.stat().st_size}\n"
        for part in ("train", "val")
        for path in sorted((root / part).rglob("*.jpg"))
    ]
    found = list_images(root).sha256()
    assert found == hashlib.sha256("".join(lines).encode()).hexdigest()
    cut_short(root / "val" / "class-2" / "003.jpg")
    assert list_images(root).sha256() != found


def test_a_part_of_a_folder_has_all_classes(root: Path) -> None:
    train, _ = find_dataset("folder:tiny", root.parent).load(root.parent)
    part = train.first(6)
    assert isinstance(part, FileSplit)
    assert part.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [os.path.basename(path) for path in part.paths] == ["000.jpg", "004.jpg"] * 3
    assert len(train.first(99)) == 24


# ImageNet-1K itself, without its images.


def test_imagenet_where_it_is_not(tmp_path: Path) -> None:
    data = find_dataset("imagenet", tmp_path)
    assert (data.classes, data.train, data.test) == (1000, 1_281_167, 50_000)
    assert data.fetch is not None
    for use in (data.load, data.verify, data.fetch):
        with pytest.raises(DataError, match=r"needs an account at https://image-net\.org and cannot be downloaded"):
            use(tmp_path)


def test_imagenet_with_too_few_classes_and_with_a_flat_val(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "imagenet")
    with pytest.raises(DataError) as caught:
        find_dataset("imagenet", tmp_path).load(tmp_path)
    assert str(caught.value) == (
        f"{root} has 3 classes, ImageNet-1K has 1,000; "
        "complete it, or use it as your own data set: --dataset folder:imagenet"
    )
    save(root / "val" / "ILSVRC2012_val_00000001.JPEG", smooth(0, 9, 9))
    with pytest.raises(DataError, match=r"val holds the validation images side by side.*sort them into class folders"):
        find_dataset("imagenet", tmp_path).verify(tmp_path)


# Kinds of files.


def _pixels(path: Path) -> Any:
    """H, W, 3."""
    image = read_image(path)
    assert image.mode == "RGB"
    return np.array(image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_is_turned_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    """Stored as a camera held that way stores it; each step back is the inverse of what EXIF prescribes."""
    stored = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    picture = cornered()
    for step in stored:
        picture = picture.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"turned{suffix}", picture, exif=exif, **({"quality": 95} if suffix == ".jpg" else {}))
    pixels = _pixels(path)
    assert pixels.shape == (48, 64, 3)
    for place, expected in CORNERS.items():
        assert pixels[place].tolist() == pytest.approx(expected, abs=6)


GREY = np.arange(0, 240, 5, dtype=np.uint8).reshape(6, 8).repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize(
    ("mode", "name", "options"),
    [
        ("L", "a.jpg", {"quality": 100}),
        ("L", "a.png", {}),
        ("LA", "a.png", {}),
        ("RGBA", "a.webp", {"lossless": True}),
        ("RGBA", "a.png", {}),
        ("P", "a.png", {}),
        ("P", "a.gif", {}),
        ("RGB", "a.bmp", {}),
        ("RGB", "a.tiff", {}),
        ("CMYK", "a.tiff", {}),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, name: str, options: dict[str, Any]) -> None:
    """A grey picture is the same grey in all of them."""
    grey = Image.fromarray(GREY)
    path = save(tmp_path / name, (grey if mode == "P" else grey.convert("RGB")).convert(mode), **options)
    pixels = _pixels(path)
    assert pixels.shape == (12, 16, 3)
    assert np.abs(pixels.astype(int) - GREY[..., None]).max() <= 1


def test_cmyk_is_converted_by_the_formula(tmp_path: Path) -> None:
    """R = (1 - C)(1 - K), and so on; a JPEG of Adobe's stores the inverse of it all, which Pillow undoes."""
    ink = (50, 100, 150, 30)
    pixels = _pixels(save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), ink), quality=100))
    expected = [255 * (1 - c / 255) * (1 - ink[3] / 255) for c in ink[:3]]
    assert pixels[8, 8].tolist() == pytest.approx(expected, abs=3)


def test_transparency_is_dropped_and_16_bits_are_cut(tmp_path: Path) -> None:
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    assert _pixels(save(tmp_path / "clear.png", palette, transparency=1))[3, 3].tolist() == [200, 100, 50]
    deep = Image.fromarray(np.full((16, 16), 200 * 256 + 77, np.uint16))
    assert _pixels(save(tmp_path / "deep.png", deep))[3, 3].tolist() == [200, 200, 200]
    assert _pixels(save(tmp_path / "bits.png", Image.new("1", (16, 16), 1)))[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("both", [False, True])
def test_one_class_written_in_two_ways_is_named_so_that_it_shows(root: Path, both: bool) -> None:
    """Composed and decomposed letters, as archives from macOS have them: on the screen they look the same."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    (root / "train" / "class-0").rename(root / "train" / composed)
    (root / "val" / "class-0").rename(root / "val" / decomposed)
    if both:
        shutil.copytree(root / "train" / composed, root / "train" / decomposed)
        shutil.copytree(root / "val" / decomposed, root / "val" / composed)
    assert refusal(root) == (
        f"{root} has a class {composed!r} whose name is encoded in two ways, 'cafe\\u0301' and 'caf\\xe9'; "
        "rename the folders of one"
    )


def test_a_name_may_lie_about_the_format(tmp_path: Path) -> None:
    path = tmp_path / "png.JPEG"
    smooth(1, 20, 30).save(path, format="PNG")
    assert np.array_equal(_pixels(path), np.array(smooth(1, 20, 30)))


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        (
            "half.jpg",
            lambda path: cut_short(save(path, smooth(1, 60, 80))),
            "cannot be decoded: image file is truncated",
        ),
        ("half.png", lambda path: cut_short(save(path, smooth(1, 60, 80))), "cannot be decoded: "),
        (
            "text.jpg",
            lambda path: path.write_text("no image"),
            "cannot be decoded: it is not an image of a known format",
        ),
        (
            "empty.jpg",
            lambda path: path.write_text(""),
            "cannot be decoded: it is empty; replace the file with an intact one",
        ),
        ("head.jpg", lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"), "cannot be decoded: "),
        ("gone.jpg", lambda path: None, "cannot be read: No such file or directory"),
        (
            "dot.png",
            lambda path: save(path, Image.new("RGB", (1, 1))),
            "has 1x1 pixels; an image needs at least 8 per side",
        ),
        ("thin.png", lambda path: save(path, Image.new("RGB", (7, 90))), "has 7x90 pixels; an image needs at least 8"),
        ("float.tiff", lambda path: save(path, Image.new("F", (9, 9))), "its pixels are floating-point numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[:12] else "",
)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str, make: Any, expected: str) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


# Verification.


def test_verification_counts_the_kinds(root: Path) -> None:
    save(root / "train" / "class-0" / "grey.jpg", smooth(0, 20, 20).convert("L"))
    save(root / "train" / "class-1" / "cmyk.jpg", smooth(0, 20, 20).convert("CMYK"))
    smooth(0, 20, 20).save(root / "train" / "class-1" / "lies.jpg", format="PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(root / "val" / "class-2" / "turned.jpg", smooth(0, 20, 20), exif=exif)
    told: list[tuple[int, int]] = []
    lines = find_dataset("folder:tiny", root.parent).verify(root.parent, lambda done, total: told.append((done, total)))
    assert lines == [
        "train: 27 images in 3 classes, 1 CMYK, 1 PNG named as JPEG, 1 greyscale",
        "val: 13 images in 3 classes, 1 turned by EXIF",
    ]
    assert told[-1] == (40, 40)


def test_verification_names_all_damaged_files(root: Path) -> None:
    bad = [cut_short(root / "train" / "class-0" / "001.jpg"), root / "val" / "class-2" / "text.jpg"]
    bad[1].write_text("no image")
    with pytest.raises(DamagedError) as caught:
        find_dataset("folder:tiny", root.parent).verify(root.parent)
    assert str(caught.value) == f"2 of 37 files of {root} cannot be used"
    assert caught.value.lines[:2] == ["train: 24 images in 3 classes", "val: 13 images in 3 classes"]
    assert [line.split(" cannot ")[0] for line in caught.value.lines[2:]] == [str(path) for path in bad]
