"""Figures as files: the same bytes wherever they are made, and SVGs that can share a page."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import pytest
from figure_samples import Design, made, statistics
from PIL import Image

from bamgate.reports.figures import FIGURES, plot_gates, save
from bamgate.reports.figures.style import new_figure, styled
from bamgate.reports.figures.svg import tidy_svg

SCRIPT = """
import sys; from pathlib import Path
sys.path.insert(0, {tests!r})
from figure_samples import Design, made, statistics
from bamgate.reports.figures import FIGURES, save
design = Design(arms=("sigmoid", "tanh", "softsign"), seeds=(0, 1, 2))
records = made(design); found = statistics(records, design)
for name in ("differences", "river", "gradient"):
    frame = FIGURES[name].frame(records, design, found)
    save(FIGURES[name].draw(frame, design), Path(sys.argv[1]), name)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some figures of one study."""
    out = tmp_path_factory.mktemp("figures")
    design = Design(arms=("sigmoid", "tanh", "softsign"))
    records = made(design)
    found = statistics(records, design)
    for name in ("differences", "river", "scales", "mechanism"):
        frame = FIGURES[name].frame(records, design, found)
        paths = save(FIGURES[name].draw(frame, design), out, name)
        assert [path.name for path in paths] == [f"{name}.svg", f"{name}.pdf", f"{name}.png"]
    return out


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    running = []
    for zone, language, rc in (("UTC", "C", ""), ("Asia/Seoul", "de_DE.UTF-8", "lines.linewidth: 9\nfont.size: 30\n")):
        (tmp_path / f"{language}.rc").write_text(rc)
        (tmp_path / language).mkdir()
        settings = {"TZ": zone, "LC_ALL": language, "MATPLOTLIBRC": str(tmp_path / f"{language}.rc")}
        script = SCRIPT.format(tests=str(Path(__file__).parent))
        command = [sys.executable, "-c", script, str(tmp_path / language)]
        running.append(subprocess.Popen(command, env={**os.environ, **settings}))
    assert [process.wait(timeout=200) for process in running] == [0, 0]
    found = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((tmp_path / language).iterdir())}
        for language in ("C", "de_DE.UTF-8")
    ]
    assert len(found[0]) == 9
    assert found[0] == found[1]


def test_ids_differ_between_the_figures_of_a_page_and_lead_somewhere(folder: Path) -> None:
    seen: set[str] = set()
    for path in sorted(folder.glob("*.svg")):
        text = path.read_text(encoding="utf-8")
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids)) > 0
        assert not seen & set(ids)
        seen |= set(ids)
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text)) == set(ids)


def test_an_svg_stands_in_a_page_by_itself(folder: Path) -> None:
    for path in folder.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg ")
        assert "<style" not in text  # a rule for all elements would be one for the page
        assert "<metadata" not in text
        assert len(text) < 150_000
        root = ElementTree.fromstring(text)
        words = " ".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("text"))
        assert "sigmoid" in words
        background = next(element for element in root.iter() if element.tag.endswith("path"))
        assert "#ffffff" in background.attrib["style"]


def test_no_date_and_no_program_stand_in_a_file(folder: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        assert b"CreationDate" not in content
        assert b"Matplotlib v" not in content
    with Image.open(folder / "river.png") as picture:
        assert "Software" not in picture.info
        assert picture.width == 1200


def test_settings_are_as_they_were_afterwards(folder: Path) -> None:
    before = dict(mpl.rcParams)
    with mpl.rc_context({"lines.linewidth": 7.0}):
        figure = styled(lambda: new_figure(1))()
        save(figure, folder.parent, "empty")
        assert mpl.rcParams["lines.linewidth"] == 7.0
    assert dict(mpl.rcParams) == before


def test_digits_and_ids_of_an_svg_are_tidied() -> None:
    made_by_hand = (
        '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="1pt">\n <metadata>now</metadata>\n'
        ' <defs>\n  <style type="text/css">*{stroke-linecap: butt}</style>\n </defs>\n'
        '<g id="figure_1"><path id="a" d="M 1.23456 -0.001"/><use href="#a" x="2.0000"/>'
        '<text style="font: 10px \'DejaVu Sans\'" transform="rotate(-0 1 2)">1.23456</text></g></svg>'
    )
    assert tidy_svg(made_by_hand, "one") == (
        '<svg width="1pt">\n<g style="stroke-linecap: butt"><path id="one-0" d="M 1.23 0"/><use href="#one-0" x="2"/>'
        "<text style=\"font: 10px 'DejaVu Sans', Verdana, sans-serif\">1.23456</text></g></svg>"
    )


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_gates_of_the_users_own_are_plotted(tmp_path: Path, ending: str) -> None:
    curves = pd.DataFrame({"gate": ["mine"] * 3 + ["yours"] * 3, "z": [-1.0, 0.0, 1.0] * 2, "scale": 1.0, "slope": 0.0})
    plot_gates(curves, tmp_path / f"curves.{ending}")
    first = (tmp_path / f"curves.{ending}").read_bytes()
    plot_gates(curves, tmp_path / f"curves.{ending}")
    assert (tmp_path / f"curves.{ending}").read_bytes() == first
