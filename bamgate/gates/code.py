"""Code that a gate's name leads to: found and read first, and executed, as it was read, only when that is asked for.

A gate's file may import what lies beside it; `pkg.mod:attr` is looked for in the working folder, then among what is
installed. All that is executed of a folder is part of the gate's source. Bytecode is never taken from there: it may be
another program than the text beside it.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from bamgate.errors import UsageError, one_line
from bamgate.gate_names import refuse_unprintable, short_name, split_code

# Never taken from the folder of a gate: Python's own modules, and those that all else here rests on.
_NOT_THEIRS = frozenset((*sys.stdlib_module_names, "bamgate", "numpy", "torch"))


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module of a folder as it was read; a folder without a file of its own has no bytes."""

    path: Path
    data: bytes
    is_package: bool


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
        modules = {main: Module(path=origin, data=_bytes(origin, spec), is_package=False)}
    else:
        modules = _chain(place, root, spec)
    known = {"spec": spec, "name": short_name(spec), "attribute": attribute, "main": main}
    if not modules:
        return Code(**known, modules={}, origin=None, source=_installed_source(place))
    modules = _with_imported(modules, root, spec)
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
    with _served(code.modules, f"bamgate_user_{code.sha256[:8]}"):
        return importlib.import_module(code.main)


class _Finder:
    """Finds the modules that were read."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = self.modules.get(name)
        if module is None:
            return None
        loader = _AsRead(name, str(module.path.absolute()), module.data)
        # A package without search locations: what was not read is not found.
        spec = ModuleSpec(name, loader, origin=loader.path, is_package=module.is_package)
        spec.has_location = True
        return spec


class _AsRead(SourceFileLoader):
    """Compiles the bytes that were read: neither the file as it is by now, nor bytecode beside it."""

    def __init__(self, name: str, path: str, data: bytes) -> None:
        super().__init__(name, path)
        self.data = data

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.data, self.path)
        return code


@contextmanager
def _served(modules: Mapping[str, Module], prefix: str) -> Iterator[None]:
    """Within, these modules come before all others. Afterwards they go by names of their own, and all else as before:
    gates of two folders may each have a helper.py."""
    before = {name: sys.modules.pop(name) for name in modules if name in sys.modules}
    finder = _Finder(modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in modules:
            module = sys.modules.pop(name, None)
            if module is not None:
                # torch.compile finds a function's module by this name.
                module.__name__ = f"{prefix}.{name}"
                sys.modules[module.__name__] = module
        sys.modules.update(before)


def _chain(name: str, root: Path, spec: str) -> dict[str, Module]:
    """A module of the folder with the packages around it, by name; empty where it is not there."""
    parts = name.split(".")
    if parts[0] in _NOT_THEIRS or not all(parts) or "/" in name:
        return {}
    found: dict[str, Module] = {}
    for depth in range(1, len(parts) + 1):
        module = _module_at(root.joinpath(*parts[:depth]), spec, is_last=depth == len(parts))
        if module is None:
            return {}
        found[".".join(parts[:depth])] = module
    return found


def _module_at(path: Path, spec: str, *, is_last: bool) -> Module | None:
    inner, file = path / "__init__.py", path.with_name(f"{path.name}.py")
    if inner.is_file():
        return Module(path=inner, data=_bytes(inner, spec), is_package=True)
    if is_last:
        return Module(path=file, data=_bytes(file, spec), is_package=False) if file.is_file() else None
    return Module(path=inner, data=b"", is_package=True) if path.is_dir() else None


def _with_imported(modules: Mapping[str, Module], root: Path, spec: str) -> dict[str, Module]:
    """With the modules of the folder that they import, and those that these import."""
    found, unread = dict(modules), list(modules)
    while unread:
        name = unread.pop()
        for wanted in _imports_of(name, found[name]):
            more = {n: m for n, m in _chain(wanted, root, spec).items() if n not in found}
            found |= more
            unread += more
    return found


def _imports_of(name: str, module: Module) -> list[str]:
    """Full names of all that may be modules in the import statements of a source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(module.data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # said when it is executed
    names: list[str] = []
    package = name.split(".") if module.is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            around = package[: len(package) - node.level + 1] if node.level else []
            base = [*around, *([node.module] if node.module else [])]
            names += [".".join(base), *(".".join([*base, alias.name]) for alias in node.names)]
    return names


def _source(main: str, modules: Mapping[str, Module], spec: str) -> str:
    """The gate's own text, followed by those of the folder's modules that are executed with it."""
    others = [name for name in sorted(modules) if name != main and modules[name].data]
    return "\n".join([_text(modules[main], spec), *(f"# {name}\n{_text(modules[name], spec)}" for name in others)])


def _text(module: Module, spec: str) -> str:
    try:
        return importlib.util.decode_source(module.data)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"gate {spec!r}: {module.path.name} cannot be loaded: {one_line(error)}") from None


def _bytes(path: Path, spec: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"gate {spec!r}: {str(path)!r} cannot be read: {error.strerror}") from None


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
    """The text of a module's file; empty where it is written in C."""
    return importlib.util.decode_source(Path(file).read_bytes()) if file and file.endswith(".py") else ""
