"""Weights and what they belong to: found, described, put into networks whole or not at all, stored, read again."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from model_samples import ATTENTIONS, image
from record_samples import ENVIRONMENT, identity, result, without_hashes
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from weight_samples import MEAN, STD, described, filled

from bamgate._version import __version__
from bamgate.config import AttentionConfig, RunConfig
from bamgate.data import DATASETS
from bamgate.engines import CheckpointStore, Position
from bamgate.errors import DataError, UsageError
from bamgate.gates import fingerprint, gate_facts, load_gate
from bamgate.networks import BACKBONES
from bamgate.record.runlog import CellLog
from bamgate.record.sealed import write_json
from bamgate.weights import (
    Network,
    build,
    load_model,
    load_network,
    load_weights,
    read_safetensors,
    write_safetensors,
)
from bamgate.weights.source import widths

NETWORK = described(AttentionConfig(gate="tanh", layout="counted"), dataset="cifar10")


def outputs(net: nn.Module, channels: int = 3) -> Tensor:
    with torch.no_grad():
        found: Tensor = net(image(2, channels, 32, 32))
    return found


def write_cell(folder: Path, config: RunConfig, net: nn.Module, *, finished: bool = True) -> Path:
    """What a run leaves of a cell, without training."""
    cell = folder / "cells" / config.cell
    cell.mkdir(parents=True)
    log = CellLog(cell, config.cell)
    gate = load_gate(config.attention.gate)
    write_json(cell / "config.json", {**identity(config), "gate": gate_facts(gate)})
    write_json(cell / "environment.json", ENVIRONMENT)
    log.append("epochs.csv", [{"epoch": 1, "test_correct": 7, "test_top5_correct": 8, "test_total": 9}])
    store = CheckpointStore(cell)
    state = {f"model/{name}": tensor for name, tensor in net.state_dict().items()}
    store.save({**state, "momentum/stem.0.weight": torch.zeros(1)}, Position(epoch=1))
    if finished:
        channels = next(tensor.shape[1] for tensor in state.values() if tensor.ndim == 4)
        scaling = {"normalisation": {"mean": MEAN[:channels], "std": STD[:channels]}}
        counts = {"epochs": 1, "correct": 7, "top5_correct": 8, "total": 9}
        log.finish({**result(), **counts, **scaling, "checkpoint_sha256": store.finish()})
    return cell


CONFIG = RunConfig(dataset="cifar10", attention=NETWORK.attention)


# Descriptions.


def test_a_description_survives_json() -> None:
    for network in (NETWORK, described(image_size=(32, 48)), described(AttentionConfig(name="none", gate="none"))):
        plain = json.loads(json.dumps(network.to_dict()))
        assert Network.from_dict(plain, "x") == network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modell": 1}, "w: network has an unknown key 'modell'; did you mean 'model'?"),
        ({"model": 3}, "w: model must be text, got 3"),
        ({"model": None}, "w: model must be text, got None"),
        ({"num_classes": True}, "w: num_classes must be a whole number above 0, got True"),
        ({"num_classes": 0}, "w: num_classes must be a whole number above 0, got 0"),
        ({"in_channels": 3.0}, "w: in_channels must be a whole number above 0, got 3.0"),
        ({"image_size": [32]}, "w: image_size must be [height, width] in pixels, up to 16384 each, got [32]"),
        (
            {"image_size": [32, "32"]},
            "w: image_size must be [height, width] in pixels, up to 16384 each, got [32, '32']",
        ),
        ({"image_size": 32}, "w: image_size must be [height, width] in pixels, up to 16384 each, got 32"),
        ({"dataset": 1}, "w: dataset must be text or null, got 1"),
        ({"gate_fingerprint": 1}, "w: gate_fingerprint must be text, got 1"),
        ({"attention": None}, "w: attention must be a table of names and values, got None"),
        ({"attention": {"dilatoin": 4}}, "w: attention has an unknown key 'dilatoin'; did you mean 'dilation'?"),
        ({"attention": {"dilation": "4"}}, "w: attention: dilation must be a whole number, got '4'"),
        ({"attention": {"layout": "papper"}}, "w: attention: unknown layout 'papper'; did you mean 'paper'? (allowed:"),
    ],
)
def test_a_description_that_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        Network.from_dict({**NETWORK.to_dict(), **changes}, "w")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("key", ["model", "attention", "num_classes", "in_channels", "image_size", "gate_fingerprint"])
def test_a_description_with_something_missing(key: str) -> None:
    plain = NETWORK.to_dict()
    del plain[key]
    with pytest.raises(DataError, match=f"^w: {key} must be "):
        Network.from_dict(plain, "w")
    with pytest.raises(DataError, match=r"^w: network must be a table of names and values, got 3"):
        Network.from_dict(3, "w")


def test_another_gate_by_the_same_name_is_noticed() -> None:
    changed = replace(NETWORK, gate_fingerprint="0123456789abcdef")
    with pytest.raises(UsageError) as error:
        build(changed)
    assert str(error.value) == (
        "gate 'tanh' is not the function that these weights were trained with ('tanh', fingerprint 0123456789abcdef; "
        "this one is 8bc77277a94d805a)"
    )
    # The same function by another name will do.
    build(NETWORK, load_gate("expr:tanh(z)"))


# Whole or not at all.


def test_all_that_does_not_fit_is_listed_and_nothing_is_loaded() -> None:
    net = filled(NETWORK)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    wrong = {name: torch.full_like(tensor, 9) for name, tensor in before.items()}
    del wrong["classifier.bias"], wrong["stem.1.weight"]
    wrong["classifier.weight"] = torch.zeros(7, 64)
    wrong["stem.1.num_batches_tracked"] = torch.tensor(0.5)
    wrong["other"] = torch.tensor(1)
    with pytest.raises(DataError) as error:
        load_weights(net, wrong, "w.pth")
    assert str(error.value) == (
        "w.pth does not fit the network: 2 missing (stem.1.weight, classifier.bias); 1 unknown (other); "
        "1 of another shape (classifier.weight: 7x64 for 10x64); 1 of another kind of number "
        "(stem.1.num_batches_tracked: torch.float32 for torch.int64); nothing was loaded"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_long_lists_are_cut_and_counted() -> None:
    net = filled(NETWORK)
    with pytest.raises(DataError) as error:
        load_weights(net, {"a": torch.tensor(1.0)}, "w")
    names = list(net.state_dict())
    expected = f"{len(names)} missing ({', '.join(names[:10])} and {len(names) - 10} more); 1 unknown (a); nothing"
    assert expected in str(error.value)


# Files of ours.


@pytest.mark.parametrize("gate", ["tanh", "learned-depth", "expr:z/(1+abs(z))"])
def test_a_file_brings_back_the_network(gate: str, tmp_path: Path) -> None:
    network = described(AttentionConfig(gate=load_gate(gate).name), dataset="cifar10")
    net = filled(network)
    write_safetensors(tmp_path / "x.safetensors", network, net.state_dict())
    found, again = load_model(tmp_path / "x.safetensors")
    assert found == network
    assert not again.training
    assert torch.equal(outputs(again), outputs(net))
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["bamgate"])
    assert about == {"format": 1, "version": __version__, "network": network.to_dict()}


def test_memory_layout_and_order_do_not_reach_the_file(tmp_path: Path) -> None:
    net = filled(NETWORK)
    write_safetensors(tmp_path / "a.safetensors", NETWORK, net.state_dict())
    net.to(memory_format=torch.channels_last)
    write_safetensors(tmp_path / "b.safetensors", NETWORK, dict(reversed(net.state_dict().items())))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", NETWORK, filled(NETWORK).state_dict())
    code = (
        "import sys; from pathlib import Path; from test_weights import *\n"
        "write_safetensors(Path(sys.argv[1]), NETWORK, filled(NETWORK).state_dict())"
    )
    there = tmp_path / "b.safetensors"
    subprocess.run([sys.executable, "-c", code, str(there)], cwd=Path(__file__).parent, check=True)
    assert there.read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    about = {"format": 1, "network": NETWORK.to_dict()}
    for metadata, message in [
        (None, "does not say to which network it belongs: bamgate convert did not write it"),
        ({"format": "pt"}, "does not say to which network it belongs"),
        ({"bamgate": "{"}, "has damaged metadata: "),
        ({"bamgate": "[]"}, "has format None, this bamgate reads format 1"),
        ({"bamgate": json.dumps({**about, "format": 2})}, "has format 2, this bamgate reads format 1"),
        ({"bamgate": json.dumps({"format": 1})}, "network must be a table of names and values, got None"),
        (
            {"bamgate": json.dumps({**about, "network": {"modle": 1}})},
            "network has an unknown key 'modle'; did you mean",
        ),
    ]:
        save_file({"a": torch.zeros(1)}, path, metadata)
        with pytest.raises(DataError) as error:
            load_network(path)
        assert str(error.value).startswith(str(path))
        assert message in str(error.value)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, NETWORK, filled(NETWORK).state_dict())
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:100], whole[:-1], whole + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"x\.safetensors is not an intact safetensors file") as error:
            read_safetensors(path)
        assert "\n" not in str(error.value)


def test_weights_of_another_network_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, replace(NETWORK, num_classes=7), filled(NETWORK).state_dict())
    with pytest.raises(
        DataError, match=r"2 of another shape \(classifier\.weight: 10x64 for 7x64, classifier\.bias: 10"
    ):
        load_model(path)


# Runs.


def test_every_name_of_a_run_leads_to_its_weights(tmp_path: Path) -> None:
    net = filled(NETWORK)
    cell = write_cell(tmp_path / "run", CONFIG, net)
    for source in (tmp_path / "run", cell, cell / "checkpoint.pt"):
        network, found = load_model(source)
        assert network == NETWORK
        assert torch.equal(outputs(found), outputs(net))


def test_the_data_set_or_the_run_tells_the_image_size(tmp_path: Path) -> None:
    digits = described(num_classes=10, in_channels=1)
    cell = write_cell(tmp_path / "a", RunConfig(dataset="cluttered-digits"), filled(digits))
    assert load_network(cell)[0].image_size == DATASETS.get("cluttered-digits").size
    flowers = write_cell(tmp_path / "b", RunConfig(dataset="folder:flowers", image_size=96), filled(digits))
    network = load_network(flowers)[0]
    assert (network.image_size, network.dataset) == ((96, 96), "folder:flowers")
    unsized = write_cell(tmp_path / "c", RunConfig(dataset="folder:flowers"), filled(digits))
    with pytest.raises(DataError, match="image_size is missing, and data set 'folder:flowers' has no fixed size"):
        load_network(unsized)


@pytest.mark.parametrize("name", BACKBONES.names())
@pytest.mark.parametrize("attention", list(ATTENTIONS.values()), ids=list(ATTENTIONS))
def test_weights_tell_classes_and_channels_of_every_network(name: str, attention: AttentionConfig) -> None:
    network = described(attention, model=name, num_classes=7, in_channels=2)
    try:
        with torch.device("meta"):
            state = build(network).state_dict()
    except UsageError as error:
        pytest.skip(str(error))
    assert widths(state, "x") == {"num_classes": 7, "in_channels": 2}


def test_runs_that_cannot_be_read(tmp_path: Path) -> None:
    net = filled(NETWORK)
    with pytest.raises(UsageError, match=r"there is no file or folder '.*/nowhere'"):
        load_network(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"has no finished cell \(cells/\*/result\.json\) and is not a cell"):
        load_network(tmp_path)
    run = tmp_path / "run"
    unfinished = write_cell(run, replace(CONFIG, seed=5), net, finished=False)
    with pytest.raises(UsageError, match="has not finished; the bamgate run command that started it resumes it"):
        load_network(unfinished)
    with pytest.raises(UsageError, match="has no finished cell"):
        load_network(run)
    cells = [write_cell(run, replace(CONFIG, seed=seed), net) for seed in (0, 1)]
    with pytest.raises(UsageError) as error:
        load_network(run)
    names = ", ".join(sorted(f"{cell} (tanh, seed {seed})" for seed, cell in enumerate(cells)))
    assert str(error.value) == f"{run} has 2 finished cells; name one of them: {names}"
    with pytest.raises(
        UsageError, match=r"model 'resnet8' would have no effect: .* says which network it is; leave it"
    ):
        load_network(cells[0], model="resnet8")


def test_damaged_runs(tmp_path: Path) -> None:
    cell = write_cell(tmp_path, CONFIG, filled(NETWORK))
    checkpoint, config = cell / "checkpoint.pt", cell / "config.json"
    whole, text = checkpoint.read_bytes(), config.read_text()
    checkpoint.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match=r"checkpoint\.pt is damaged \(its sha256 is not the one that was saved\)"):
        load_network(cell)
    checkpoint.unlink()
    with pytest.raises(DataError, match=r"checkpoint\.pt is missing"):
        load_network(cell)
    checkpoint.write_bytes(whole)
    load_network(cell)
    for name, old, new in [
        ("config.json", '"residual": true', '"residual": false'),
        ("config.json", '"seed": 0', '"seed": 1'),
        ("environment.json", "A processor", "A processer"),
        ("epochs.csv", ",7,", ",8,"),
        ("result.json", '"correct": 7', '"correct": 8'),
    ]:
        before = (cell / name).read_text()
        assert old in before
        (cell / name).write_text(before.replace(old, new))
        with pytest.raises(DataError, match=f"{name} is damaged"):
            load_network(cell)
        (cell / name).write_text(before)
    without_hashes(cell)
    load_network(cell)
    config.write_text(text.replace('"residual": true', '"residual": false'))
    with pytest.raises(DataError, match="is not the one that the folder is named after"):
        load_network(cell)


def test_a_gate_that_has_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def half(z):\n    return z.sigmoid() / 2\n")
    gate = load_gate(f"{tmp_path}/mine.py:half")
    network = described(AttentionConfig(gate=gate.name), gate_fingerprint=fingerprint(gate))
    write_safetensors(tmp_path / "x.safetensors", network, build(network, gate).state_dict())
    monkeypatch.chdir("/")
    with pytest.raises(UsageError, match=r"gate 'mine\.py:half' is code .*, and none of it was run; "):
        load_model(tmp_path / "x.safetensors")
    found, _ = load_model(tmp_path / "x.safetensors", gate=f"{tmp_path}/mine.py:half")
    assert found == network
    with pytest.raises(UsageError, match="gate 'tanh' is not the function that these weights were trained with"):
        load_model(tmp_path / "x.safetensors", gate="tanh")
