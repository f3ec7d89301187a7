"""Apply a new module to the output of a named one. The network's own names, and so its state_dict keys, stay."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from bamgate.errors import UsageError, nearest, unknown
from bamgate.networks.insertion.channels import of_sites
from bamgate.networks.insertion.dry_run import default_example
from bamgate.networks.insertion.seen import as_it_was, noticed
from bamgate.networks.sites import name_sites

NAME = "attention"
# Attribute of a site: its hook, or None in a Sequential. A module that the network itself calls `attention` has no
# mark.
MARK = "attention_hook"


def insert_module(model: nn.Module, site: str, module: nn.Module) -> None:
    """Apply `module` to the output of the module called `site`, as `site`.attention.

    A Sequential gets it as its last member. In any other module a forward hook calls it. The hook holds no reference to
    `module`, so copies, pickles and replicas call their own.

    Raises:
        UsageError: there is no such site, it is taken, or it is a ModuleList or ModuleDict.
    """
    place = check_site(model, site)
    place.add_module(NAME, module)
    name_sites(module, site)
    # A subclass of Sequential may have a forward pass of its own, which would not call a new member. Its hook is not
    # one of `observe.capture`: it watches nothing, it calls the module.
    is_chain = type(place).forward is nn.Sequential.forward
    vars(place)[MARK] = None if is_chain else place.register_forward_hook(_apply)
    if not is_chain:
        noticed(place)


def check_site(model: nn.Module, site: str) -> nn.Module:
    """The module called `site`; UsageError if there is none, or nothing can be inserted there."""
    place = _find(model, site)
    if hasattr(place, NAME):
        raise UsageError(f"site {site!r} already has a part called {NAME!r}; remove it first")
    # These have no forward pass, and their owner calls whatever members it finds, perhaps in a loop.
    if isinstance(place, nn.ModuleList | nn.ModuleDict):
        raise UsageError(f"site {site!r} is a {type(place).__name__}; name the module after it, or one inside it")
    return place


def _apply(site: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    # A function of the module, not a closure: it can be pickled, and looks the attention up in the copy that runs.
    refined: Tensor = getattr(site, NAME)(output)
    return refined


def remove_module(model: nn.Module, site: str) -> None:
    """Undo `insert_module`; UsageError if nothing was inserted at `site`."""
    places = inserted(model)
    known = dict(model.named_modules(remove_duplicate=False))
    if site not in known or MARK not in vars(known[site]):
        raise unknown("site with attention", site, places)
    place: nn.Module = known[site]
    name_sites(getattr(place, NAME), "")
    delattr(place, NAME)
    hook = vars(place)[MARK]
    delattr(place, MARK)
    if hook is not None:
        hook.remove()
        as_it_was(place)


def inserted(model: nn.Module) -> dict[str, nn.Module]:
    """The inserted modules, by site. Parts that the network itself calls `attention` are not among them."""
    return {name: place.get_submodule(NAME) for name, place in model.named_modules() if MARK in vars(place)}


def channels_at(model: nn.Module, sites: Iterable[str], example: Tensor | None = None) -> dict[str, int]:
    """The number of output channels of each site, found by a dry run.

    Raises:
        UsageError: a site does not exist, is not called exactly once in a forward pass, or its output is not a map.
    """
    names = list(sites)
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"site {repeated[0]!r} is named twice; name it once")
    first = {name: _first_name(model, name) for name in names}
    for name in names:
        same = [other for other in names if first[other] == first[name]]
        if len(same) > 1:
            raise UsageError(f"sites {same[0]!r} and {same[1]!r} are two names of one module; name it once")
    return of_sites(model, first, default_example(model) if example is None else example)


def _first_name(model: nn.Module, site: str) -> str:
    """The first name of the site's module. A module may have several names; the dry run records the first."""
    place = _find(model, site)
    first: str = next(name for name, module in model.named_modules() if module is place)
    return first


def _find(model: nn.Module, site: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if not site or site not in modules:
        raise _no_site(site, [name for name in modules if name])
    return modules[site]


def _no_site(site: str, names: list[str]) -> UsageError:
    """The error for an unknown site. It lists the names at the top level; the nearest guess is taken from all names."""
    top = [name for name in names if name.count(".") == 0]
    return UsageError(f"unknown site {site!r}{nearest(site, names)} (at the top level: {', '.join(top)})")
