"""Load a gate by what the user typed: a built-in name, a formula, pkg.mod:attr, ./file.py:attr or a plug-in's name."""

import functools
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from torch import nn

from bamgate.config.gate_names import is_code, refuse_unprintable
from bamgate.errors import UsageError, one_line, unknown
from bamgate.gates.builtin import GATES
from bamgate.gates.check import require_usable
from bamgate.gates.code import Code, execute, find_code, source_of
from bamgate.gates.formula import parse_formula
from bamgate.gates.gate import Elementwise, Gate

GROUP = "bamgate.gates"
_NAME = re.compile(r"[a-z0-9_.-]+")


def load_gate(spec: str, folder: Path | None = None) -> Gate:
    """The gate that a user names.

    `pkg.mod:attr`, `file.py:attr` and plug-ins run code; built-in names and formulas do not. Use this for names that
    the user typed. For a name from a file, which may be somebody else's, use `bamgate.gates.stored.stored_gate`.

    Args:
        folder: paths are relative to it, and modules are looked up there first; by default the working folder.

    Raises:
        UsageError: the name is unknown, or the code is not a usable gate.
    """
    spec = spec.strip()
    if spec in GATES:
        return GATES.get(spec)
    refuse_unprintable("gate", spec)
    if spec.startswith("expr:"):
        return _from_formula(spec.removeprefix("expr:"))
    if is_code(spec):
        return gate_of(find_code(spec, folder))
    # No name has these characters: it is a formula whose prefix is missing.
    if re.search(r"[*+(]", spec):
        raise UsageError(f"unknown gate {spec!r}; a formula of z starts with expr:, as in 'expr:{spec}'")
    plugins = plugin_gates()
    if spec in plugins:
        return _from_plugin(plugins[spec])
    raise unknown("gate", spec, [*GATES.names(), *plugins])


def gate_of(code: Code) -> Gate:
    """Execute the code and return its gate; UsageError if it fails or is not a usable gate."""
    gate = _as_gate(_attribute(execute(code), code.attribute, code.spec), code.name, code.source)
    return replace(gate, origin=code.origin)


def plugin_gates(points: Iterable[EntryPoint] | None = None) -> dict[str, EntryPoint]:
    """Entry points of the group bamgate.gates, by name; none is imported.

    Raises:
        UsageError: a plug-in uses the name of a built-in gate or of another plug-in.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP) if points is None else points:
        if not _NAME.fullmatch(point.name):
            raise UsageError(f"plug-in gate {point.name!r}: a name may contain only a-z 0-9 _ . -")
        if point.name in GATES:
            raise UsageError(f"plug-in gate {point.name!r} ({point.value}) takes the name of a built-in gate")
        # One package may be found twice, for instance as an editable install beside its build folder.
        if point.name in found and found[point.name].value != point.value:
            raise UsageError(f"two plug-ins provide a gate {point.name!r}: {found[point.name].value} and {point.value}")
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
    return _as_gate(part, point.name, source_of(getattr(importlib.import_module(point.module), "__file__", None)))


def _attribute(module: Any, attribute: str, spec: str) -> Any:
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UsageError(f"gate {spec!r}: {unknown('attribute', attribute, public)}")
    return getattr(module, attribute)


def _makes_modules(part: Any) -> bool:
    """Whether this is a module class, or one with arguments filled in, such as partial(nn.Hardtanh, 0.0, 1.0)."""
    part = part.func if isinstance(part, functools.partial) else part
    return isinstance(part, type) and issubclass(part, nn.Module)


def _as_gate(part: Any, name: str, source: str) -> Gate:
    """Turn a Gate, an nn.Module class or a function Tensor -> Tensor into a Gate of that name."""
    if isinstance(part, Gate):
        return require_usable(replace(part, name=name, source=source or part.source))
    build: Callable[[], nn.Module]
    if _makes_modules(part):
        build = part
    elif isinstance(part, nn.Module):
        raise UsageError(f"gate {name!r} is a module instance, which all sites would share; give its class instead")
    elif callable(part):
        build = lambda: Elementwise(part)  # noqa: E731
    else:
        raise UsageError(f"gate {name!r} must be a function, an nn.Module class or a Gate, got {type(part).__name__}")
    summary = (getattr(part, "__doc__", None) or "").strip().partition("\n")[0]
    return require_usable(Gate(name=name, build=build, source=source, summary=summary))
