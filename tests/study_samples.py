"""Small studies for tests: a file, and a folder in which it has been run without any process beside this one."""

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from forks import Fork

from bamgate.engines import Execution
from bamgate.gates import load_gate
from bamgate.record.collect import collect
from bamgate.study.executors.local import Local, LocalJob
from bamgate.study.expand import expand
from bamgate.study.folder import open_study
from bamgate.study.study import Study, read_study
from bamgate.study.trainer import Orders, each_cell
from bamgate.study.work import Message, Work

HEAD = 'question = "q"\ncost = "c"\nexpected = "e"\nreference = "sigmoid"\nrope = 1.0\n'
SETTINGS = 'dataset = "digits"\nmodel = "resnet8"\ntrain_limit = 320\nbatch_size = 32\nepochs = 2\n'


def study_file(folder: Path, *, gates: str = '"sigmoid", "tanh"', seeds: str = "0-1", more: str = "") -> Path:
    """tiny.toml; `more` stands after the settings."""
    path = folder / "tiny.toml"
    path.write_text(f'{HEAD}seeds = "{seeds}"\ngates = [{gates}]\n[settings]\n{SETTINGS}{more}')
    return path


def opened(out: Path, path: Path) -> Study:
    study = read_study(path)
    open_study(out, study, expand(study, load=load_gate))
    return study


def cells_of(study: Study) -> list[str]:
    return list(dict.fromkeys(cell.config.cell for cell in expand(study)))


def trained(out: Path, path: Path, order: Iterable[str] | None = None) -> Path:
    """The study in `path`, run in this process, in its own order or in another."""
    study = opened(out, path)
    cells = cells_of(study)
    for cell in cells if order is None else order:
        others = set(cells) - {cell}
        for _ in each_cell(out, Execution(), Orders(skipped=lambda others=others: others, tell=lambda line: None)):  # type: ignore[misc]
            pass
    collect(out)
    return out


class Forked(Local):
    """Trainer processes that are forked from this process: what takes seconds in a real one's start are its imports."""

    name = "forked"

    def start(self, work: Work, tell: Callable[[Message], None]) -> LocalJob:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bamgate.study.executors.local.subprocess", SimpleNamespace(Popen=Fork, PIPE=subprocess.PIPE))
            return super().start(work, tell)
