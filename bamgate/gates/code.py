"""Code that a gate's name leads to: found and read first, and executed, as it was read, only when that is asked for.

A gate's file may import what lies beside it; `pkg.mod:attr` is looked for in the working folder, then among what is
installed. All that is executed of a folder is part of the gate's source. Bytecode is never taken from there: it may be
another program than the text beside it.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bamgate.config.gate_names import refuse_unprintable, short_name, split_code
from bamgate.errors import UsageError, one_line
from bamgate.gates.modules import Module, chain, read_bytes, served, with_imported


@dataclass(frozen=True, kw_only=True)
class Code:
    """What a gate's name leads to, read and not executed.

    Args:
        spec: the name as it was given; `name` is what records call it.
        attribute: of the gate in the module `main`.
        modules: those of the folder by name, `main` and what it imports; empty where `main` is installed.
        origin: the gate's file, or the folder that its module was found in; None where it is installed.
        source: the text that identifies it.
    """

    spec: str
    name: str
    attribute: str
    main: str
    modules: Mapping[str, Module]
    origin: Path | None
    source: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source.encode()).hexdigest()


def find_code(spec: str, folder: Path | None = None) -> Code:
    """Find and read the code of a gate; nothing of it is executed.

    Args:
        spec: file.py:attr or pkg.mod:attr.
        folder: paths lead from there, and modules are looked for there first; by default the working folder.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    refuse_unprintable("gate", spec)
    place, attribute, is_file = split_code(spec)
    root = origin = folder or Path()
    main = place
    if is_file:
        origin = root / place
        if not origin.is_file():
            raise UsageError(f"gate {spec!r}: there is no file {str(origin)!r}")
        root, main = origin.parent, f"bamgate_user_{origin.stem}"
        modules = {main: Module(path=origin, data=read_bytes(origin, spec), is_package=False)}
    else:
        modules = chain(place, root, spec)
    known = {"spec": spec, "name": short_name(spec), "attribute": attribute, "main": main}
    if not modules:
        return Code(**known, modules={}, origin=None, source=_installed_source(place))
    modules = with_imported(modules, root, spec)
    return Code(**known, modules=modules, origin=origin.absolute(), source=_source(main, modules, spec))


def execute(code: Code) -> ModuleType:
    """Execute what was read; UsageError where it fails.

    Names that other code has for its modules, and sys.path, stay as they are.
    """
    try:
        return _imported(code)
    except (Exception, SystemExit) as error:  # it is the user's code
        place, _, is_file = split_code(code.spec)
        failed = f"{Path(place).name} cannot be loaded" if is_file else f"cannot import {place!r}"
        raise UsageError(f"gate {code.spec!r}: {failed}: {one_line(error)}") from error


def _imported(code: Code) -> ModuleType:
    if not code.modules:
        return importlib.import_module(code.main)
    there = getattr(sys.modules.get(code.main), "__file__", None)
    if there is not None and code.main in code.modules and Path(there) == code.modules[code.main].path.absolute():
        return sys.modules[code.main]  # whoever imported it has the gate's own module
    with served(code.modules, f"bamgate_user_{code.sha256[:8]}"):
        return importlib.import_module(code.main)


def _source(main: str, modules: Mapping[str, Module], spec: str) -> str:
    """The gate's own text, followed by those of the folder's modules that are executed with it."""
    others = [name for name in sorted(modules) if name != main and modules[name].data]
    return "\n".join([_text(modules[main], spec), *(f"# {name}\n{_text(modules[name], spec)}" for name in others)])


def _text(module: Module, spec: str) -> str:
    try:
        return importlib.util.decode_source(module.data)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"gate {spec!r}: {module.path.name} cannot be loaded: {one_line(error)}") from None


def _installed_source(name: str) -> str:
    """The text of an installed module, none of it or of the packages around it imported; empty where it has none."""
    spec, path = None, None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        inner = ".".join(parts[:depth])
        finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")] if inner else []
        spec = next((found for finder in finders if (found := finder.find_spec(inner, path)) is not None), None)
        path = spec.submodule_search_locations if spec is not None else None
        if spec is None or (path is None and depth < len(parts)):
            return ""
    return source_of(spec.origin if spec is not None else None)


def source_of(file: str | None) -> str:
    """The text of a module's file; empty where it is written in C, or cannot be read: then it cannot be imported."""
    try:
        return importlib.util.decode_source(Path(file).read_bytes()) if file and file.endswith(".py") else ""
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
