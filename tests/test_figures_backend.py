"""Figures and MPLBACKEND: the variable has no say, and stays the user's."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bamgate.reports.figures import plot_gates

DRAW = """
import os, subprocess, sys
from pathlib import Path
import pandas as pd
from bamgate.reports.figures import plot_gates
z = [-1.0, 0.0, 1.0]
frame = pd.DataFrame({"gate": ["a"] * 3, "z": z, "scale": [0.5, 1.0, 1.5], "slope": [1.0] * 3})
child = [sys.executable, "-c", "import os; print(os.environ.get('MPLBACKEND'))"]
def draw(name): plot_gates(frame, Path(name))
"""
OWN_BACKEND = """
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas
"""


def _python(script: str, folder: Path, backend: str | None) -> str:
    settings = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    settings |= {"PYTHONPATH": str(folder)} | ({} if backend is None else {"MPLBACKEND": backend})
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", DRAW + script], cwd=folder, env=settings, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_the_same_picture_whatever_the_backend(tmp_path: Path, backend: str) -> None:
    script = "draw('gates.svg'); draw('gates.png'); print(os.environ.get('MPLBACKEND'))\n"
    script += "print(subprocess.run(child, capture_output=True, text=True).stdout.strip())"
    assert _python(script, tmp_path, backend).split() == [backend] * 2
    z = [-1.0, 0.0, 1.0]
    (tmp_path / "here").mkdir()
    frame = pd.DataFrame({"gate": ["a"] * 3, "z": z, "scale": [0.5, 1.0, 1.5], "slope": [1.0] * 3})
    for name in ("gates.svg", "gates.png"):
        plot_gates(frame, tmp_path / "here" / name)
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_the_users_pyplot_keeps_its_backend_figures_and_settings(tmp_path: Path) -> None:
    (tmp_path / "own_backend.py").write_text(OWN_BACKEND)
    script = """
draw("a.png")
import matplotlib as mpl, matplotlib.pyplot as plt
mpl.rcParams["font.size"] = 31
figure = plt.figure(); figure.add_subplot().plot([1, 2])
before = {name: value for name, value in mpl.rcParams.items()}
draw("b.svg"); draw("b.pdf")
after = {name: value for name, value in mpl.rcParams.items()}
assert before == after, [name for name in before if before[name] != after[name]]
assert [plt.figure(number) for number in plt.get_fignums()] == [figure] and plt.gcf() is figure
print(mpl.get_backend())
"""
    assert _python(script, tmp_path, "module://own_backend").strip().endswith("own_backend")
