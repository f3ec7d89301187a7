"""What `bamgate study plan` and `run` do before, around and after the training."""

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import typer

from bamgate.cli.console import err
from bamgate.cli.signals import StopRequest
from bamgate.cli.study_progress import LineWatcher, LiveWatcher, SilentWatcher
from bamgate.cli.study_show import show_end
from bamgate.config.gate_names import refuse_unprintable
from bamgate.config.settings import format_seeds, parse_seeds
from bamgate.data import default_workers, find_dataset
from bamgate.devices import resolve_device
from bamgate.engines import Execution, StoppedError
from bamgate.errors import UsageError
from bamgate.record.collect import collect
from bamgate.record.environment import EXECUTION
from bamgate.record.sealed import read_json
from bamgate.reports.words.peeking import PRICE
from bamgate.study.catalogue import begun_in, count_cells, file_of, find_study
from bamgate.study.code import gate_loader
from bamgate.study.compare import compare
from bamgate.study.estimate import estimate
from bamgate.study.expand import StudyCell, expand
from bamgate.study.folder import check_study, open_study, with_added_seeds
from bamgate.study.memory import Room
from bamgate.study.names import check_names
from bamgate.study.processes import Worker, arguments_of, cores, visible_gpus
from bamgate.study.state import StudyState
from bamgate.study.study import MANY, Study, contexts
from bamgate.study.supervise import Aside, Supervisor

_KINDS = 10_000  # to which cells are counted before they are expanded, seeds apart
PEEKING = f"{PRICE} Say that they were added; study.json keeps it."


class Given(NamedTuple):
    """The options of `bamgate study run`."""

    out: Path | None
    jobs: str
    device: str
    data_dir: Path | None
    workers: int | None
    yes: bool
    code: bool


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study whose folder is there, and how it is to be run."""

    out: Path
    given: Given
    jobs: int
    gpus: list[str]
    workers: int | None

    @property
    def devices(self) -> tuple[str, ...]:
        """The GPUs as torch calls them here; none on the CPU."""
        if self.given.device == "cpu":
            return ()
        return tuple(f"cuda:{number}" for number in range(len(self.gpus))) or (self.given.device,)

    def start(self, slot: int, skipped: set[str]) -> Worker:
        """A worker; on its own GPU where there are several."""
        given = self.given
        facts: dict[str, Any] = {"device": given.device, "data_dir": given.data_dir, "code": given.code}
        words = arguments_of(self.out, workers=self.workers, skipped=skipped, **facts)
        gpu = {"CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]} if self.gpus else {}
        return Worker(words, gpu)


def located(name: str, out: Path | None) -> tuple[Study, Path]:
    """The study, with the seeds that have been added to its folder, and that folder."""
    study = find_study(name)
    if Path(name).is_file():
        check_names(Path(name), study)
    folder = out or begun_in(name) or Path("runs") / study.name
    return with_added_seeds(folder, study), folder


def prepare(name: str, given: Given) -> Prepared:
    """Everything that can be refused, then the folder with its study.json."""
    study, out = located(name, given.out)
    load = gate_loader(study, allowed=given.code, file=file_of(name), out=begun_in(name) or out)
    _require_meant(study, given)
    cells = expand(study, given.data_dir, load)
    number = len({cell.config.cell for cell in cells})
    resolve_device(given.device)
    gpus = visible_gpus() if given.device == "cuda" else []
    jobs = min(_jobs(given, len(gpus)), number)
    refuse_unprintable("--out", str(out))
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a file; name a folder")
    workers = _workers(cells, given, jobs)
    if late := open_study(out, study, cells):
        err().print(f"{out}: seeds {format_seeds(late)} are new, and runs had ended. {PEEKING}", markup=False)
    return Prepared(out=out, given=given, jobs=jobs, gpus=gpus, workers=workers)


def _require_meant(study: Study, given: Given) -> None:
    """UsageError for more cells than anybody runs by mistake; before they are expanded, which takes minutes."""
    number = count_cells(study, _KINDS)
    if number > MANY and not given.yes:
        at_least = "at least " if number >= _KINDS * len(parse_seeds(study.seeds)) else ""
        raise UsageError(f"study {study.name} has {at_least}{number:,} cells; say --yes if that is meant")


def _jobs(given: Given, gpus: int) -> int:
    if given.jobs != "auto":
        if not given.jobs.isdecimal() or int(given.jobs) < 1:
            raise UsageError(f"jobs {given.jobs!r} cannot be read (allowed: auto, or a number from 1 on)")
        return int(given.jobs)
    if given.device == "cpu":
        return cores()
    return max(1, gpus)


def _workers(cells: list[StudyCell], given: Given, jobs: int) -> int | None:
    """Processes that decode for each run: given, or a share of the cores; None where no images are files."""
    execution = Execution(data_root=given.data_dir, workers=given.workers)
    data = [find_dataset(name, execution.root) for name in dict.fromkeys(cell.config.dataset for cell in cells)]
    files = [one for one in data if one.files]
    if not files:
        execution.workers_for(data[0])
        return None
    return given.workers if given.workers is not None else max(1, default_workers() // jobs)


def supervise(prepared: Prepared, stop: StopRequest, *, quiet: bool) -> dict[str, Aside]:
    """Run to the end; the cells that were set aside, by name, and why."""
    state = StudyState(prepared.out)
    kind = SilentWatcher if quiet else LiveWatcher if sys.stderr.isatty() else LineWatcher
    try:
        with kind(state) as watcher:
            room = Room(devices=prepared.devices, jobs=prepared.jobs)
            supervisor = Supervisor(prepared.out, prepared.jobs, prepared.start, watcher, stop, room)
            states = supervisor.run()
    except (StoppedError, KeyboardInterrupt) as error:
        states = state.read()
        collect(prepared.out)
        signal = stop.received or "SIGINT"
        saved = "what was begun is saved" if isinstance(error, StoppedError) else "stopped at once"
        done = sum(one.ended for one in states)
        err().print(
            f"{signal}: {done} of {len(states)} cells are finished, {saved}. The same command goes on from there.",
            markup=False,
        )
        raise typer.Exit(130 if signal == "SIGINT" else 75) from None
    return {one.name: supervisor.aside[one.cell] for one in states if one.cell in supervisor.aside and not one.ended}


def conclude(out: Path, aside: dict[str, Aside]) -> None:
    """Tables, and the exit code."""
    runs = collect(out)
    state = StudyState(out)
    states = state.read()
    show_end(out, compare(state.content, states), states, ways_of(runs))
    err().print(f"Next: bamgate report {shlex.quote(str(out))}", markup=False, soft_wrap=True)
    for name, one in aside.items():
        err().print(f"skipped: {name}: {one.why}; the same command tries it again", markup=False)
    for text in dict.fromkeys(one.traceback for one in aside.values() if one.traceback):
        err().print(text, markup=False)
    if aside:  # a fault of ours, then the user's gate, then what the next try may get past
        raise typer.Exit(min(one.code for one in aside.values()))
    if any(one.status == "diverged" for one in states):
        raise typer.Exit(3)


def ways_of(runs: Iterable[dict[str, Any]]) -> str:
    """In which ways the runs were executed; empty if it was one."""
    runs = list(runs)
    values = {name: sorted({str(run[name]) for run in runs}) for name in EXECUTION}
    return "; ".join(f"{name} {', '.join(found)}" for name, found in values.items() if len(found) > 1)


def plan_facts(
    name: str, out: Path | None, device: str, data_dir: Path | None, *, measured: bool, code: bool
) -> dict[str, Any]:
    """What `bamgate study plan` says; nothing is written."""
    study, folder = located(name, out)
    load = gate_loader(study, allowed=code, file=file_of(name), out=begun_in(name) or folder)
    execution = Execution(device=device, data_root=data_dir)
    resolve_device(device)
    cells = expand(study, data_dir, load)
    check_study(folder, study, cells)
    unique = {cell.config.cell: cell for cell in cells}
    missing = [c for c in unique.values() if read_json(folder / "cells" / c.config.cell / "result.json") is None]
    facts = {
        "study": study.name,
        **{text: getattr(study, text) for text in ("question", "cost", "expected", "reference")},
        "out": str(folder),
        "arms": list(study.arms),
        "contexts": [context for context in contexts(study) if context],
        "seeds": parse_seeds(study.seeds),
        "cells": len(unique),
        "missing": [{"cell": cell.config.cell, "name": cell.name} for cell in missing],
        "device": device,
    }
    if measured:
        with err().status("") as status:
            kinds = estimate(missing, replace(execution), lambda text: status.update(text))
        facts |= {"kinds": [kind.to_dict() for kind in kinds], "hours": sum(kind.hours for kind in kinds)}
    return facts
