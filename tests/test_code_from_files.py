"""Nothing that a file names is executed unless whoever reads it says so: weights, runs, settings, studies, CSVs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from code_samples import TINY, Marker, done, edited, invoke, refused, weights_with
from csv_samples import made_study
from helpers import bamgate
from study_samples import opened, study_file

from bamgate import insert_attention, load_model
from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.errors import DataError, UsageError
from bamgate.gates import load_gate
from bamgate.run.cells import run_cell
from bamgate.run.resolve import make_plan
from bamgate.study.executors.local import program


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Marker:
    """In the working folder, where `evil:g` is found too."""
    monkeypatch.chdir(tmp_path)
    return Marker(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Marker]:
    """A folder of `bamgate run` with one cell, trained with a gate that is code."""
    folder = tmp_path_factory.mktemp("run")
    marker = Marker(folder, name="own.py")
    training = TrainingConfig(epochs=1, batch_size=32, train_limit=64)
    gate = load_gate(marker.spec)
    config = RunConfig(dataset="digits", attention=AttentionConfig(gate=gate.name), training=training)
    run_cell(config, folder / "rr", gate=gate)
    marker.was_run()
    return folder / "rr", marker


def sources(run: Path) -> list[Path]:
    """Every way to name the cell."""
    (cell,) = (run / "cells").iterdir()
    return [run, cell, cell / "checkpoint.pt"]


@pytest.mark.parametrize("name", ["evil.py:g", "./evil.py:g", "{file}:g", "evil:g", "os:getcwd", " evil.py:g"])
def test_weights_do_not_run_their_gate(name: str, marker: Marker, tmp_path: Path) -> None:
    path = weights_with(tmp_path / "w.safetensors", marker, name.format(file=marker.file))
    for command in (["evaluate", str(path)], ["convert", str(path), str(tmp_path / "new.safetensors")]):
        line = refused(*command)
        assert f"{path}: gate " in line
        assert "is code" in line
        assert "none of it was run; pass --allow-code if you trust it, or name the code yourself: --gate" in line
    with pytest.raises(UsageError, match="none of it was run"):
        load_model(path)
    assert not marker.was_run()
    assert not (tmp_path / "new.safetensors").exists()


def test_weights_run_their_gate_if_it_is_allowed_and_as_it_was(marker: Marker, tmp_path: Path) -> None:
    path = weights_with(tmp_path / "w.safetensors", marker, "evil.py:g")
    plain = done("evaluate", str(path), "--allow-code")
    assert "gate evil.py:g" in plain
    assert marker.was_run()
    load_model(path, allow_code=True)
    assert marker.was_run()
    marker.write("4")
    line = refused("evaluate", str(path), "--allow-code")
    assert f"gate 'evil.py:g' has changed: the sha256 of {str(marker.file)!r} is not the stored one" in line
    assert "none of it was run" in line
    assert not marker.was_run()


def test_weights_that_do_not_say_which_code_it_was(marker: Marker, tmp_path: Path) -> None:
    path = weights_with(tmp_path / "w.safetensors", marker, "evil.py:g", sha256=False)
    with pytest.raises(UsageError, match="the sha256 of its source is not stored, so none of it was run"):
        load_model(path, allow_code=True)
    assert not marker.was_run()
    load_model(path, gate=marker.spec)
    assert marker.was_run()


def test_a_run_does_not_run_its_gate(run: tuple[Path, Marker], tmp_path: Path) -> None:
    folder, marker = run
    for source in sources(folder):
        line = refused("evaluate", str(source))
        assert f"gate 'own.py:g' is code ({marker.file}), and none of it was run" in line
        refused("convert", str(source), str(tmp_path / "new.safetensors"))
        with pytest.raises(UsageError, match="none of it was run"):
            load_model(source)
    assert not marker.was_run()


def test_a_run_is_evaluated_from_any_folder(
    run: tuple[Path, Marker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, marker = run
    table = None
    for place in (folder.parent, tmp_path):
        monkeypatch.chdir(place)
        for source in sources(folder):
            shown = done("evaluate", str(source), "--allow-code")
            assert shown == (table or shown)
            table = shown
            assert marker.was_run()
    # The code can be named instead; then it is the network's own gate.
    shown = done("evaluate", str(folder), "--gate", marker.spec)
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("gate own.py:g")] == ["0"]
    other = Marker(tmp_path, name="own.py", factor="100")
    assert "none of it was run" in refused("evaluate", str(folder), "--gate", other.spec)
    assert "gate own.py:g" in done("evaluate", str(folder), "--gate", other.spec, "--allow-code")
    assert done("convert", str(folder), str(tmp_path / "w.safetensors"), "--gate", marker.spec)
    assert done("evaluate", str(tmp_path / "w.safetensors"), "--allow-code") == table


def test_a_run_whose_code_has_changed_or_gone(run: tuple[Path, Marker], tmp_path: Path) -> None:
    run[1].was_run()
    moved = tmp_path / "moved"
    shutil.copytree(run[0].parent, moved)
    folder, file = moved / "rr", moved / "own.py"
    text = file.read_text()
    mark = moved / "MARK"
    file.write_text(text.replace(str(run[1].mark), str(mark)))
    assert "has changed: the sha256 of" in refused("evaluate", str(folder), "--allow-code")
    file.unlink()
    line = refused("evaluate", str(folder), "--allow-code")
    assert f"the code of gate 'own.py:g' is not at {file} nor " in line
    assert not mark.exists()
    assert not run[1].was_run()
    file.write_text(text)  # the run and its gate were moved together
    assert done("evaluate", str(folder), "--allow-code")


def test_bytecode_beside_a_gate_is_not_executed(marker: Marker, tmp_path: Path) -> None:
    """A program of another text, that Python itself would take for the file's."""
    import importlib.util
    import py_compile

    path = weights_with(tmp_path / "w.safetensors", marker, "evil.py:g")
    good = marker.file.read_text()
    for name in ("evil", "helper"):
        other = tmp_path / "other.py"
        other.write_text(f"open({str(tmp_path / 'STOLEN')!r}, 'w').close()\nthird = 3\ndef g(z):\n    return z\n")
        cached = importlib.util.cache_from_source(str(tmp_path / f"{name}.py"))
        py_compile.compile(str(other), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    load_model(path, allow_code=True)
    assert marker.was_run()
    (tmp_path / "helper.py").write_text("third = 3\n")
    marker.file.write_text(good.replace("import torch", "import torch\nfrom helper import third"))
    load_gate(marker.spec)
    assert not (tmp_path / "STOLEN").exists()


def test_a_configuration_edited_to_name_code(run: tuple[Path, Marker], marker: Marker, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run[0], folder)
    for source in sources(folder):
        edited(sources(folder)[1] / "config.json", "config", "attention", "gate", value=marker.spec)
        result = invoke("evaluate", str(source))
        assert isinstance(result.exception, UsageError | DataError)
    assert not marker.was_run()


@pytest.mark.parametrize("where", ["beside", "elsewhere"])
@pytest.mark.parametrize("name", ["evil.py:g", "./evil.py:g", "sub/../evil.py:g", "evil:g"])
def test_settings_do_not_run_a_gate(
    name: str, where: str, marker: Marker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    config = tmp_path / "c.toml"
    config.write_text(f'[attention]\ngate = ["tanh", "{name}"]\n')
    if where == "elsewhere":
        (tmp_path / "else").mkdir()
        monkeypatch.chdir(tmp_path / "else")
    line = refused("run", "--config", str(config), "--out", str(tmp_path / "rr"))
    assert line.startswith(f"{config}: gate ")
    assert "is code, and none of it was run; pass --allow-code if you trust it, or name it on the command" in line
    assert not marker.was_run()
    assert not (tmp_path / "rr").exists()


@pytest.mark.parametrize("name", ["./evil.py:g", "evil:g"])
def test_settings_run_a_gate_beside_them_if_that_is_allowed(
    name: str, marker: Marker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text(f'[attention]\ngate = ["tanh", "{name}"]\n')
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    words = ["run", "--config", "../c.toml", *TINY, "--dry-run", "--json"]
    assert '"tanh"' in done(*words, "--gate", "tanh")  # options win, so nothing of the file's is code
    assert not marker.was_run()
    assert f'"{Path(name).name}"' in done(*words, "--allow-code")
    assert marker.was_run()


def test_allow_code_without_a_file_is_refused() -> None:
    line = refused("run", "--gate", "tanh", "--allow-code", "--dry-run")
    assert line == "--allow-code would have no effect: gates on the command line may be code; leave it out"


STUDY_COMMANDS = (["run", "--jobs", "1", "--quiet"], ["plan", "--no-measure"])


@pytest.mark.parametrize("name", ["evil.py:g", "./evil.py:g", "{file}:g", "evil:g"])
def test_a_study_file_does_not_run_a_gate(name: str, marker: Marker, tmp_path: Path) -> None:
    spec = name.format(file=marker.file)
    for more in (f'[arms.code]\ngate = "{spec}"\n', f'[arms.a]\nlr = 0.1\n[axes]\ngate = ["tanh", "{spec}"]\n'):
        file = study_file(tmp_path, gates='"sigmoid"' if "axes" not in more else "", more=more)
        if "axes" in more:
            file.write_text(file.read_text().replace('reference = "sigmoid"', 'reference = "a"'))
        for command in STUDY_COMMANDS:
            line = refused("study", command[0], str(file), "--out", str(tmp_path / "out"), *command[1:])
            assert line == (
                f"study tiny: gate {spec!r} is code, and none of it was run; pass --allow-code if you trust it, "
                "or write it as a formula (expr:...)"
            )
    assert not marker.was_run()
    assert not (tmp_path / "out").exists()


@pytest.fixture
def begun(marker: Marker, tmp_path: Path) -> Path:
    """The folder of a study with a gate that is code; nothing of it was trained."""
    file = study_file(tmp_path, gates='"sigmoid"', seeds="0", more='[arms.code]\ngate = "./evil.py:g"\n')
    opened(tmp_path / "out", file)
    assert marker.was_run()
    return tmp_path / "out"


def test_a_study_folder_does_not_run_a_gate(begun: Path, marker: Marker, tmp_path: Path) -> None:
    for words in (["run"], ["plan", "--no-measure"]):
        assert "is code, and none of it was run" in refused("study", words[0], str(begun), *words[1:])
    worker = bamgate("study", "work", str(begun))  # in a process of its own: it tells its parent on its stdout
    assert worker.returncode == 2
    assert "is code, and none of it was run" in worker.stdout
    assert "is code, and none of it was run" in refused("study", "add-seeds", str(begun), "1")
    done("study", "status", str(begun))
    done("study", "verify", str(begun))
    shutil.copytree(begun, tmp_path / "part")
    done("study", "merge", str(begun), str(tmp_path / "part"), "--out", str(tmp_path / "joined"))
    assert not marker.was_run()


def test_a_study_folder_finds_its_gate_from_anywhere(
    begun: Path, marker: Marker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "part", tmp_path / "deep" / "part"):
        shutil.copytree(begun, folder)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    joined = tmp_path / "deep" / "er" / "joined"
    done("study", "merge", str(begun), str(tmp_path / "part"), "--out", str(joined))
    for folder in (begun, joined):
        assert "2 missing" in done("study", "plan", str(folder), "--no-measure", "--allow-code")
        assert marker.was_run()
        assert "seeds 1 added" in done("study", "add-seeds", str(folder), "1", "--allow-code")
        assert marker.was_run()
    assert "4 missing in x" in done("study", "plan", str(begun), "--out", "x", "--no-measure", "--allow-code")
    assert marker.was_run()
    line = refused("study", "plan", str(tmp_path / "deep" / "part"), "--no-measure", "--allow-code")
    assert f"the code of gate './evil.py:g' is not at {tmp_path / 'deep' / 'evil.py'} nor " in line
    marker.write("4")
    for words in (["plan", str(begun), "--no-measure"], ["run", str(begun)], ["add-seeds", str(begun), "1"]):
        line = refused("study", *words, "--allow-code")
        assert "gate './evil.py:g' has changed: the sha256 of" in line
    line = refused("study", "run", str(tmp_path / "tiny.toml"), "--out", str(begun), "--allow-code")
    assert line == (
        f"study tiny, arm 'code': gate './evil.py:g' is not the code it was when {begun} was begun, "
        "and none of it was run; give it another name or choose another --out"
    )
    assert not marker.was_run()


def test_two_files_of_one_name_in_a_study(tmp_path: Path) -> None:
    for folder, factor in (("a", "3"), ("b", "4")):
        (tmp_path / folder).mkdir()
        Marker(tmp_path / folder, name="g.py", factor=factor)
    file = study_file(tmp_path, gates='"sigmoid", "a/g.py:g", "b/g.py:g"')
    line = refused("study", "plan", str(file), "--no-measure", "--allow-code", "--out", str(tmp_path / "out"))
    assert line.endswith(
        "study tiny: 'a/g.py:g' and 'b/g.py:g' are different gates, both called 'g.py:g'; rename one of the files"
    )


def test_reports_do_not_run_a_gate(marker: Marker, tmp_path: Path) -> None:
    arms = ("sigmoid", marker.spec, "evil:g")
    counts = {arm: 9000 + 10 * number for number, arm in enumerate(arms)}
    folder = made_study(tmp_path / "s", lambda arm, context, seed: counts[arm] + seed, arms=arms, seeds=range(3))
    shown = done("report", str(folder), "--json")
    assert all(name in shown for name in arms)
    refused("reproduce", str(folder), code=4)  # it has no report
    assert not marker.was_run()


def test_files_that_are_called_like_gates_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    marks = [Marker(tmp_path, name=name) for name in ("tanh.py", "tanh", "torch.py", "sigmoid.py")]
    assert load_gate("tanh").origin is None
    assert load_gate("torch.nn:Tanh").origin is None
    assert make_plan({"gate": "tanh"}).gates == [load_gate("tanh")]
    assert not marks[0].was_run()


def test_workers_find_no_modules_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    marks = [Marker(tmp_path, name=name) for name in ("typer.py", "bamgate.py", "json.py")]
    subprocess.run([sys.executable, "-c", program(), "--version"], check=True, capture_output=True)
    assert not marks[0].was_run()


def test_configurations_in_python_run_no_code(marker: Marker, tmp_path: Path) -> None:
    """An AttentionConfig or a RunConfig may come from a file."""
    from torchvision.models import resnet18

    attention = AttentionConfig(gate=marker.spec)
    training = TrainingConfig(epochs=1, batch_size=32, train_limit=64)
    config = RunConfig(dataset="digits", attention=attention, training=training)
    message = "is code, and none of it was run; pass the gate itself"
    with pytest.raises(UsageError, match=message):
        insert_attention(resnet18(), "stages", attention)
    with pytest.raises(UsageError, match=message):
        run_cell(config, tmp_path / "rr")
    with pytest.raises(UsageError, match=message):
        make_plan({"gate": marker.spec})
    assert not marker.was_run()
    assert len(insert_attention(resnet18(), "stages", attention, gate=load_gate(marker.spec))) == 3


@pytest.mark.slow
def test_a_study_with_code_is_trained_and_gone_on_with(marker: Marker, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    file = study_file(tmp_path, gates='"sigmoid"', seeds="0", more='[arms.code]\ngate = "./evil.py:g"\n')
    words = ["study", "run", str(file), "--out", "runs/s", "--jobs", "1", "--quiet", "--allow-code"]
    finished = bamgate(*words, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert marker.was_run()
    (cell,) = [path.parent for path in (tmp_path / "runs/s").glob("cells/*/config.json") if "evil" in path.read_text()]
    assert "location" not in (cell / "config.json").read_text()
    assert "gate evil.py:g" in done("evaluate", str(cell), "--allow-code")
