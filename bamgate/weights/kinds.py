"""What kind of file it is that cannot be read as weights, judged by its bytes, and what to do about it."""

import io
import zipfile
from collections.abc import Callable

_AGAIN = "download it again"
_PICKLES = (b"(", b"\x80")  # first bytes of a pickle, in protocol 0 and in the later ones


def kind_of(data: bytes) -> str | None:
    """The end of a sentence that starts with "it is"; None if the kind is unknown."""
    if data.startswith(b"PK\x03\x04"):
        return _zip(data)
    return next((text for holds, text in _KINDS if holds(data)), None)


def _starts_with(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data[:512].lstrip().lower().startswith(starts)


def is_safetensors(data: bytes) -> bool:
    """Whether the bytes start like a safetensors file: the length of the header, then the header, which is JSON."""
    return data[8:10] in (b'{"', b"{}") and int.from_bytes(data[:8], "little") <= len(data) - 8


_KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda data: not data, f"empty; {_AGAIN}"),
    (lambda data: not any(data[:4096]) and not any(data), f"nothing but zero bytes, as after a broken copy; {_AGAIN}"),
    (
        _starts_with(b"<!doctype", b"<html", b"<head", b"<?xml"),
        "a web page: the server sent a message instead of the file; open it in a browser to read why",
    ),
    (
        _starts_with(b"version https://git-lfs"),
        "a Git LFS pointer, not the file itself; git lfs pull downloads the file",
    ),
    (
        lambda data: data[:2] == b"\x1f\x8b",
        "packed with gzip; unpack it (tar -xzf, or gunzip) and name the file inside",
    ),
    (lambda data: data[257:262] == b"ustar", "a tar archive; unpack it (tar -xf) and name the file inside"),
    (is_safetensors, "a safetensors file; give it a name that ends in .safetensors"),
    (lambda data: data.startswith(b"\x89HDF"), "an HDF5 file, as Keras writes it, which bamgate cannot read"),
    (lambda data: data.startswith(b"\x93NUMPY"), "a NumPy array, which bamgate cannot read as weights"),
    (_starts_with(b"{", b"["), f"JSON text, perhaps a server's message instead of the file; {_AGAIN}"),
    (lambda data: data[:4096].isascii() and data[:1] not in _PICKLES, "text, not weights"),
)


def _zip(data: bytes) -> str | None:
    """What kind of zip archive it is; None for an intact one of torch's, which writes zip archives too."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return f"cut short or damaged: the end of the archive is missing; {_AGAIN}"
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            "a TorchScript program, which contains code; save its weights alone: "
            "torch.save(torch.jit.load(PATH).state_dict(), NEW)"
        )
    if any(name.endswith("/data.pkl") for name in names):
        return None
    return f"a zip archive of other files ({', '.join(names[:3])}); unpack it and name the weights"
