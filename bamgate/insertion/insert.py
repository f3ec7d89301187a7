"""A module applied to what a named module puts out. The network's own names, and so its state_dict keys, stay."""

import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bamgate.errors import UsageError, nearest, unknown
from bamgate.insertion.dry_run import Call, calls, default_example, dry_run

NAME = "attention"
MARK = "attention_hook"  # of a site: its hook, None in a Sequential; a network's own `attention` has none


def insert_module(model: nn.Module, site: str, module: nn.Module) -> None:
    """Apply `module` to the output of the module called `site`, as `site`.attention.

    A Sequential takes it as its last member, any other module as a part that a forward hook calls: the hook holds
    no reference of its own, so copies, pickles and replicas call their own part.

    Raises:
        UsageError: there is no such site, it is taken, or it calls whatever parts it has.
    """
    place = check_site(model, site)
    place.add_module(NAME, module)
    is_chain = type(place).forward is nn.Sequential.forward
    vars(place)[MARK] = None if is_chain else place.register_forward_hook(_apply)
    _forget_compiled()


def _forget_compiled() -> None:
    """A network compiled before does not look at its hooks again."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def check_site(model: nn.Module, site: str) -> nn.Module:
    """The module called `site`; UsageError where there is none or nothing can be inserted there."""
    place = _find(model, site)
    if hasattr(place, NAME):
        raise UsageError(f"site {site!r} has a part called {NAME!r} already; remove it first")
    if isinstance(place, nn.ModuleList | nn.ModuleDict):
        raise UsageError(f"site {site!r} is a {type(place).__name__}; name the module after it or one inside")
    return place


def _apply(site: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    refined: Tensor = getattr(site, NAME)(output)
    return refined


def remove_module(model: nn.Module, site: str) -> None:
    """Undo `insert_module`; UsageError where nothing was inserted at `site`."""
    places = inserted(model)
    if site not in places:
        raise unknown("site with attention", site, places)
    place = model.get_submodule(site)
    delattr(place, NAME)
    hook = vars(place).pop(MARK)
    if hook is not None:
        hook.remove()
    _forget_compiled()


def inserted(model: nn.Module) -> dict[str, nn.Module]:
    """What has been inserted, by site; a network's own parts called `attention` are not among it."""
    return {name: place.get_submodule(NAME) for name, place in model.named_modules() if MARK in vars(place)}


def channels_at(model: nn.Module, sites: Iterable[str], example: Tensor | None = None) -> dict[str, int]:
    """Channels that each site puts out, by a dry run.

    Raises:
        UsageError: a site does not exist, is not called exactly once in a forward pass, or puts out no map.
    """
    names = list(sites)
    for name in names:
        _find(model, name)
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"site {repeated[0]!r} is named twice")
    x = default_example(model) if example is None else example
    channels = {name: _channels(name, of_site) for name, of_site in _calls_at(names, dry_run(model, x)).items()}
    _refuse_channels_last(model, channels, x)
    return channels


def _calls_at(names: list[str], root: Call) -> dict[str, list[Call]]:
    made: dict[str, list[Call]] = {name: [] for name in names}
    for call in calls(root):
        if call.name in made:
            made[call.name].append(call)
    return made


def _refuse_channels_last(model: nn.Module, channels: dict[str, int], x: Tensor) -> None:
    """A lower image gives lower maps of as many channels; where it gives fewer "channels" these are rows."""
    try:
        lower = dry_run(model, x[:, :, : max(1, x.shape[2] * 6 // 7)])
    except UsageError:
        return  # a network for one size
    for name, of_site in _calls_at(list(channels), lower).items():
        if of_site and of_site[0].after and of_site[0].after[1] != channels[name]:
            raise UsageError(f"site {name!r} puts out B, H, W, C; attention is for maps of shape B, C, H, W")


def _channels(name: str, of_site: list[Call]) -> int:
    if len(of_site) != 1:
        times = f"called {len(of_site)} times" if of_site else "never called"
        raise UsageError(f"site {name!r} is {times} in a forward pass; a site is called once")
    if of_site[0].after is None:
        raise UsageError(f"site {name!r} puts out no map of shape B, C, H, W; choose a module that does")
    return of_site[0].after[1]


def _find(model: nn.Module, site: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if not site or site not in modules:
        raise _no_site(site, [name for name in modules if name])
    return modules[site]


def _no_site(site: str, names: list[str]) -> UsageError:
    """Names near the top of the network are listed; the nearest guess is taken from all."""
    top = [name for name in names if name.count(".") == 0]
    return UsageError(f"unknown site {site!r}{nearest(site, names)} (at the top: {', '.join(top)})")
