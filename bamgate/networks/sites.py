"""Where attention stands in a network, by name.

A site is named when it is placed, by whoever places it: a stage of a network of ours, or `insert_module`. The name goes
with the module, so wrapping the network changes nothing. Attention that nobody placed, in a Sequential of the user's
own for instance, has the name that its path gives.
"""

from collections import Counter
from dataclasses import dataclass

from torch import nn

from bamgate.attention import AttentionModule, ExtraBlock, Scale


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """A gate's place in a network.

    Args:
        name: the stage or block that it stands in ("layer1", "layer1.0.channel").
        scale: what applies the gate.
        around: the module whose own part the scale is: a BAM, an SE, one half of a CBAM.
    """

    name: str
    scale: Scale
    around: nn.Module


def name_sites(module: nn.Module, place: str) -> None:
    """Name the attention in `module`, which stands at `place` from now on; nowhere if that is empty."""
    for path, part in module.named_modules():
        if isinstance(part, AttentionModule):
            part.site = ".".join([place, *_telling(path)]) if place else ""


def find_sites(model: nn.Module) -> list[Site]:
    """Every gate of the network, in its order."""
    modules = dict(model.named_modules())
    return [
        Site(name=name, scale=scale, around=modules[path.rpartition(".")[0]])
        for path, name in _names(modules, Scale).items()
        if isinstance(scale := modules[path], Scale)
    ]


def gate_sites(model: nn.Module) -> dict[str, Scale]:
    """Every gate of the network by site."""
    return {site.name: site.scale for site in find_sites(model)}


def sites(model: nn.Module) -> list[str]:
    """Where gates, or the extra blocks that have none, stand in the network, named as by `gate_sites`."""
    return list(_names(dict(model.named_modules()), (Scale, ExtraBlock)).values())


def _names(modules: dict[str, nn.Module], kinds: type[nn.Module] | tuple[type[nn.Module], ...]) -> dict[str, str]:
    """Path -> name of the modules of these kinds: as placed, else by the path; the whole path if two would share it."""
    paths = [path for path, module in modules.items() if isinstance(module, kinds)]
    short = {path: ".".join(_telling(path)) for path in paths}
    names = {path: _placed(modules, path) or short[path] for path in paths}
    for longer in (short, dict(zip(paths, paths, strict=True))):
        shared = Counter(names.values())
        names = {path: longer[path] if shared[name] > 1 else name for path, name in names.items()}
    return names


def _placed(modules: dict[str, nn.Module], path: str) -> str:
    """The name that the attention module at or around `path` was given, and what follows inside it; "" without one."""
    parts = path.split(".")
    for count in range(len(parts), -1, -1):
        module = modules.get(".".join(parts[:count]))
        if isinstance(module, AttentionModule) and module.site:
            return ".".join([module.site, *_telling(".".join(parts[count:]))])
    return ""


def _telling(path: str) -> list[str]:
    """The names of a path but for those that only say where attention is kept."""
    parts = [part for part in path.split(".") if part not in ("", "scale")]
    if "attention" in parts:
        del parts[len(parts) - 1 - parts[::-1].index("attention")]
    return parts
