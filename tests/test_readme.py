"""The README is true: its commands run as they stand, its Python runs, its make targets are there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


COMMANDS = [line[2:] for block in _blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "bamgate"
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "example.toml", tmp_path / "tests")
    finished = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


@pytest.mark.parametrize("block", _blocks("python"))
def test_the_python_of_the_readme_runs(block: str) -> None:
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["refined"].shape == (8, 256, 24, 32)  # type: ignore[attr-defined]


def test_make_targets_of_the_readme_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    assert targets == ["quick", "test"]
    for target in targets:
        assert re.search(rf"^{target}: \$\(READY\)$", makefile, flags=re.MULTILINE)
    # What `make quick` types is a command line that the program takes.
    quick = re.search(r"^\t\$\(BIN\)/bamgate (run .*)$", makefile, flags=re.MULTILINE)
    assert quick is not None
    command = [sys.executable, "-m", "bamgate", *shlex.split(quick[1]), "--dry-run"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr


def test_ci_runs_the_readmes_test_command() -> None:
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
