"""What a user installs: one name in site-packages, everything in it, and a console script that works elsewhere."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPED = {"cli": "bamgate.cli", "studies": "bamgate.studies", "reports": "bamgate.reports"}


def test_the_package_list_is_the_folders() -> None:
    packages = [".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "bamgate").rglob("__init__.py")]
    for folder, package in MAPPED.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            packages.append(".".join([package, *path.parent.relative_to(ROOT / folder).parts]))
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(packages)
    assert PROJECT["tool"]["setuptools"]["package-dir"] == {"bamgate": "bamgate", **{v: k for k, v in MAPPED.items()}}
    assert not (ROOT / "tests" / "__init__.py").exists()


def test_every_dependency_says_why_it_is_there() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [") + 1
    for line in lines[start : lines.index("]", start)]:
        assert "#" in line, line


def _project_files() -> list[str]:
    """What git tracks or would track: a build in the checkout itself would leave folders behind."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    for name in _project_files():
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*command, "--quiet", str(folder / "source")], check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_brings_one_name_and_every_module(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"bamgate", f"bamgate-{PROJECT['project']['version']}.dist-info"}
    sources = [name for name in _project_files() if name.split("/")[0] in ("bamgate", *MAPPED)]
    expected = {name if name.startswith("bamgate/") else f"bamgate/{name}" for name in sources}
    assert expected == {name for name in names if name.startswith("bamgate/")}


@pytest.mark.slow
def test_the_installed_command_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True)
    script = target / "bin" / "bamgate"
    environment = {"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    code = "import bamgate.cli, bamgate.studies, bamgate.reports; print(bamgate.cli.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(target))
    shown = subprocess.run(
        [sys.executable, str(script), "gates", "show", "tanh", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert '"fingerprint": "8bc77277a94d805a"' in shown.stdout
    stray = subprocess.run(
        [sys.executable, "-c", "import cli"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert stray.returncode != 0
