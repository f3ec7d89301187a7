"""The files of an image folder, ROOT/{train,val}/CLASS/*.jpg: listed, checked and hashed."""

import functools
import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from bamgate.errors import DataError, printable

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SHOWN = 5  # names in a message; the others are counted only


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What an image folder holds.

    Args:
        root: the folder.
        classes: names, sorted; the label of a class is its index here.
        train, test: the sorted files of each class, as paths relative to `root`.
    """

    root: Path
    classes: list[str]
    train: list[list[str]]
    test: list[list[str]]

    def sha256(self) -> str:
        """Hash of names and sizes in bytes, in the order of the lists. Contents are not read: ImageNet has 150 GB."""
        digest = hashlib.sha256()
        for path in (path for split in (self.train, self.test) for files in split for path in files):
            # A zero byte ends the name: no file name has one, so no two listings give the same bytes.
            digest.update(os.fsencode(path) + b"\0%d\n" % _size(os.path.join(self.root, path)))
        return digest.hexdigest()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


@functools.lru_cache(maxsize=8)
def list_images(root: Path) -> Listing:
    """The files of `root`. Results are cached, so that a command reads the folder once.

    Raises:
        DataError: a part of the layout is missing, or there is something that would be ignored.
    """
    if not root.is_dir():
        raise DataError(
            f"there is no folder {root}; put images into {root}/train/CLASS/ and {root}/val/CLASS/ "
            f"(--data-dir or BAMGATE_DATA sets another folder than {root.parent})"
        )
    evaluation = "val" if (root / "val").is_dir() else "test"
    if not (root / "train").is_dir() or not (root / evaluation).is_dir():
        missing = "train/" if not (root / "train").is_dir() else "val/ (nor test/)"
        raise DataError(f"{root} has no {missing}; put images into {root}/train/CLASS/ and {root}/val/CLASS/")
    train, test = (_split(root, name) for name in ("train", evaluation))
    _same_classes(root, evaluation, set(train), set(test))
    classes = sorted(train)
    if len(classes) < 2:
        raise DataError(f"{root} has only one class, {classes[0]!r}; classification needs at least two")
    return Listing(
        root=root, classes=classes, train=[train[name] for name in classes], test=[test[name] for name in classes]
    )


def _split(root: Path, name: str) -> dict[str, list[str]]:
    """Class -> its sorted files, as paths relative to `root`."""
    folders: list[str] = []
    files: list[str] = []
    for entry in _entries(root / name):
        (folders if _is_folder(entry) else files).append(entry.name)
    if not folders:
        held = f"{len(files)} files but no class folders" if files else "no class folders"
        raise DataError(f"{root / name} holds {held}; put each image into {root / name}/CLASS/")
    if files:
        raise DataError(f"{root / name / min(files)} is beside the class folders; move it into one of them or away")
    for folder in folders:
        if printable(folder) != folder:
            raise DataError(f"{root / name} has a class folder {folder!r} with control characters; rename it")
    return {folder: _class_files(root, f"{name}/{folder}") for folder in folders}


def _class_files(root: Path, folder: str) -> list[str]:
    names = []
    for entry in _entries(root / folder):
        path = root / folder / entry.name
        if _is_folder(entry):
            raise DataError(f"{path} is a folder; put the images of a class directly into {path.parent}")
        if not entry.name.lower().endswith(SUFFIXES):
            raise DataError(f"{path} does not have the name of an image (allowed: {', '.join(SUFFIXES)}); move it away")
        names.append(f"{folder}/{entry.name}")
    if not names:
        raise DataError(f"the class folder {root / folder} is empty; put images into it, or remove it from both splits")
    return sorted(names)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder. DataError if it is neither a folder nor a file: reading a pipe would never end."""
    try:
        kind = entry.stat().st_mode
    except FileNotFoundError:
        return False  # a broken link: decoding it reports the error
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error.strerror}") from None
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        raise DataError(f"{entry.path} is neither a file nor a folder; move it away")
    return stat.S_ISDIR(kind)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """What is in a folder, except hidden files such as .DS_Store."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None


def _refuse_lookalikes(root: Path, classes: set[str]) -> None:
    """DataError for two names that look the same: one class, whose accents two file systems encoded differently."""
    # NFC composes a letter and its accent into one character. macOS used to store names decomposed.
    seen: dict[str, str] = {}
    for name in sorted(classes):
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise DataError(
                f"{root} has a class {name!r} whose name is encoded in two ways, {other!a} and {name!a}; "
                "rename the folders of one"
            )


def _same_classes(root: Path, evaluation: str, train: set[str], test: set[str]) -> None:
    _refuse_lookalikes(root, train | test)
    for here, there, only in (("train", evaluation, train - test), (evaluation, "train", test - train)):
        if only:
            shown = ", ".join(sorted(only)[:SHOWN]) + (", ..." if len(only) > SHOWN else "")
            classes = f"{len(only)} class{'es' if len(only) > 1 else ''}"
            raise DataError(f"{root} has {classes} in {here}/ but not in {there}/: {shown}; both need the same")
