"""`bamgate convert` as a user meets it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import bamgate
from model_samples import image
from released_samples import authors_checkpoint, forward_of_the_authors
from torch import Tensor, nn
from weight_samples import described, filled

from bamgate.cli.app import main
from bamgate.config import AttentionConfig, RunConfig
from bamgate.data import DATASETS
from bamgate.weights import Network, build, load_model, write_safetensors

PAPER = described(AttentionConfig(gate="tanh"))
EXPORTABLE = described(
    AttentionConfig(combine="product"), model="resnet18", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of `bamgate convert`, in this process for speed."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bamgate", "convert", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return int(end.value.code or 0), output.out, output.err

    return call


@pytest.fixture
def source(tmp_path: Path) -> Callable[[Network], tuple[Path, nn.Module]]:
    """Weights in a file of ours, and the network that they came from."""

    def write(network: Network) -> tuple[Path, nn.Module]:
        net = filled(network)
        path = tmp_path / "source.safetensors"
        write_safetensors(path, network, net.state_dict())
        return path, net

    return write


Run = Callable[..., tuple[int, str, str]]
Source = Callable[[Network], tuple[Path, nn.Module]]


def outputs(net: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = net.double()(image(2, 3, 32, 32).double())
    return result


def test_a_layout_into_another(run: Run, source: Source, tmp_path: Path) -> None:
    path, net = source(PAPER)
    dest = tmp_path / "out.safetensors"
    code, out, err = run(path, dest, "--layout", "released")
    assert code == 0
    network, found = load_model(dest)
    assert network.attention == AttentionConfig(gate="tanh", layout="released", combine="sum")
    parameters = sum(p.numel() for p in found.parameters())
    assert out == f"{dest}: resnet8, attention bam, layout released, gate tanh, {parameters:,} parameters\n"
    assert err == f"Next: bamgate evaluate {dest} --dataset NAME\n"
    torch.testing.assert_close(outputs(found), outputs(net), rtol=1e-4, atol=1e-4)


def test_json(run: Run, source: Source, tmp_path: Path) -> None:
    path, net = source(described(AttentionConfig(name="none", gate="none")))
    code, out, err = run(path, tmp_path / "out.safetensors", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "out": str(tmp_path / "out.safetensors"),
        "model": "resnet8",
        "attention": "none",
        "layout": None,
        "gate": "none",
        "dataset": None,
        "next": f"bamgate evaluate {tmp_path / 'out.safetensors'} --dataset NAME",
        "parameters": sum(p.numel() for p in net.parameters()),
    }


def test_for_the_authors_code_and_back(run: Run, source: Source, tmp_path: Path) -> None:
    path, net = source(EXPORTABLE)
    theirs, ours = tmp_path / "theirs.pth.tar", tmp_path / "ours.safetensors"
    assert run(path, theirs, "--layout", "released")[0] == 0
    checkpoint = torch.load(theirs, weights_only=True)
    expected = forward_of_the_authors("resnet18", checkpoint, image(2, 3, 32, 32))
    torch.testing.assert_close(outputs(net), expected, rtol=1e-4, atol=1e-4)
    assert run(theirs, ours, "--layout", "paper")[0] == 0
    network, found = load_model(ours)
    assert network == EXPORTABLE
    torch.testing.assert_close(outputs(found), expected, rtol=1e-4, atol=1e-4)


def test_authors_weights_with_the_network_named(run: Run, tmp_path: Path) -> None:
    torch.save(authors_checkpoint("resnet50", bam=False)["state_dict"], tmp_path / "mine.pth")
    code, out, _ = run(tmp_path / "mine.pth", tmp_path / "out.safetensors", "--model", "resnet50")
    assert code == 0
    assert ": resnet50, attention none, gate none, " in out
    code, _, err = run(tmp_path / "out.safetensors", tmp_path / "back.pth")
    assert code == 2
    assert (
        "resnet50 has its strides in other layers than the authors' code, under the same keys; train resnet50-v1.5"
        in err
    )


def test_what_is_refused_is_one_line_and_writes_nothing(run: Run, source: Source, tmp_path: Path) -> None:
    path, _ = source(PAPER)
    dest = tmp_path / "out.safetensors"
    (tmp_path / "folder.pth").mkdir()
    for arguments, code, message in [
        ((path, tmp_path / "x.onnx"), 2, "the file extension sets the format (allowed: .safetensors, .pth, .pth.tar)"),
        ((path, tmp_path / "no" / "x.pth"), 2, "x.pth': there is no folder '"),
        ((path, tmp_path / "folder.pth"), 2, "folder.pth' is a folder; name a file"),
        ((path, path), 2, "source.safetensors' already exists; pass --force to replace it"),
        ((path, dest, "--layout", "papper"), 2, "unknown layout 'papper'; did you mean 'paper'? (allowed: paper, coun"),
        ((path, dest, "--model", "resnet8"), 2, "model 'resnet8' would have no effect"),
        ((path, dest, "--gate", "sigmoid"), 2, "gate 'sigmoid' is not the function that these weights were trained"),
        ((path, tmp_path / "x.pth"), 2, "the authors' code has no resnet8"),
        ((tmp_path / "nowhere", dest), 2, "there is no file or folder '"),
        ((Path(__file__), dest), 4, "test_convert.py is not an intact checkpoint"),
    ]:
        before = sorted(tmp_path.rglob("*"))
        found = run(*arguments)
        assert found[:2] == (code, ""), found
        assert message in found[2]
        assert found[2].startswith("bamgate: ")
        assert found[2].count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before


def test_force_replaces(run: Run, source: Source, tmp_path: Path) -> None:
    path, net = source(PAPER)
    expected = outputs(net)
    assert run(path, path, "--layout", "counted", "--force")[0] == 0
    network, found = load_model(path)
    assert network.attention.layout == "counted"
    torch.testing.assert_close(outputs(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["source.safetensors", "out.safetensors"], 0),
        (["source.safetensors", "out.txt"], 2),
        (["damaged.safetensors", "out.safetensors"], 4),
    ],
)
def test_exit_codes(arguments: list[str], code: int, source: Source, tmp_path: Path) -> None:
    source(PAPER)
    (tmp_path / "damaged.safetensors").write_bytes(b"text")
    finished = bamgate("convert", *arguments, cwd=tmp_path)
    assert finished.returncode == code, finished.stderr
    assert (tmp_path / "out.safetensors").exists() == (code == 0)
    assert finished.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_run_becomes_a_file(run: Run, tmp_path: Path) -> None:
    """What the run's own checkpoint computes, put together here without our reading functions."""
    arguments = ["--gate", "tanh", "--epochs", "1", "--train-limit", "320", "--batch-size", "32", "--threads", "1"]
    trained = bamgate("run", *arguments, "--out", str(tmp_path / "run"))
    assert trained.returncode == 0, trained.stderr
    (cell,) = (tmp_path / "run" / "cells").iterdir()
    stored: dict[str, Any] = torch.load(cell / "checkpoint.pt", weights_only=True)
    assert run(tmp_path / "run", tmp_path / "out.safetensors")[0] == 0
    network, found = load_model(tmp_path / "out.safetensors")
    config = RunConfig(dataset="cluttered-digits")
    expected = described(
        AttentionConfig(gate="tanh"),
        model=config.model,
        in_channels=1,
        image_size=(20, 20),
        dataset=config.dataset,
        mean=network.mean,
        std=network.std,
    )
    trained_on = DATASETS.get(config.dataset).load(Path())[0].images[:320].double()
    assert network.mean == pytest.approx([trained_on.mean().item()], rel=1e-12)
    assert network.std == pytest.approx([trained_on.std(correction=0).item()], rel=1e-12)
    assert network == expected
    net = build(expected)
    net.load_state_dict({name.removeprefix("model/"): t for name, t in stored.items() if name.startswith("model/")})
    x = image(4, 1, 20, 20)
    with torch.no_grad():
        assert torch.equal(found(x), net.eval()(x))
