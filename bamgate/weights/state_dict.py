"""The weights in a checkpoint, by the network's own names. Training scripts wrap both the dictionary and the names.

Nothing is guessed. A dictionary is searched for one table of tensors. A prefix is removed if every name has it.
Counters of profilers and averages, which are not weights, are left out. If a checkpoint holds both the trained weights
and their average (`state_dict_ema`, `model_ema`), the trained ones are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bamgate.errors import DataError
from bamgate.weights.strict import shape, shortened

# Where the table is: in checkpoints of the authors' code, timm and Lightning; of PyTorch's examples; of torchvision.
TABLES = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "model.", "net.")  # of DataParallel and averages; of Lightning
# Of torch.compile, fully sharded training and activation checkpointing; these are also found within a name.
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
COUNTERS = ("total_ops", "total_params", "n_averaged")  # thop's; torch.optim.swa_utils's


def state_dict_of(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint.

    Args:
        content: what torch.load returned.
        path: the file, for errors.

    Raises:
        DataError: there are no weights, several tables of them, one name twice, or a tensor larger than the file.
    """
    if "position" in content:
        raise DataError(
            f"{path} is the checkpoint of a run, but its config.json is not beside it; name the cell's folder"
        )
    state = {name: t for name, t in _table(content, path).items() if name.rpartition(".")[2] not in COUNTERS}
    _refuse_larger_than_the_file(state, path)
    named = [(_unwrapped(name), tensor) for name, tensor in state.items()]
    # Wrappers may be nested, as DataParallel within Lightning: remove prefixes until none is common to all.
    while prefix := _common_prefix([name for name, _ in named]):
        named = [(name.removeprefix(prefix), tensor) for name, tensor in named]
    bare: dict[str, Tensor] = {}
    for (name, tensor), original in zip(named, state, strict=True):
        if name in bare:
            raise DataError(f"{path} holds {name} twice, once as {original}")
        bare[name] = tensor
    return bare


def _table(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    if _is_table(content):
        return dict(content)
    found = [name for name, value in content.items() if isinstance(value, dict) and value and _is_table(value)]
    trained = [name for name in found if name in TABLES] or found
    if len(trained) > 1:
        raise DataError(
            f"{path} has several tables of weights ({', '.join(map(str, trained))}); save one of them alone"
        )
    if not trained:
        raise DataError(f"{path} has no weights by name and no 'state_dict' of them; its keys: {shown(content)}")
    return dict(content[trained[0]])


def _is_table(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _unwrapped(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _common_prefix(names: list[str]) -> str | None:
    """A known prefix that all names have; None if there is none."""
    return next((p for p in PREFIXES if names and all(name.startswith(p) for name in names)), None)


def _refuse_larger_than_the_file(state: Mapping[str, Tensor], path: Path) -> None:
    """DataError for a tensor that would not fit into the file.

    With strides of 0 one stored number stands for a tensor of any shape, which would fill the memory once it is copied.
    """
    size = path.stat().st_size
    for name, tensor in state.items():
        if tensor.numel() * tensor.element_size() > size and not tensor.is_meta and not tensor.is_sparse:
            raise DataError(f"{path}: {name} is {shape(tensor)}, more than the file of {size:,} bytes can hold")


def shown(keys: Mapping[Any, Any]) -> str:
    """The first of the names, for an error."""
    return shortened([str(key) for key in keys]) or "none"
