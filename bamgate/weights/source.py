"""Where trained weights come from: a run, one of its cells, our safetensors, or a checkpoint of the authors' code."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bamgate.config.gate_names import is_code
from bamgate.data import DATASETS
from bamgate.engines.checkpoint import CURRENT
from bamgate.errors import DataError, UsageError
from bamgate.gates import load_gate, places_of
from bamgate.networks import Size
from bamgate.record.ended import EndedCell
from bamgate.record.sealed import read_json
from bamgate.record.tables import EPOCHS
from bamgate.weights.files import read_safetensors, read_torch
from bamgate.weights.network import Network, build
from bamgate.weights.released import read_released
from bamgate.weights.strict import load_weights, shortened


def load_model(
    source: Path, *, model: str | None = None, gate: str | None = None, allow_code: bool = False
) -> tuple[Network, nn.Module]:
    """A trained network and its description, on the CPU, in evaluation mode.

    Args:
        source, model: see `load_network`.
        gate: where the gate is now, if it has moved; it must be the same function.
        allow_code: run a gate that is code because the source names it, provided that the code has not changed.

    Raises:
        UsageError, DataError: see `load_network`, `build` and `load_weights`.
    """
    network, state = load_network(source, model=model)
    net = build(network, load_gate(gate) if gate is not None else None, allow_code=allow_code)
    load_weights(net, state, str(source))
    return network, net.eval()


def load_network(source: Path, *, model: str | None = None) -> tuple[Network, dict[str, Tensor]]:
    """The description of the network at `source`, and its weights by our names, on the CPU. No gate is looked up.

    Args:
        source: the folder of a finished cell, or of a run that has one; its checkpoint.pt; a .safetensors file of
            ours; a checkpoint of the authors' code (.pth.tar), or of one of torchvision's ResNets.
        model: the network of a checkpoint of the last kind, if its keys do not show it.

    Raises:
        UsageError: there are no weights, or those of several cells; or `model` is given although the source says it.
        DataError: the source is damaged, or of another kind.
    """
    cell = _cell(source)
    if cell is None and source.suffix != ".safetensors":
        return read_released(read_torch(source), source, model)
    if model is not None:
        raise UsageError(f"model {model!r} would have no effect: {source} says which network it is; leave it out")
    return read_safetensors(source) if cell is None else _read_cell(cell)


def _cell(source: Path) -> Path | None:
    """The folder of the cell that `source` names; None if it is a file of its own."""
    if source.is_dir():
        return source if (source / "config.json").is_file() else _only_cell(source)
    if not source.is_file():
        raise UsageError(f"there is no file or folder {str(source)!r}")
    is_checkpoint = source.name == CURRENT and (source.parent / "config.json").is_file()
    return source.parent if is_checkpoint else None


def _only_cell(folder: Path) -> Path:
    cells = sorted(result.parent for result in folder.glob("cells/*/result.json"))
    if not cells:
        raise UsageError(f"{folder} has no finished cell (cells/*/result.json) and is not a cell (config.json)")
    if len(cells) > 1:
        names = [f"{cell} ({_gate_and_seed(cell)})" for cell in cells]
        raise UsageError(f"{folder} has {len(cells)} finished cells; name one of them: {shortened(names)}")
    return cells[0]


def _gate_and_seed(cell: Path) -> str:
    config = _config(cell)
    return f"{_table(config, 'attention').get('gate')}, seed {config.get('seed')}"


def _config(cell: Path) -> dict[str, Any]:
    return _table(read_json(cell / "config.json") or {}, "config")


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table within a table, empty if it is missing: the check that needs a value reports that it is missing."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _read_cell(cell: Path) -> tuple[Network, dict[str, Tensor]]:
    ended = EndedCell.at(cell)
    if ended is None:
        raise UsageError(f"{cell} has not finished; the bamgate run command that started it resumes it")
    identity, environment, result = ended.identity(), ended.json("environment.json"), ended.result
    ended.lines(EPOCHS, "epochs.csv")  # checks the table with the accuracy of these weights against its hash
    if not (cell / CURRENT).is_file():
        raise DataError(f"{cell / CURRENT} is missing")
    # The sha256 in result.json, not the one beside the file: the record is sealed by the former.
    stored = read_torch(cell / CURRENT, sha256=str(result.get("checkpoint_sha256")))
    state = {name.removeprefix("model/"): t for name, t in stored.items() if name.startswith("model/")}
    config, source = _config(cell), str(cell / "config.json")
    gate, is_code_gate = _table(identity, "gate"), is_code(str(_table(config, "attention").get("gate")))
    network = Network.from_dict(
        {
            **{name: config.get(name) for name in ("model", "attention", "dataset")},
            **(_widths_of_run(result) or widths(state, source)),
            **_arithmetic(config),
            "image_size": _image_size(config, source),
            "gate_fingerprint": gate.get("fingerprint"),
            **({"gate_source_sha256": gate.get("source_sha256")} if is_code_gate else {}),
            **{name: _table(result, "normalisation").get(name) for name in ("mean", "std")},
            "class_names": environment.get("class_names"),
            **({"task": result["task"]} if "task" in result else {}),
        },
        source,
    )
    return (replace(network, gate_places=_places(cell, gate, network)) if is_code_gate else network), state


def _places(cell: Path, gate: Mapping[str, Any], network: Network) -> tuple[Path, ...]:
    """Where the code of the gate may be. The folder of a study says so for all its cells."""
    name, folder = network.attention.gate, cell.absolute().parent.parent
    of_study = _table(_table(read_json(folder / "study.json") or {}, "code"), name)
    places = places_of({**gate, "name": name}, cell)
    return (*places, *(places_of({**of_study, "name": name}, folder) if of_study else ()))


def _arithmetic(config: Mapping[str, Any]) -> dict[str, Any]:
    """How the run evaluated. The batch size matters for files only: images in memory always come in the same number."""
    training, files = _table(config, "training"), _size_of(config.get("dataset")) is None
    names = ("precision", "channels_last", *(["batch_size"] if files else []))
    return {name: training[name] for name in names if name in training}


def _size_of(dataset: object) -> Size | None:
    """The size of the images of a data set; None if they have many sizes."""
    return DATASETS.get(str(dataset)).size if dataset in DATASETS else None


def _widths_of_run(result: Mapping[str, Any]) -> dict[str, Any]:
    """The widths that the run has logged; empty for runs that did not. (Weights do not always show them.)"""
    mean = _table(result, "normalisation").get("mean")
    if "num_classes" not in result or not isinstance(mean, list):
        return {}
    return {"num_classes": result["num_classes"], "in_channels": len(mean)}


def widths(state: Mapping[str, Tensor], source: str) -> dict[str, int]:
    """The widths that the weights show, for runs of the first version.

    In all networks of that time the first convolution takes the image, and the last tensor is the classifier's bias.
    """
    kernels = [tensor for tensor in state.values() if tensor.ndim == 4]
    if not kernels:
        raise DataError(f"{source}: the checkpoint beside it has no convolution")
    return {"num_classes": len(list(state.values())[-1]), "in_channels": kernels[0].shape[1]}


def _image_size(config: Mapping[str, Any], source: str) -> list[int]:
    pixels, dataset = config.get("image_size"), config.get("dataset")
    if pixels is not None:
        return [pixels, pixels]
    size = _size_of(dataset)
    if size is None:
        raise DataError(f"{source}: image_size is missing, and data set {dataset!r} has no fixed size")
    return list(size)
