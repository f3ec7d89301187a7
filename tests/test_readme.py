"""The README is true: its commands run as they stand, its Python runs, its make targets are there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import bamgate
from study_samples import study_file

from bamgate.networks.sites import gate_sites
from bamgate.study.expand import expand
from bamgate.study.names import check_names
from bamgate.study.study import read_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


BLOCKS = [[line[2:] for line in block.splitlines() if line.startswith("$ ")] for block in _blocks("console")]
# One block trains what another reports.
_FIRST = [command for block in BLOCKS for command in block if any("runs/first" in c for c in block)]
COMMANDS = [_FIRST, *(block for block in BLOCKS if not set(block) & set(_FIRST))]


def test_the_readme_has_commands() -> None:
    assert sum(map(len, COMMANDS)) == sum(map(len, BLOCKS)) >= 15
    assert [command.split()[1] for command in COMMANDS[0]] == ["run", "report", "reproduce"]


@pytest.mark.slow
@pytest.mark.parametrize("commands", COMMANDS, ids=lambda commands: commands[0])
def test_the_commands_of_a_block_of_the_readme_run(commands: list[str], tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "example.toml", tmp_path / "tests")
    for command in commands:
        finished = _run(shlex.split(command), tmp_path)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    assert words[0] == "bamgate"
    return bamgate(*words[1:], cwd=folder)


@pytest.mark.slow
def test_the_table_of_networks_is_what_the_command_prints(tmp_path: Path) -> None:
    command = "bamgate models --markdown"
    table = re.search(rf"<!-- {command} -->\n(.*?)<!-- end -->", README, flags=re.DOTALL)
    assert table is not None
    assert table[1] == _run(command.split(), tmp_path).stdout


def test_the_python_of_the_readme_runs() -> None:
    module, network, _ = _blocks("python")
    names: dict[str, Any] = {}
    exec(compile(module, "README.md", "exec"), names)
    assert names["refined"].shape == (8, 256, 24, 32)
    assert len([line for line in network.splitlines() if line]) <= 5
    exec(compile(network, "README.md", "exec"), names)
    sites = gate_sites(names["model"])
    assert list(sites) == ["layer1", "layer2", "layer3"]
    z = torch.tensor([-1.0, 0.0, 2.0])
    assert torch.equal(sites["layer2"](z), 1 + torch.tanh(z))
    with torch.no_grad():
        assert names["model"].eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 1000)


def test_the_study_of_the_readme_is_run_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, study = _blocks("python")
    assert len([line for line in study.splitlines() if line]) <= 5
    study_file(tmp_path, seeds="0").rename(tmp_path / "mine.toml")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(study, "README.md", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in said] == ["sigmoid", "tanh"]
    correct = {row["arm"]: 100 * row["correct"] / row["total"] for row in names["ran"].runs}
    assert said[1] == f"{{}} tanh {correct['tanh']} {{0: {correct['tanh'] - correct['sigmoid']}}}"


def test_the_study_file_of_the_readme_is_one(tmp_path: Path) -> None:
    (text,) = _blocks("toml")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    study = read_study(path)
    check_names(path, study)
    cells = expand(study)
    assert len(cells) == 6 * (2 * 4 - 1)  # seeds; contexts and arms but for what is left out
    assert re.search(r"`bamgate study run mine\.toml`", README)


def test_make_targets_of_the_readme_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    assert targets == ["quick", "test"]
    for target in targets:
        assert re.search(rf"^{target}: \$\(READY\)$", makefile, flags=re.MULTILINE)
    # What `make quick` types: the study that comes with bamgate, and its report.
    typed = re.findall(r"^\t\$\(BIN\)/bamgate (.*)$", makefile.split("\ntest:")[0], flags=re.MULTILINE)
    assert typed == ["study run quick --out runs/quick", "report runs/quick"]
    command = [sys.executable, "-m", "bamgate", "study", "plan", *shlex.split(typed[0])[2:], "--no-measure"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr


def test_ci_runs_the_readmes_test_command() -> None:
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
