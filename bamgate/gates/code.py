"""The code that a gate's name refers to: it is found and read first, and executed, as it was read, only on request.

A gate's file may import modules beside it. `pkg.mod:attr` is looked up in the working folder, then among installed
packages. Everything that is executed from a folder is part of the gate's source. Bytecode in a folder is never used: it
may hold another program than the text beside it.
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
    """The code that a gate's name refers to, read but not executed.

    Args:
        spec: the name as it was given.
        name: the name in records.
        attribute: the gate's name in the module `main`.
        modules: modules of the folder by name: `main` and those it imports; empty if `main` is installed.
        origin: the gate's file, or the folder in which its module was found; None if the module is installed.
        source: the text that identifies the gate.
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
        folder: paths are relative to it, and modules are looked up there first; by default the working folder.

    Raises:
        UsageError: the file does not exist or cannot be read.
    """
    refuse_unprintable("gate", spec)
    place, attribute, is_file = split_code(spec)
    root = origin = folder or Path()
    main = place
    if is_file:
        origin = root / place
        if not origin.is_file():
            raise UsageError(f"gate {spec!r}: there is no file {str(origin)!r}")
        # A name of our own: the file may have the name of a module that is already imported.
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
    """Execute the code that was read; UsageError if it fails.

    sys.path and the modules of other code stay as they are.
    """
    try:
        return _imported(code)
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        place, _, is_file = split_code(code.spec)
        failed = f"{Path(place).name} cannot be loaded" if is_file else f"cannot import {place!r}"
        raise UsageError(f"gate {code.spec!r}: {failed}: {one_line(error)}") from error


def _imported(code: Code) -> ModuleType:
    if not code.modules:
        return importlib.import_module(code.main)
    there = getattr(sys.modules.get(code.main), "__file__", None)
    if there is not None and code.main in code.modules and Path(there) == code.modules[code.main].path.absolute():
        # The caller has imported this module: use it, rather than a second copy whose classes would be different ones.
        return sys.modules[code.main]
    with served(code.modules, f"bamgate_user_{code.sha256[:8]}"):
        return importlib.import_module(code.main)


def _source(main: str, modules: Mapping[str, Module], spec: str) -> str:
    """The gate's own text, then the texts of the folder's modules that are executed with it."""
    # Sorted, and a package without a file (no data) left out: the text depends on the files alone.
    others = [name for name in sorted(modules) if name != main and modules[name].data]
    return "\n".join([_text(modules[main], spec), *(f"# {name}\n{_text(modules[name], spec)}" for name in others)])


def _text(module: Module, spec: str) -> str:
    try:
        return importlib.util.decode_source(module.data)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"gate {spec!r}: {module.path.name} cannot be loaded: {one_line(error)}") from None


def _installed_source(name: str) -> str:
    """The text of an installed module, found without importing it or its packages; empty if it has none."""
    spec, path = None, None
    parts = name.split(".")
    # importlib.util.find_spec("a.b") would import, and so execute, the package a. Ask the finders level by level
    # instead.
    for depth in range(1, len(parts) + 1):
        inner = ".".join(parts[:depth])
        finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")] if inner else []
        spec = next((found for finder in finders if (found := finder.find_spec(inner, path)) is not None), None)
        path = spec.submodule_search_locations if spec is not None else None
        if spec is None or (path is None and depth < len(parts)):
            return ""
    return source_of(spec.origin if spec is not None else None)


def source_of(file: str | None) -> str:
    """The text of a module's file; empty if it is not Python, or cannot be read: then the import says what is wrong."""
    try:
        return importlib.util.decode_source(Path(file).read_bytes()) if file and file.endswith(".py") else ""
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
