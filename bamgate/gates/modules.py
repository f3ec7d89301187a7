"""The modules of a gate's folder: read as bytes, with the modules they import, and imported exactly as read."""

import ast
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from bamgate.errors import UsageError

# Never read from the folder of a gate: Python's own modules, and those on which everything here depends. A file
# random.py beside a gate would otherwise replace the standard library's for torch, too.
_NOT_THEIRS = frozenset((*sys.stdlib_module_names, "bamgate", "numpy", "torch"))


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module of a folder as it was read. A package without __init__.py has no bytes."""

    path: Path
    data: bytes
    is_package: bool


def read_bytes(path: Path, spec: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"gate {spec!r}: {str(path)!r} cannot be read: {error.strerror}") from None


class _Finder:
    """A finder for sys.meta_path that knows the modules that were read, and no others."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = self.modules.get(name)
        if module is None:
            return None
        loader = _AsRead(name, str(module.path.absolute()), module.data)
        # A package gets no search locations, so a module that was not read is not found either.
        spec = ModuleSpec(name, loader, origin=loader.path, is_package=module.is_package)
        spec.has_location = True
        return spec


class _AsRead(SourceFileLoader):
    """Compiles the bytes that were read: not the file, which may have changed since, nor bytecode beside it."""

    def __init__(self, name: str, path: str, data: bytes) -> None:
        super().__init__(name, path)
        self.data = data

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.data, self.path)
        return code


@contextmanager
def served(modules: Mapping[str, Module], prefix: str) -> Iterator[None]:
    """Inside this context, importing one of these names gives the module that was read.

    Afterwards the modules are kept under names of their own, and sys.modules is as before, since gates of two folders
    may each have a helper.py.
    """
    # Taken out, not just shadowed: an import looks into sys.modules before it asks any finder.
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
                # torch.compile looks up a function's module by __name__ in sys.modules.
                module.__name__ = f"{prefix}.{name}"
                sys.modules[module.__name__] = module
        sys.modules.update(before)


def chain(name: str, root: Path, spec: str) -> dict[str, Module]:
    """A module of the folder and the packages around it, by name; empty if the folder does not have it."""
    parts = name.split(".")
    # "/" or an empty part, as in "..", would lead out of the folder.
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
        return Module(path=inner, data=read_bytes(inner, spec), is_package=True)
    if is_last:
        return Module(path=file, data=read_bytes(file, spec), is_package=False) if file.is_file() else None
    return Module(path=inner, data=b"", is_package=True) if path.is_dir() else None


def with_imported(modules: Mapping[str, Module], root: Path, spec: str) -> dict[str, Module]:
    """These modules and all modules of the folder that they import, directly or through others."""
    found, unread = dict(modules), list(modules)
    while unread:
        name = unread.pop()
        for wanted in _imports_of(name, found[name]):
            more = {n: m for n, m in chain(wanted, root, spec).items() if n not in found}
            found |= more
            unread += more
    return found


def _imports_of(name: str, module: Module) -> list[str]:
    """Full names of everything in a source's import statements that may be a module."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(module.data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # executing the module reports the error
    names: list[str] = []
    package = name.split(".") if module.is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # One dot is the module's own package, each further one the package around it.
            around = package[: len(package) - node.level + 1] if node.level else []
            base = [*around, *([node.module] if node.module else [])]
            # `from a import b`: b may be a module of a, or a name in it. Try both.
            names += [".".join(base), *(".".join([*base, alias.name]) for alias in node.names)]
    return names
