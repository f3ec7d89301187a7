"""Where the code of a gate is found, what it may import, and what its source is."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
import torch

from bamgate.errors import UsageError
from bamgate.gates import fingerprint, load_gate
from bamgate.gates.code import find_code

GATE = "import torch\nfrom helper import third\n\ndef g(z):\n    return torch.tanh(z) * third\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")


def value(spec: str, folder: Path | None = None) -> float:
    """g(2); tanh(2) = 0.9640275800758169."""
    g: torch.Tensor = load_gate(spec, folder).build()(torch.tensor([2.0]))
    return g.item()


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_gate_imports_what_lies_beside_it(tmp_path: Path) -> None:
    for folder, factor in (("a", 3), ("b", 4)):
        written(tmp_path / folder / "g.py", GATE)
        written(tmp_path / folder / "helper.py", f"from deep.er import one\nthird = one / {factor}\n")
        written(tmp_path / folder / "deep" / "er.py", "from . import zero\none = zero.none + 1\n")
        written(tmp_path / folder / "deep" / "zero.py", "none = 0\n")
    before, path = dict(sys.modules), list(sys.path)
    assert value(f"{tmp_path}/a/g.py:g") == pytest.approx(0.9640275800758169 / 3)
    # Each has its own helper; neither is left behind under that name.
    assert value(f"{tmp_path}/b/g.py:g") == pytest.approx(0.9640275800758169 / 4)
    assert sys.path == path
    assert not {"helper", "deep", "deep.er", "g"} & set(sys.modules)
    assert all(sys.modules.get(name) is module for name, module in before.items())


def test_what_a_program_has_imported_is_not_the_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "mine" / "helper.py", "third = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    import helper  # type: ignore[import-not-found]

    written(tmp_path / "g.py", GATE)
    written(tmp_path / "helper.py", "third = 1 / 3\n")
    assert value(f"{tmp_path}/g.py:g") == pytest.approx(0.9640275800758169 / 3)
    assert sys.modules["helper"] is helper
    assert helper.third == 7
    del sys.modules["helper"]


def test_an_edit_of_what_lies_beside_it_is_an_edit_of_the_gate(tmp_path: Path) -> None:
    spec = f"{written(tmp_path / 'g.py', GATE)}:g"
    written(tmp_path / "helper.py", "third = 1 / 3\n")
    written(tmp_path / "unused.py", "third = 5\n")
    before = load_gate(spec)
    written(tmp_path / "unused.py", "third = 6\n")
    assert load_gate(spec).source_sha256 == before.source_sha256
    written(tmp_path / "helper.py", "third = 1 / 4\n")
    after = load_gate(spec)
    assert after.source_sha256 != before.source_sha256
    assert fingerprint(after) != fingerprint(before)
    assert value(spec) == pytest.approx(0.9640275800758169 / 4)


def test_a_gate_of_one_file_has_its_text_as_source(tmp_path: Path) -> None:
    text = "import math\nimport torch.nn\n\ndef g(z):\n    return z.tanh()\n"
    path = written(tmp_path / "g.py", text)
    assert load_gate(f"{path}:g").source_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert find_code(f"{path}:g").sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_modules_of_the_working_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "mygates" / "__init__.py", "factor = 3\n")
    written(tmp_path / "mygates" / "inner.py", "from . import factor\n\ndef g(z):\n    return z.tanh() / factor\n")
    written(tmp_path / "plain" / "inner.py", "def g(z):\n    return z.tanh() / 5\n")  # a folder without __init__.py
    written(tmp_path / "single.py", "def g(z):\n    return z.tanh() / 6\n")
    with pytest.raises(UsageError, match=r"cannot import 'mygates\.inner': ModuleNotFoundError"):
        load_gate("mygates.inner:g")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.getcwd())])
    path = list(sys.path)
    assert value("mygates.inner:g") == pytest.approx(0.9640275800758169 / 3)
    assert value("plain.inner:g") == pytest.approx(0.9640275800758169 / 5)
    assert value("single:g") == pytest.approx(0.9640275800758169 / 6)
    assert sys.path == path
    assert not {"mygates", "mygates.inner", "plain", "single"} & set(sys.modules)
    gate = load_gate("mygates.inner:g")
    assert (gate.name, gate.origin) == ("mygates.inner:g", tmp_path)
    monkeypatch.chdir(tmp_path / "else")
    assert value("mygates.inner:g", tmp_path) == pytest.approx(0.9640275800758169 / 3)


def test_an_installed_module_is_read_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "site" / "gatelib" / "__init__.py", f"open({str(tmp_path / 'MARK')!r}, 'w').close()\n")
    text = "def g(z):\n    return z.tanh() / 3\n"
    written(tmp_path / "site" / "gatelib" / "inner.py", text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    code = find_code("gatelib.inner:g")
    assert code.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert code.origin is None
    assert not (tmp_path / "MARK").exists()
    assert load_gate("gatelib.inner:g").source_sha256 == code.sha256
    assert (tmp_path / "MARK").exists()
    for name in ("gatelib", "gatelib.inner"):
        del sys.modules[name]


def test_every_spelling_of_a_file_is_one_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "mine.py", "def g(z):\n    return z.tanh()\n")
    monkeypatch.chdir(tmp_path)
    specs = ("mine.py:g", "./mine.py:g", f"{tmp_path}/mine.py:g", "else/../mine.py:g", f"  {tmp_path}/mine.py:g ")
    gates = [load_gate(spec) for spec in specs]
    assert {(gate.name, gate.source_sha256, fingerprint(gate)) for gate in gates} == {
        ("mine.py:g", gates[0].source_sha256, fingerprint(gates[0]))
    }


def test_what_was_not_read_is_not_imported(tmp_path: Path) -> None:
    """Its source would be no part of the gate's."""
    written(tmp_path / "hidden.py", f"open({str(tmp_path / 'MARK')!r}, 'w').close()\n")
    path = written(tmp_path / "g.py", "import importlib\nimportlib.import_module('hidden')\n")
    with pytest.raises(UsageError, match=r"g\.py cannot be loaded: ModuleNotFoundError: No module named 'hidden'"):
        load_gate(f"{path}:g")
    assert not (tmp_path / "MARK").exists()


def test_a_module_beside_it_that_fails(tmp_path: Path) -> None:
    spec = f"{written(tmp_path / 'g.py', GATE)}:g"
    written(tmp_path / "helper.py", "third = (\n")
    with pytest.raises(
        UsageError, match=r"gate '.*/g\.py:g': g\.py cannot be loaded: SyntaxError: .*\(helper\.py, line 1\)"
    ):
        load_gate(spec)
    written(tmp_path / "helper.py", "raise ValueError('no\\nway')\n")
    with pytest.raises(UsageError, match=r"g\.py cannot be loaded: ValueError: no$"):
        load_gate(spec)
    assert "helper" not in sys.modules


def test_a_compiled_gate_with_a_module_beside_it(tmp_path: Path) -> None:
    """torch.compile looks up the modules of functions by their names."""
    written(tmp_path / "g.py", GATE.replace("* third", "* third()"))
    written(tmp_path / "helper.py", "factor = 3\n\ndef third():\n    return 1 / factor\n")
    module = load_gate(f"{tmp_path}/g.py:g").build()
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    assert compiled(torch.tensor([2.0])).item() == pytest.approx(0.9640275800758169 / 3)
