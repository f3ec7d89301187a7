"""report.tex in a real LaTeX: it compiles, finds its figures and tables, and shows every name."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_samples import PROVENANCE, figures, sample, write_pdfs

from bamgate.reports.pages import write_pages

pytestmark = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is installed")


def _compiled(folder: Path, name: str = "report.tex") -> str:
    """The log of the second run."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", name]
    for _ in range(2):
        finished = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
        log = (folder / name).with_suffix(".log").read_text(encoding="utf-8", errors="replace")
        errors = [line for line in log.splitlines() if line.startswith("!")]
        assert finished.returncode == 0, errors or finished.stdout[-500:]
    return log


@pytest.mark.parametrize("kind", ["plain", "contexts", "hostile", "interim", "one-seed"])
def test_it_compiles(kind: str, tmp_path: Path) -> None:
    write_pages(sample(kind), figures("a_b & 50 % − é 中 <x>"), tmp_path, provenance=PROVENANCE)
    write_pdfs(tmp_path)
    log = _compiled(tmp_path)
    assert "undefined" not in log.lower()
    assert not re.search(r"LaTeX (Error|Warning)|No file .*\.(tex|pdf)", log)
    wide = [float(size) for size in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(wide, default=0) < 20
    assert (tmp_path / "report.pdf").stat().st_size > 20_000


def test_a_missing_figure_is_an_error(tmp_path: Path) -> None:
    write_pages(sample("one-seed"), figures(), tmp_path, provenance=PROVENANCE)
    with pytest.raises(AssertionError, match=r"figures/|differences"):
        _compiled(tmp_path)


def test_a_table_stands_alone_in_any_document(tmp_path: Path) -> None:
    write_pages(sample("hostile"), figures(), tmp_path, provenance=PROVENANCE)
    text = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{tables/arms.tex}\\end{document}\n"
    (tmp_path / "alone.tex").write_text(text)
    _compiled(tmp_path, "alone.tex")


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext is installed")
def test_names_are_legible_in_the_pdf(tmp_path: Path) -> None:
    write_pages(sample("hostile"), figures(), tmp_path, provenance=PROVENANCE)
    write_pdfs(tmp_path)
    _compiled(tmp_path)
    shown = subprocess.run(["pdftotext", "-layout", "report.pdf", "-"], cwd=tmp_path, capture_output=True, check=True)
    text = shown.stdout.decode()
    for name in ("<script>alert(1)</script>", "=cmd()", "expr:2*sigmoid(2*z)-1", "a&b_%$#", "[U+4E2D]"):
        assert name in text or name.replace("_", " ") in text, name
