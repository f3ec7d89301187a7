import hashlib
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bamgate.errors import UsageError
from bamgate.gates import GATES, fingerprint, load_gate, plugin_gates

BUILT_IN = (
    "sigmoid, tanh, hard-sigmoid, hard-sigmoid-keras, softsign, none, constant-half, centred-sigmoid, half-sigmoid, "
    "tanh-quarter, tanh-half, hardtanh, clip-sigmoid, arctan, learned-depth"
)
CODE = '''\
"""Gates of a user."""

import torch
from torch import nn

from bamgate.gates import Gate
from bamgate.gates.gate import Elementwise


def swell(z):
    """A third of a tanh.

    More than one line.
    """
    return torch.tanh(z) / 3


class Learned(nn.Module):
    """A slope that is learned."""

    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(2.0))

    def forward(self, z):
        return torch.tanh(self.k * z)


class Wide(nn.Module):
    def __init__(self, channels):
        super().__init__()


shared = Learned()
ready = Gate(name="inner", build=lambda: Elementwise(swell), source="third", low=-1 / 3, high=1 / 3, summary="mine")
number = 3


def breaks(z):
    raise RuntimeError("no such luck\\nand a second line")
'''


@pytest.fixture(autouse=True)
def _forget_imported_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("bamgate_user_", "mygates", "plug")):
            del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mygates.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "mygates_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "inner.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "mygates_package.inner"


def refusal(spec: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_gate(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def values(spec: str) -> list[float]:
    g: torch.Tensor = load_gate(spec).build()(torch.tensor([-1.0, 0.0, 2.0]))
    return g.tolist()


THIRD_OF_TANH = pytest.approx([-0.7615941559557649 / 3, 0, 0.9640275800758169 / 3], rel=1e-6)
TANH_OF_DOUBLE = pytest.approx([-0.9640275800758169, 0, 0.9993292997390670], rel=1e-6)


def test_a_built_in_name_is_the_registered_gate() -> None:
    assert load_gate("tanh") is GATES.get("tanh")
    assert load_gate(" tanh ") is GATES.get("tanh")


def test_an_unknown_name_lists_all_gates_with_the_nearest() -> None:
    assert refusal("hard-sigmiod") == (
        f"unknown gate 'hard-sigmiod'; did you mean 'hard-sigmoid'? (allowed: {BUILT_IN})"
    )
    assert refusal("") == f"unknown gate '' (allowed: {BUILT_IN})"
    assert refusal("z*exp(-z)") == "unknown gate 'z*exp(-z)'; a formula of z starts with expr:, as in 'expr:z*exp(-z)'"


def test_a_function_of_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = load_gate(f"{file}:swell")
    assert (gate.name, gate.summary) == ("mygates.py:swell", "A third of a tanh.")
    assert values(f"{file}:swell") == THIRD_OF_TANH
    assert gate.source_sha256 == hashlib.sha256(CODE.encode()).hexdigest()
    monkeypatch.chdir(file.parent)
    assert load_gate("./mygates.py:swell").name == load_gate("mygates.py:swell").name == "mygates.py:swell"


def test_the_same_file_in_another_folder_is_the_same_gate(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "mygates.py"
    copy.parent.mkdir()
    copy.write_text(CODE)
    here, there = load_gate(f"{file}:swell"), load_gate(f"{copy}:swell")
    assert (here.name, here.source_sha256, fingerprint(here)) == (there.name, there.source_sha256, fingerprint(there))


def test_an_edit_of_the_file_shows_in_both_hashes(file: Path) -> None:
    before = load_gate(f"{file}:swell")
    file.write_text(CODE.replace("torch.tanh(z) / 3", "torch.tanh(z) / 4"))
    after = load_gate(f"{file}:swell")
    assert before.name == after.name
    assert before.source_sha256 != after.source_sha256
    assert fingerprint(before) != fingerprint(after)
    file.write_text(CODE + "# a remark\n")
    remark = load_gate(f"{file}:swell")
    assert before.source_sha256 != remark.source_sha256
    assert fingerprint(before) == fingerprint(remark)


def test_a_function_of_a_module(package: str) -> None:
    gate = load_gate(f"{package}:swell")
    assert (gate.name, gate.summary) == (f"{package}:swell", "A third of a tanh.")
    assert values(f"{package}:swell") == THIRD_OF_TANH
    assert gate.source_sha256 == hashlib.sha256(CODE.encode()).hexdigest()


@pytest.mark.parametrize("where", ["file", "package"])
def test_a_module_class_is_built_anew_for_each_site(where: str, request: pytest.FixtureRequest) -> None:
    gate = load_gate(f"{request.getfixturevalue(where)}:Learned")
    assert gate.summary == "A slope that is learned."
    first, second = gate.build(), gate.build()
    assert first is not second
    assert next(first.parameters()) is not next(second.parameters())
    assert first(torch.tensor([-1.0, 0.0, 2.0])).tolist() == TANH_OF_DOUBLE


def test_a_gate_object_keeps_all_but_its_name_and_source(file: Path) -> None:
    gate = load_gate(f"{file}:ready")
    assert gate.name == "mygates.py:ready"
    assert (gate.low, gate.high, gate.summary) == (-1 / 3, 1 / 3, "mine")
    assert gate.source == file.read_text()  # an edit of the file shows in the hash
    assert values(f"{file}:ready") == THIRD_OF_TANH


def test_what_is_no_gate_is_refused(file: Path) -> None:
    assert refusal(f"{file}:shared") == (
        "gate 'mygates.py:shared' is a module instance, which all sites would share; give its class instead"
    )
    assert refusal(f"{file}:number") == (
        "gate 'mygates.py:number' must be a function, an nn.Module class or a Gate, got int"
    )
    assert refusal(f"{file}:breaks") == (
        "gate 'mygates.py:breaks' fails on a (2, 3, 4, 5) tensor: RuntimeError: no such luck"
    )
    assert re.fullmatch(
        r"gate 'mygates\.py:Wide' fails on a \(2, 3, 4, 5\) tensor: TypeError: .* argument: 'channels'",
        refusal(f"{file}:Wide"),
    )


def test_a_missing_file_attribute_or_module(file: Path, package: str) -> None:
    missing = file.with_name("nothing.py")
    assert refusal(f"{missing}:swell") == f"gate '{missing}:swell': there is no file '{missing}'"
    assert refusal(f"{file.parent}/.py:swell").endswith(f"there is no file '{file.parent}/.py'")
    # The list holds what can be called: the functions and classes of the file, imported ones included.
    allowed = "Gate, Elementwise, swell, Learned, Wide, shared, breaks"
    assert refusal(f"{file}:swel") == (
        f"gate '{file}:swel': unknown attribute 'swel'; did you mean 'swell'? (allowed: {allowed})"
    )
    assert refusal(f"{package}:swel") == (
        f"gate '{package}:swel': unknown attribute 'swel'; did you mean 'swell'? (allowed: {allowed})"
    )
    assert refusal("mygates_missing.mod:swell") == (
        "gate 'mygates_missing.mod:swell': cannot import 'mygates_missing.mod': "
        "ModuleNotFoundError: No module named 'mygates_missing'"
    )
    assert refusal(":swell").startswith("gate ':swell': cannot import '': ValueError:")
    assert refusal(f"{file}:").startswith(f"gate '{file}:': unknown attribute ''")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import mygates_nowhere\n", "ModuleNotFoundError: No module named 'mygates_nowhere'"),
        ("def g(z) return z\n", "SyntaxError: expected ':' (broken.py, line 1)"),
        ("raise ValueError('first\\nsecond')\n", "ValueError: first"),
        ("raise ValueError\n", "ValueError: no message"),
    ],
)
def test_a_file_that_cannot_be_imported(code: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(code)
    assert refusal(f"{path}:g") == f"gate '{path}:g': broken.py cannot be loaded: {reason}"


def test_a_file_may_hold_a_dataclass_with_postponed_annotations(tmp_path: Path) -> None:
    path = tmp_path / "mygates_dataclass.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "import torch\n\n"
        "@dataclass\n"
        "class Slope:\n"
        "    k: float\n\n"
        "def g(z):\n"
        "    return torch.tanh(Slope(2.0).k * z)\n"
    )
    assert values(f"{path}:g") == TANH_OF_DOUBLE


def test_a_file_may_state_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "mygates_latin.py"
    path.write_bytes("# -*- coding: latin-1 -*-\n# café\nimport torch\ng = torch.tanh\n".encode("latin-1"))
    assert values(f"{path}:g") == pytest.approx([-0.7615941559557649, 0, 0.9640275800758169], rel=1e-6)


# Plug-ins: distributions as pip leaves them in site-packages.


def install(folder: Path, distribution: str, entry_points: str, **modules: str) -> None:
    """Write a distribution with its entry points and modules into `folder`, which stands for site-packages."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bamgate.gates]\n{entry_points}\n")
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_plug_in_is_listed_unimported_and_loads_when_it_is_used(site: Path) -> None:
    install(site, "plug-one", "third = plug_one:swell\nslope = plug_one:Learned", plug_one=CODE)
    assert list(plugin_gates()) == ["third", "slope"]
    assert load_gate("tanh") is GATES.get("tanh")
    assert "plug_one" not in sys.modules
    gate = load_gate("third")
    assert "plug_one" in sys.modules
    assert (gate.name, gate.summary) == ("third", "A third of a tanh.")
    assert values("third") == THIRD_OF_TANH
    assert gate.source_sha256 == hashlib.sha256(CODE.encode()).hexdigest()
    assert values("slope") == TANH_OF_DOUBLE


def test_the_name_of_a_plug_in_is_among_the_guesses(site: Path) -> None:
    install(site, "plug-one", "third = plug_one:swell", plug_one=CODE)
    assert refusal("thrid") == f"unknown gate 'thrid'; did you mean 'third'? (allowed: {BUILT_IN}, third)"


def test_a_broken_plug_in_fails_only_when_it_is_used(site: Path) -> None:
    install(site, "plug-good", "third = plug_good:swell", plug_good=CODE)
    install(
        site, "plug-bad", "bad = plug_bad:g\ngone = plug_gone:g\nlost = plug_good:lost", plug_bad="import plug_no\n"
    )
    assert set(plugin_gates()) == {"third", "bad", "gone", "lost"}
    assert values("third") == THIRD_OF_TANH
    assert refusal("bad") == (
        "plug-in gate 'bad' (plug_bad:g) cannot be imported: ModuleNotFoundError: No module named 'plug_no'"
    )
    assert refusal("gone") == (
        "plug-in gate 'gone' (plug_gone:g) cannot be imported: ModuleNotFoundError: No module named 'plug_gone'"
    )
    assert refusal("lost") == (
        "plug-in gate 'lost' (plug_good:lost) cannot be imported: "
        "AttributeError: module 'plug_good' has no attribute 'lost'"
    )


def test_a_plug_in_that_is_no_gate_is_refused_by_its_name(site: Path) -> None:
    install(site, "plug-one", "three = plug_one:number\nboth = plug_one:shared", plug_one=CODE)
    assert refusal("three") == "gate 'three' must be a function, an nn.Module class or a Gate, got int"
    assert refusal("both") == ("gate 'both' is a module instance, which all sites would share; give its class instead")


def test_a_plug_in_may_not_take_a_built_in_name(site: Path) -> None:
    install(site, "plug-one", "tanh = plug_one:swell", plug_one=CODE)
    message = "plug-in gate 'tanh' (plug_one:swell) takes the name of a built-in gate"
    with pytest.raises(UsageError) as caught:
        plugin_gates()
    assert str(caught.value) == message
    assert load_gate("tanh") is GATES.get("tanh")  # what is built in needs no plug-in
    assert refusal("anything") == message


def test_two_plug_ins_may_not_share_a_name(site: Path) -> None:
    install(site, "plug-one", "third = plug_one:swell", plug_one=CODE)
    install(site, "plug-two", "third = plug_two:swell", plug_two=CODE)
    with pytest.raises(UsageError) as caught:
        plugin_gates()
    assert str(caught.value) in (
        "two plug-ins provide a gate 'third': plug_one:swell and plug_two:swell",
        "two plug-ins provide a gate 'third': plug_two:swell and plug_one:swell",
    )


def test_one_plug_in_that_is_found_twice_is_no_clash() -> None:
    point = EntryPoint(name="third", value="plug_one:swell", group="bamgate.gates")
    assert plugin_gates([point, point]) == {"third": point}


@pytest.mark.parametrize("name", ["Third", "my gate", "a:b", "a,b", "expr", "a/b", "tänh"])
def test_the_name_of_a_plug_in_holds_plain_characters(name: str) -> None:
    point = EntryPoint(name=name, value="plug_one:swell", group="bamgate.gates")
    if name == "expr":
        assert plugin_gates([point]) == {name: point}
        return
    with pytest.raises(UsageError) as caught:
        plugin_gates([point])
    assert str(caught.value) == f"plug-in gate {name!r}: a name may contain only a-z 0-9 _ . -"


def test_a_bad_name_in_an_installed_plug_in_is_found(site: Path) -> None:
    install(site, "plug-one", "My Gate = plug_one:swell", plug_one=CODE)
    with pytest.raises(UsageError) as caught:
        plugin_gates()
    assert str(caught.value) == "plug-in gate 'My Gate': a name may contain only a-z 0-9 _ . -"


# The command line, where a plug-in is met first.


def invoke(*arguments: str) -> tuple[int, str, str]:
    from bamgate.cli.app import app

    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_gates_list_warns_of_a_broken_plug_in_and_shows_the_others(site: Path) -> None:
    install(site, "plug-good", "third = plug_good:swell", plug_good=CODE)
    install(site, "plug-bad", "bad = plug_bad:g", plug_bad="import plug_no\n")
    code, out, err = invoke("gates", "list")
    assert code == 0
    warning = "plug-in gate 'bad' (plug_bad:g) cannot be imported: ModuleNotFoundError: No module named 'plug_no'"
    assert f"warning: {warning}" in err.splitlines()
    first_words = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert [word for word in first_words if word in (*GATES.names(), "third", "bad")] == [*GATES.names(), "third"]
    third = next(line for line in out.splitlines() if line.startswith("third"))
    assert third.split()[1:5] == ["0.667", "1.33", "1", "0.333"]


def test_gates_list_as_json(site: Path) -> None:
    install(site, "plug-bad", "bad = plug_bad:g", plug_bad="import plug_no\n")
    code, out, err = invoke("gates", "list", "--json")
    assert code == 0
    assert "warning: plug-in gate 'bad'" in err
    facts = {gate["name"]: gate for gate in json.loads(out)}
    assert list(facts) == GATES.names()
    assert (facts["sigmoid"]["s_low"], facts["sigmoid"]["s_high"], facts["sigmoid"]["s_at_0"]) == (1, 2, 1.5)
    assert facts["softsign"]["form"] is None
    assert facts["tanh-quarter"]["form"] == {"c": 1, "A": 1, "k": 0.25}


def test_gates_show_of_a_gate_of_ones_own(file: Path) -> None:
    code, out, _ = invoke("gates", "show", f"{file}:swell", "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["name"], facts["s_at_0"], facts["slope_at_0"]) == ("mygates.py:swell", 1, 0.333333)
    assert facts["effect"] == "attenuates and amplifies"
