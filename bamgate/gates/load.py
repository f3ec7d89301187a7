"""A gate from what the user typed: a built-in name, a formula, pkg.mod:attr, ./file.py:attr or a plug-in's name."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from torch import nn

from bamgate.errors import UsageError, one_line, unknown
from bamgate.gates.builtin import GATES
from bamgate.gates.check import require_usable
from bamgate.gates.formula import parse_formula
from bamgate.gates.gate import Elementwise, Gate

GROUP = "bamgate.gates"
_NAME = re.compile(r"[a-z0-9_.-]+")


def load_gate(spec: str) -> Gate:
    """The gate that `spec` names; UsageError for an unknown name or for code that is no gate.

    A name runs no code of the user's; `pkg.mod:attr`, `file.py:attr` and plug-ins import theirs.
    """
    spec = spec.strip()
    if spec in GATES:
        return GATES.get(spec)
    if spec.startswith("expr:"):
        return _from_formula(spec.removeprefix("expr:"))
    if ".py:" in spec:
        return _from_file(spec)
    if spec.endswith(".py"):
        raise UsageError(f"gate {spec!r}: name the function or class in it, as in {spec}:NAME")
    if ":" in spec:
        return _from_module(spec)
    if re.search(r"[*+(]", spec):
        raise UsageError(f"unknown gate {spec!r}; a formula of z starts with expr:, as in 'expr:{spec}'")
    plugins = plugin_gates()
    if spec in plugins:
        return _from_plugin(plugins[spec])
    raise unknown("gate", spec, [*GATES.names(), *plugins])


def plugin_gates(points: Iterable[EntryPoint] | None = None) -> dict[str, EntryPoint]:
    """Entry points of the group bamgate.gates by name, none of them imported.

    Raises UsageError where a plug-in takes a built-in name or another plug-in's.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP) if points is None else points:
        if not _NAME.fullmatch(point.name):
            raise UsageError(f"plug-in gate {point.name!r}: a name may hold a-z 0-9 _ . - only")
        if point.name in GATES:
            raise UsageError(f"plug-in gate {point.name!r} ({point.value}) takes the name of a built-in gate")
        if point.name in found and found[point.name].value != point.value:
            raise UsageError(f"two plug-ins bring a gate {point.name!r}: {found[point.name].value} and {point.value}")
        found[point.name] = point
    return found


def _from_formula(text: str) -> Gate:
    normal, function = parse_formula(text)
    name = "expr:" + normal.replace(" ", "")
    return require_usable(Gate(name=name, build=lambda: Elementwise(function), source=name, summary="a formula"))


def _from_plugin(point: EntryPoint) -> Gate:
    try:
        part = point.load()
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way
        raise UsageError(
            f"plug-in gate {point.name!r} ({point.value}) cannot be imported: {one_line(error)}"
        ) from error
    return _as_gate(part, point.name, _source_of(importlib.import_module(point.module)))


def _from_module(spec: str) -> Gate:
    module_name, _, attribute = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # importing runs the user's code
        raise UsageError(f"gate {spec!r}: cannot import {module_name!r}: {one_line(error)}") from error
    return _as_gate(_attribute(module, attribute, spec), spec, _source_of(module))


def _from_file(spec: str) -> Gate:
    path_text, _, attribute = spec.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise UsageError(f"gate {spec!r}: there is no file {path_text!r}")
    module_spec = importlib.util.spec_from_file_location(f"bamgate_user_{path.stem}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up there
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the file is the user's code
        raise UsageError(f"gate {spec!r}: {path.name} cannot be loaded: {one_line(error)}") from error
    # The name in the log holds no folder: the same file elsewhere is the same gate, and its hash tells edits apart.
    source = importlib.util.decode_source(path.read_bytes())
    return _as_gate(_attribute(module, attribute, spec), f"{path.name}:{attribute}", source)


def _attribute(module: Any, attribute: str, spec: str) -> Any:
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UsageError(f"gate {spec!r}: {unknown('attribute', attribute, public)}")
    return getattr(module, attribute)


def _as_gate(part: Any, name: str, source: str) -> Gate:
    """A Gate, an nn.Module class or a function Tensor -> Tensor, as a Gate of that name."""
    if isinstance(part, Gate):
        return require_usable(replace(part, name=name, source=source or part.source))
    build: Callable[[], nn.Module]
    if isinstance(part, type) and issubclass(part, nn.Module):
        build = part
    elif isinstance(part, nn.Module):
        raise UsageError(f"gate {name!r} is a module instance, which all sites would share; give its class instead")
    elif callable(part):
        build = lambda: Elementwise(part)  # noqa: E731
    else:
        raise UsageError(f"gate {name!r} must be a function, an nn.Module class or a Gate, got {type(part).__name__}")
    summary = (getattr(part, "__doc__", None) or "").strip().partition("\n")[0]
    return require_usable(Gate(name=name, build=build, source=source, summary=summary))


def _source_of(module: Any) -> str:
    file = getattr(module, "__file__", None)  # modules in C have none
    return importlib.util.decode_source(Path(file).read_bytes()) if file and file.endswith(".py") else ""
