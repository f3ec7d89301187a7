"""Checkpoints as trainers leave them, and files that are something else: read, or refused in one line of ours."""

import argparse
import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor
from torchvision import models
from weight_samples import described, filled

from bamgate.errors import DataError
from bamgate.weights import load_model, load_network, load_weights, read_safetensors, write_safetensors

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def plain() -> State:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return dict(models.resnet18(num_classes=10).state_dict())


def renamed(state: State, change: Callable[[str], str]) -> State:
    return {change(name): tensor for name, tensor in state.items()}


def counted(state: State) -> State:
    zero = torch.zeros(1, dtype=torch.float64)
    return {**state, "total_ops": zero, "total_params": zero, "layer1.0.total_ops": zero}


WRAPPED: dict[str, Callable[[State], Any]] = {
    "DataParallel": lambda s: renamed(s, lambda n: f"module.{n}"),
    "torch.compile": lambda s: renamed(s, lambda n: f"_orig_mod.{n}"),
    "compiled, then parallel": lambda s: renamed(s, lambda n: f"module._orig_mod.{n}"),
    "parallel, then compiled": lambda s: renamed(s, lambda n: f"_orig_mod.module.{n}"),
    "a part compiled": lambda s: renamed(s, lambda n: n.replace("layer1.", "layer1._orig_mod.")),
    "sharded": lambda s: renamed(s, lambda n: f"_fsdp_wrapped_module.{n}"),
    "parts sharded, parallel": lambda s: renamed(
        s, lambda n: "module." + n.replace("layer1.0.", "layer1.0._fsdp_wrapped_module.")
    ),
    "parts recomputed": lambda s: renamed(s, lambda n: n.replace(".0.", ".0._checkpoint_wrapped_module.")),
    "Lightning": lambda s: {"state_dict": renamed(s, lambda n: f"model.{n}"), "epoch": 3, "hyper_parameters": {"a": 1}},
    "Lightning, its net compiled": lambda s: {"state_dict": renamed(s, lambda n: f"net._orig_mod.{n}")},
    "Lightning, parallel within": lambda s: {"state_dict": renamed(s, lambda n: f"model.module.{n}")},
    "torchvision": lambda s: {"model": s, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3},
    "torchvision with an average": lambda s: {"model": s, "model_ema": {"n_averaged": torch.tensor(3), **_of_zeros(s)}},
    "PyTorch's tutorials": lambda s: {"model_state_dict": s, "epoch": 3},
    "timm with an average": lambda s: {"state_dict": s, "state_dict_ema": _of_zeros(s)},
    "an average alone": lambda s: {"state_dict_ema": s, "epoch": 3},
    "averaged by torch": lambda s: {"n_averaged": torch.tensor(5), **renamed(s, lambda n: f"module.{n}")},
    "measured by thop": counted,
    "measured by thop, parallel": lambda s: renamed(counted(s), lambda n: f"module.{n}"),
}


def _of_zeros(state: State) -> State:
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


@pytest.mark.parametrize("trainer", WRAPPED)
def test_what_a_trainer_puts_around_the_weights_is_taken_off(trainer: str, plain: State, tmp_path: Path) -> None:
    torch.save(WRAPPED[trainer](plain), tmp_path / "x.pth")
    network, state = load_network(tmp_path / "x.pth")
    assert network.model == "resnet18"
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[name], plain[name]) for name in plain)


UNCLEAR: dict[str, tuple[Callable[[State], Any], str]] = {
    "two tables": (
        lambda s: {"state_dict": s, "model": s},
        "has several tables of weights (state_dict, model); save one of them alone",
    ),
    "two tables of unknown names": (
        lambda s: {"student": s, "teacher": s},
        "has several tables of weights (student, teacher); save one of them alone",
    ),
    "a loss beside the network": (
        lambda s: {**renamed(s, lambda n: f"model.{n}"), "loss.weight": torch.ones(3)},
        "is not a ResNet with torchvision's names",
    ),
    "twice by one name": (
        lambda s: {**s, "_orig_mod.fc.bias": s["fc.bias"]},
        "holds fc.bias twice, once as _orig_mod.fc.bias",
    ),
    "sparse": (
        lambda s: {**s, "fc.weight": s["fc.weight"].to_sparse()},
        "does not fit the network: 1 not plain tensors with values (fc.weight: sparse_coo); nothing was loaded",
    ),
    "without values": (
        lambda s: {name: t.to("meta") for name, t in s.items()},
        "does not fit the network: 122 not plain tensors with values (conv1.weight: on device meta, which has no",
    ),
    "one number for a million millions": (
        lambda s: {**s, "fc.weight": torch.zeros(()).expand(1 << 20, 1 << 20)},
        "fc.weight is 1048576x1048576, more than the file of ",
    ),
    "no classes": (
        lambda s: {**s, "fc.weight": torch.zeros(0, 512), "fc.bias": torch.zeros(0)},
        "fc.weight is 0x512, which is not the shape of a ResNet's weight",
    ),
    "a number of NumPy's": (
        lambda s: {"state_dict": s, "best_prec1": np.float64(71.2)},
        "contains objects that would run their own code when they are read (numpy._core.multiarray.scalar); save the "
        "weights alone, with the program that wrote it: torch.save(model.state_dict(), NEW)",
    ),
    "options": (
        lambda s: {"state_dict": s, "args": argparse.Namespace(lr=0.1)},
        "own code when they are read (argparse.N",
    ),
    "a list": (lambda s: list(s.items()), "holds a list, not weights by name"),
}


@pytest.mark.filterwarnings("ignore:.*sparse:UserWarning")
@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_not_clear_is_one_line(case: str, plain: State, tmp_path: Path) -> None:
    make, message = UNCLEAR[case]
    torch.save(make(plain), tmp_path / "x.pth")
    refused(tmp_path / "x.pth", message.replace("_core", "core") if np.__version__ < "2" else message)


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError) as error:
        load_model(path)
    said = str(error.value)
    assert said.startswith(str(path))
    assert message in said
    assert "\n" not in said
    assert "weights_only" not in said


def a_tar(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def a_zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def saved() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(5000)}, buffer)
    return buffer.getvalue()


OTHER_FILES = {
    "nothing": (b"", "it is empty; download it again"),
    "zeros": (bytes(5000), "it is nothing but zero bytes"),
    "a web page": (b"\n<!DOCTYPE html><html>403 Forbidden", "it is a web page: the server sent a message"),
    "a store's refusal": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "it is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "it is a Git LFS pointer"),
    "gzip": (gzip.compress(b"x"), "it is packed with gzip; unpack it"),
    "tar": (a_tar("plain.pth"), "it is a tar archive; unpack it"),
    "zip": (a_zip(**{"a.txt": b"hello"}), "it is a zip archive of other files (a.txt); unpack it"),
    "a program": (
        a_zip(**{"x/constants.pkl": b"", "x/data.pkl": b""}),
        "it is a TorchScript program, which contains code",
    ),
    "half": (saved()[:9000], "it is cut short or damaged"),
    "safetensors": (save({"a": torch.zeros(1)}), "it is a safetensors file; give it a name that ends in .safetensors"),
    "JSON": (b'{"message": "Not Found"}', "it is JSON text"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + bytes(99), "it is an HDF5 file"),
    "an array": (b"\x93NUMPY\x01\0" + bytes(99), "it is a NumPy array"),
    "text": (b"hello\n", "it is text, not weights"),
    "noise": (bytes(range(250, 100, -1)), "torch.save did not write it, or it is damaged"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_is_no_checkpoint_is_called_by_its_name(kind: str, tmp_path: Path) -> None:
    data, message = OTHER_FILES[kind]
    (tmp_path / "x.pth.tar").write_bytes(data)
    refused(tmp_path / "x.pth.tar", f"is not an intact checkpoint: {message}")


@pytest.mark.parametrize("kind", ["nothing", "a web page", "a pointer", "gzip", "half"])
def test_what_is_no_safetensors_file_is_too(kind: str, tmp_path: Path) -> None:
    data, message = OTHER_FILES[kind]
    (tmp_path / "x.safetensors").write_bytes(data)
    refused(tmp_path / "x.safetensors", f"is not an intact safetensors file: {message}")


def test_a_checkpoint_with_the_wrong_ending(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(saved())
    refused(tmp_path / "x.safetensors", "it is a checkpoint of torch; give it a name that ends in .pth")


def test_a_header_that_is_nested_without_end(tmp_path: Path) -> None:
    """Python's JSON reader gives up on 100,000 brackets with an error of its own."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, {"bamgate": "[" * 100_000}))
    refused(path, "has damaged metadata: RecursionError")


def test_a_shape_that_nothing_in_the_file_has(tmp_path: Path) -> None:
    network = described()
    state = filled(network).state_dict()
    path = tmp_path / "x.safetensors"
    for name, value, message in [
        ("num_classes", 1 << 40, "num_classes is 1099511627776, but no tensor in the file is as wide"),
        ("image_size", [1 << 40, 32], "image_size must be [height, width] in pixels, up to 16384 each"),
    ]:
        about = {**network.to_dict(), name: value}
        metadata = {"bamgate": json.dumps({"format": 1, "network": about})}
        path.write_bytes(save({key: tensor.contiguous() for key, tensor in state.items()}, metadata))
        refused(path, message)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    refused(path, "is not an intact safetensors file: SafetensorError")


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_a_disk_that_fails_or_a_file_that_may_not_be_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    network = described()
    write_safetensors(path, network, filled(network).state_dict())
    for number in (5, 13):  # EIO, EACCES

        def fail(self: Path, number: int = number) -> bytes:
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "read_bytes", fail)
        refused(path, f"{path} cannot be read: {os.strerror(number)}")


def test_a_file_that_is_read_is_not_mapped(tmp_path: Path) -> None:
    """Whoever cuts the file afterwards does not reach the tensors."""
    network = described()
    path = tmp_path / "x.safetensors"
    write_safetensors(path, network, filled(network).state_dict())
    _, state = read_safetensors(path)
    before = {name: tensor.clone() for name, tensor in state.items()}
    with path.open("r+b") as file:
        file.truncate(10)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())


def test_weights_of_ones_own_that_are_no_plain_tensors() -> None:
    net = filled(described())
    state = {**net.state_dict(), "classifier.bias": torch.zeros(10, device="meta")}
    with pytest.raises(
        DataError, match=r"1 not plain tensors with values \(classifier.bias: on device meta, which has"
    ):
        load_weights(net, state, "w")
