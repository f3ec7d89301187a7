"""The shape of the project, read from its source: who imports whom, what is heavy, what is installed."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"bamgate": "bamgate", "cli": "bamgate.cli", "studies": "bamgate.studies", "reports": "bamgate.reports"}

# From the ground up: folders, and the few modules that stand beside them. A module imports from its own part and from
# the floors below it; imports inside functions count.
FLOORS = [
    ["bamgate._version", "bamgate.errors", "bamgate.studies"],
    ["bamgate.registry", "bamgate.seeding"],
    ["bamgate.config", "bamgate.stats"],
    ["bamgate.record"],
    ["bamgate.devices", "bamgate.gates", "bamgate.reports"],
    ["bamgate.attention", "bamgate.data"],
    ["bamgate.networks"],
    ["bamgate.observe", "bamgate.tasks"],
    ["bamgate.engines"],
    ["bamgate.run", "bamgate.weights"],
    ["bamgate.benchmark", "bamgate.evaluation", "bamgate.study"],
    ["bamgate.cli"],
    ["bamgate", "bamgate.__main__"],
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
WITHOUT_TORCH = ["errors", "registry", "config", "record", "stats"]
HEAVY = {"torch", "torchvision", "numpy", "pandas", "seaborn", "matplotlib", "sklearn", "PIL", "scipy"}


def _modules() -> dict[str, Path]:
    found = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts])
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    tree = _tree(path)
    nodes = _outside_functions(tree) if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported; what stands under `if TYPE_CHECKING` does not."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _outside_functions(child)


def _part(module: str) -> str:
    """The entry of FLOORS that a module belongs to."""
    return max((name for name in FLOOR if module == name or module.startswith(name + ".")), key=len)


MODULES = _modules()


def _targets(module: str, *, top_level_only: bool = False) -> set[str]:
    """The modules of ours that a module imports; of `from package import module` the module alone."""
    found = set()
    for imported in _imports(MODULES[module], top_level_only=top_level_only):
        target = imported if imported in MODULES else imported.rpartition(".")[0]
        found |= {target} & MODULES.keys()
    packages = {name for name in found if any(other.startswith(name + ".") for other in found)}
    return found - packages - {module}


def test_every_module_has_a_floor() -> None:
    for module in MODULES:
        assert module == "bamgate" or _part(module) != "bamgate", f"{module} stands on no floor"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    for target in _targets(module):
        if _part(target) != _part(module):
            assert FLOOR[_part(target)] < FLOOR[_part(module)], f"{module} imports {target}, which is not below it"


def test_no_circles() -> None:
    graph = {name: _targets(name) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for below in graph[name]:
                visit(below, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", [*(f"bamgate.{name}" for name in WITHOUT_TORCH), "bamgate.reports"])
def test_a_reader_of_records_needs_no_torch(module: str) -> None:
    for name, path in MODULES.items():
        if name == module or name.startswith(module + "."):
            roots = {imported.split(".")[0] for imported in _imports(path)}
            assert not roots & {"torch", "torchvision"}, name


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("bamgate.cli")])
def test_the_command_line_starts_light(module: str) -> None:
    if module.rpartition(".")[2] in ("progress", "dry_run", "summary"):
        return  # imported by commands when they run
    roots = {imported.split(".")[0] for imported in _imports(MODULES[module], top_level_only=True)}
    assert not roots & HEAVY


def test_only_the_command_line_prints_and_exits() -> None:
    for module, path in MODULES.items():
        if module.startswith("bamgate.cli"):
            continue
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.exit", "exit", "quit"), f"{module} line {node.lineno}: {called}"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['bamgate', '--help']\n"
        "from bamgate.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "Usage: bamgate" in finished.stdout


def test_files_and_functions_stay_short() -> None:
    for module, path in MODULES.items():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{module} is too long"
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                body = node.end_lineno - node.body[0].lineno + 1
                assert body <= 40, f"{module}.{node.name} has {body} lines"


def test_public_parts_have_docstrings() -> None:
    for module, path in MODULES.items():
        tree = _tree(path)
        assert ast.get_docstring(tree), f"{module} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


# What writes records: bamgate.record.storage alone touches their files, since it asks for the claim before each change.
RECORDS = ("bamgate.record", "bamgate.run", "bamgate.engines", "bamgate.study")
CHANGES = {
    *("unlink", "rename", "rmdir", "mkdir", "touch", "write_text", "write_bytes", "symlink_to", "hardlink_to"),
    *(
        "rmtree",
        "copy",
        "copyfile",
        "copytree",
        "move",
        "remove",
        "removedirs",
        "makedirs",
        "truncate",
        "link",
        "renames",
    ),
}


def _changes_files(node: ast.Call) -> bool:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    if name == "open":
        return any(isinstance(word, ast.Constant) and set(str(word.value)) & set("wax+") for word in node.args[-1:])
    if not isinstance(called, ast.Attribute):
        return False
    # str.replace has two arguments.
    return name in CHANGES or (name == "replace" and len(node.args) == 1 and not node.keywords)


def test_records_are_changed_by_the_storage_alone() -> None:
    for module, path in MODULES.items():
        if module.startswith(RECORDS) and module not in ("bamgate.record.storage", "bamgate.record.claims"):
            calls = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call)]
            found = [f"line {node.lineno}: {ast.unparse(node)}" for node in calls if _changes_files(node)]
            assert not found, f"{module} changes files past bamgate.record.storage: {found}"


def test_attention_is_watched_in_one_place() -> None:
    """Hooks stand in the capture; in the dry run, which follows every module; and where a part is inserted by one."""
    insertion = "bamgate.networks.insertion"
    for module, path in MODULES.items():
        if module not in ("bamgate.observe.capture", f"{insertion}.dry_run", f"{insertion}.insert"):
            names = [node.attr for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)]
            assert not [name for name in names if name.startswith("register_") and name.endswith("_hook")], module
