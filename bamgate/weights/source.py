"""Where trained weights are found: a run, one of its cells, our safetensors, or a checkpoint of the authors'."""

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
    """The network of `load_network` with its weights in it, on the CPU, in evaluation mode.

    Args:
        source, model: see `load_network`.
        gate: where the gate is now, if its name does not lead there any more; it must be the same function.
        allow_code: whether a gate that is code is run because the source names it, if the code is as it was.

    Raises:
        UsageError, DataError: see `load_network`, `build` and `load_weights`.
    """
    network, state = load_network(source, model=model)
    net = build(network, load_gate(gate) if gate is not None else None, allow_code=allow_code)
    load_weights(net, state, str(source))
    return network, net.eval()


def load_network(source: Path, *, model: str | None = None) -> tuple[Network, dict[str, Tensor]]:
    """What network the weights at `source` belong to, and the weights by our names, on the CPU. No gate is looked up.

    Args:
        source: the folder of a finished cell, or of a run that holds one; its checkpoint.pt; a .safetensors file of
            ours; a checkpoint of the authors' (.pth.tar), or another of torchvision's ResNets.
        model: for a checkpoint of the last kind: the network, where its keys do not tell.

    Raises:
        UsageError: there is nothing, or more than one; `model` where the source itself tells.
        DataError: it is damaged, or of no such kind.
    """
    cell = _cell(source)
    if cell is None and source.suffix != ".safetensors":
        return read_released(read_torch(source), source, model)
    if model is not None:
        raise UsageError(f"model {model!r} would have no effect: {source} tells its network itself; leave it out")
    return read_safetensors(source) if cell is None else _read_cell(cell)


def _cell(source: Path) -> Path | None:
    """The folder of the cell that `source` names, None where it is a file of its own."""
    if source.is_dir():
        return source if (source / "config.json").is_file() else _only_cell(source)
    if not source.is_file():
        raise UsageError(f"there is no file or folder {str(source)!r}")
    is_checkpoint = source.name == CURRENT and (source.parent / "config.json").is_file()
    return source.parent if is_checkpoint else None


def _only_cell(folder: Path) -> Path:
    cells = sorted(result.parent for result in folder.glob("cells/*/result.json"))
    if not cells:
        raise UsageError(f"{folder} holds no finished cell (cells/*/result.json), nor is it one (config.json)")
    if len(cells) > 1:
        names = [f"{cell} ({_gate_and_seed(cell)})" for cell in cells]
        raise UsageError(f"{folder} holds {len(cells)} finished cells, name one: {shortened(names)}")
    return cells[0]


def _gate_and_seed(cell: Path) -> str:
    config = _config(cell)
    return f"{_table(config, 'attention').get('gate')}, seed {config.get('seed')}"


def _config(cell: Path) -> dict[str, Any]:
    return _table(read_json(cell / "config.json") or {}, "config")


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table within a table, empty where there is none: what is missing in it is named when it is asked for."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _read_cell(cell: Path) -> tuple[Network, dict[str, Tensor]]:
    ended = EndedCell.at(cell)
    if ended is None:
        raise UsageError(f"{cell} has not finished; the same bamgate run command goes on with it")
    identity, environment, result = ended.identity(), ended.json("environment.json"), ended.result
    ended.lines(EPOCHS, "epochs.csv")  # the counts that the weights are known by
    if not (cell / CURRENT).is_file():
        raise DataError(f"{cell / CURRENT} is missing")
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
    """Where the code of the gate may be. A study says it for all its cells."""
    name, folder = network.attention.gate, cell.absolute().parent.parent
    of_study = _table(_table(read_json(folder / "study.json") or {}, "code"), name)
    places = places_of({**gate, "name": name}, cell)
    return (*places, *(places_of({**of_study, "name": name}, folder) if of_study else ()))


def _arithmetic(config: Mapping[str, Any]) -> dict[str, Any]:
    """How the run evaluated; images in memory are always taken by the same number."""
    training, files = _table(config, "training"), _size_of(config.get("dataset")) is None
    names = ("precision", "channels_last", *(["batch_size"] if files else []))
    return {name: training[name] for name in names if name in training}


def _size_of(dataset: object) -> Size | None:
    """Of the images of a data set by name; None where they have many sizes."""
    return DATASETS.get(str(dataset)).size if dataset in DATASETS else None


def _widths_of_run(result: Mapping[str, Any]) -> dict[str, Any]:
    """As the run has logged them: a network need not begin with a convolution of the image."""
    mean = _table(result, "normalisation").get("mean")
    if "num_classes" not in result or not isinstance(mean, list):
        return {}
    return {"num_classes": result["num_classes"], "in_channels": len(mean)}


def widths(state: Mapping[str, Tensor], source: str) -> dict[str, int]:
    """Every network here ends in the classifier's bias and begins with a convolution of the image."""
    kernels = [tensor for tensor in state.values() if tensor.ndim == 4]
    if not kernels:
        raise DataError(f"{source}: the checkpoint beside it holds no convolution")
    return {"num_classes": len(list(state.values())[-1]), "in_channels": kernels[0].shape[1]}


def _image_size(config: Mapping[str, Any], source: str) -> list[int]:
    pixels, dataset = config.get("image_size"), config.get("dataset")
    if pixels is not None:
        return [pixels, pixels]
    size = _size_of(dataset)
    if size is None:
        raise DataError(f"{source}: image_size is missing, and data set {dataset!r} does not tell it")
    return list(size)
