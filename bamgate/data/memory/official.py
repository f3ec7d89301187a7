"""Official files: checked by md5 before they are read, downloaded through torchvision."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from bamgate.errors import DataError

Known = Sequence[tuple[str, str]]  # (file name, md5)


def read_bytes(path: Path) -> bytes:
    """The content of a file of a data set; DataError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def check_files(name: str, folder: Path, root: Path, known: Known) -> list[str]:
    """One line for each file of the data set `name`; DataError at the first that is missing or has another md5."""
    lines = []
    for file, md5 in known:
        path = folder / file
        if not path.is_file():
            raise DataError(
                f"{path} is missing; `bamgate data get {name}` downloads it, "
                f"or put the official files into {folder} (--data-dir or BAMGATE_DATA sets another folder than {root})"
            )
        found = hashlib.md5(read_bytes(path), usedforsecurity=False).hexdigest()
        if found != md5:
            raise DataError(
                f"{path} is damaged: md5 {found} instead of {md5}; delete it and run `bamgate data get {name}`"
            )
        lines.append(f"{path.name}: {path.stat().st_size} bytes, md5 {md5} ok")
    return lines


def download(name: str, folder: Path, known: Known, fetch: Callable[[], object]) -> None:
    """Call `fetch`; if it fails, DataError that names the folder for the files."""
    try:
        fetch()
    except Exception as error:  # urllib, tarfile and torchvision each raise errors of their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{name} cannot be downloaded ({reason}); "
            f"put the official files {', '.join(file for file, _ in known)} into {folder}"
        ) from error
