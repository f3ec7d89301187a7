"""What a file is that cannot be read as weights, told by its bytes, and what to do about it."""

import io
import zipfile
from collections.abc import Callable

_AGAIN = "fetch it again"
_PICKLES = (b"(", b"\x80")  # what a pickle begins with, of the oldest protocol and of the others


def kind_of(data: bytes) -> str | None:
    """The end of a line that begins with "it is"; None where the bytes tell nothing."""
    if data.startswith(b"PK\x03\x04"):
        return _zip(data)
    return next((said for holds, said in _KINDS if holds(data)), None)


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data[:512].lstrip().lower().startswith(starts)


def is_safetensors(data: bytes) -> bool:
    """Whether it begins as one does: the length of a header, then the header, which is JSON."""
    return data[8:10] in (b'{"', b"{}") and int.from_bytes(data[:8], "little") <= len(data) - 8


_KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda data: not data, f"empty; {_AGAIN}"),
    (lambda data: not any(data[:4096]) and not any(data), f"nothing but zero bytes, as of a broken copy; {_AGAIN}"),
    (
        _begins(b"<!doctype", b"<html", b"<head", b"<?xml"),
        "a web page: the server sent a message in place of the file; open it in a browser to read why",
    ),
    (_begins(b"version https://git-lfs"), "a Git LFS pointer, which only stands for the file; git lfs pull fetches it"),
    (lambda data: data[:2] == b"\x1f\x8b", "packed with gzip; unpack it (tar -xzf, or gunzip) and name what it held"),
    (lambda data: data[257:262] == b"ustar", "a tar archive; unpack it (tar -xf) and name the file that it held"),
    (is_safetensors, "a safetensors file; give it a name that ends in .safetensors"),
    (lambda data: data.startswith(b"\x89HDF"), "an HDF5 file, as Keras writes it; there is no reader for it here"),
    (lambda data: data.startswith(b"\x93NUMPY"), "a NumPy array; there is no reader for it here"),
    (_begins(b"{", b"["), f"JSON text, perhaps a server's message in place of the file; {_AGAIN}"),
    (lambda data: data[:4096].isascii() and data[:1] not in _PICKLES, "text, not weights"),
)


def _zip(data: bytes) -> str | None:
    """torch writes zip archives too; None for a whole one of its own."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return f"cut short or damaged: the end of the archive is missing; {_AGAIN}"
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            "a TorchScript program, which holds code; save its weights alone: "
            "torch.save(torch.jit.load(PATH).state_dict(), NEW)"
        )
    if any(name.endswith("/data.pkl") for name in names):
        return None
    return f"a zip archive of other files ({', '.join(names[:3])}); unpack it and name the weights"
