"""The weights within a checkpoint, by the network's own names: trainers wrap both the dictionary and the names.

Nothing is guessed. A dictionary is searched for one table of tensors; a prefix goes where every name has it; counters
of profilers and averages, which are no weights, are left out. Where a checkpoint holds the trained weights and an
average of them besides (`state_dict_ema`, `model_ema`), the trained ones are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bamgate.errors import DataError
from bamgate.weights.strict import shape, shortened

TABLES = ("state_dict", "model_state_dict", "model")  # the authors', timm's and Lightning's; PyTorch's; torchvision's
PREFIXES = ("module.", "model.", "net.")  # DataParallel's and averages'; Lightning's
# torch.compile's, fully sharded training's and activation checkpointing's, also in the middle of a name.
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
COUNTERS = ("total_ops", "total_params", "n_averaged")  # thop's; torch.optim.swa_utils's


def state_dict_of(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights that a checkpoint holds.

    Args:
        content: what torch.load gave.
        path: what errors call it.

    Raises:
        DataError: it holds none, more than one table of them, one name twice, or a tensor larger than the file.
    """
    if "position" in content:
        raise DataError(f"{path} is a run's checkpoint without its config.json beside it; name the cell's folder")
    state = {name: t for name, t in _table(content, path).items() if name.rpartition(".")[2] not in COUNTERS}
    _refuse_larger_than_the_file(state, path)
    named = [(_unwrapped(name), tensor) for name, tensor in state.items()]
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
        raise DataError(f"{path} holds weights more than once ({', '.join(map(str, trained))}); save one of them alone")
    if not trained:
        raise DataError(f"{path} holds no weights by name, nor a 'state_dict' of them; its keys: {shown(content)}")
    return dict(content[trained[0]])


def _is_table(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _unwrapped(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _common_prefix(names: list[str]) -> str | None:
    """Of those that trainers put before every name; None where there is none."""
    return next((p for p in PREFIXES if names and all(name.startswith(p) for name in names)), None)


def _refuse_larger_than_the_file(state: Mapping[str, Tensor], path: Path) -> None:
    """One number can stand for a tensor of any shape, which would be filled out when it is copied."""
    size = path.stat().st_size
    for name, tensor in state.items():
        if tensor.numel() * tensor.element_size() > size and not tensor.is_meta and not tensor.is_sparse:
            raise DataError(f"{path}: {name} is {shape(tensor)}, more than the file of {size:,} bytes can hold")


def shown(keys: Mapping[Any, Any]) -> str:
    """The first names, for an error."""
    return shortened([str(key) for key in keys]) or "none"
