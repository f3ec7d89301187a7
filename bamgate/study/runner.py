"""A study from its name to its results: the Python API, and what `bamgate study run` is made of."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bamgate.config.gate_names import refuse_unprintable
from bamgate.config.settings import parse_seeds
from bamgate.data import default_workers, find_dataset
from bamgate.devices import resolve_device
from bamgate.engines import Execution, StoppedError
from bamgate.errors import UsageError, unknown
from bamgate.record.collect import collect
from bamgate.study.catalogue import begun_in, count_cells, file_of, find_study
from bamgate.study.code import gate_loader
from bamgate.study.compare import ArmRow, compare
from bamgate.study.executors import EXECUTORS, Executor
from bamgate.study.expand import StudyCell, expand
from bamgate.study.folder import open_study, with_added_seeds
from bamgate.study.memory import Room
from bamgate.study.names import check_names
from bamgate.study.state import CellState, StudyState
from bamgate.study.study import MANY, Study, from_plain
from bamgate.study.supervise import Aside, Supervisor, Watcher
from bamgate.study.work import Work

_KINDS = 10_000  # to which cells are counted before they are expanded, seeds apart


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is run.

    Args:
        out: its folder; None for runs/NAME, or the folder that it was read from.
        executor: where its cells are trained: "local", "in-process", a plug-in's name, or one of your own.
        jobs: how many are at work side by side; "auto": one a GPU, on the CPU one a core.
        data_root: the folder of the data sets.
        decoders: processes that decode image files for each job; None for a share of the cores.
        allow_code: whether gates that are code may be run.
        many: whether so many cells are meant.
    """

    out: Path | None = None
    executor: Executor | str = "local"
    jobs: int | str = "auto"
    device: str = "cpu"
    data_root: Path | None = None
    decoders: int | None = None
    allow_code: bool = False
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study whose folder is there, and how it is to be run.

    Args:
        late: seeds that are new, though runs had ended.
    """

    work: Work
    executor: Executor
    jobs: int
    gpus: list[str]
    late: list[int]

    @property
    def out(self) -> Path:
        return self.work.out

    @property
    def devices(self) -> tuple[str, ...]:
        """The GPUs as torch calls them here; none on the CPU."""
        if self.work.device == "cpu":
            return ()
        return tuple(f"cuda:{number}" for number in range(len(self.gpus))) or (self.work.device,)

    def supervisor(self, watcher: Watcher, should_stop: Callable[[], bool]) -> Supervisor:
        """What runs it."""
        return Supervisor(
            work=replace(self.work, should_stop=should_stop),
            executor=self.executor,
            jobs=self.jobs,
            watcher=watcher,
            should_stop=should_stop,
            room=Room(devices=self.devices, jobs=self.jobs),
            gpus=self.gpus,
        )


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of a study.

    Args:
        states: of its cells.
        aside: by cell, why it was left without a result; the same call tries it again.
        runs: the rows of runs.csv.
        arms: accuracy of each arm in each context, and the difference to the reference on the same seeds.
    """

    out: Path
    states: list[CellState]
    aside: dict[str, Aside]
    runs: list[dict[str, Any]]
    arms: list[ArmRow]


def run(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    executor: Executor | str = Options.executor,
    jobs: int | str = Options.jobs,
    device: str = Options.device,
    data_root: str | Path | None = None,
    decoders: int | None = None,
    allow_code: bool = False,
    many: bool = False,
    watcher: Watcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Ran:
    """Train what is missing of a study, and compare its arms; see `Options` for what is not said here.

    Args:
        study: a name of the catalogue, a file (PATH.toml), a study's folder, or a `Study`.
        watcher: told of what goes on.
        should_stop: asked several times a second.

    Raises:
        UsageError, DataError: it cannot be run so.
        TryAgainError: it cannot go on now; the same call goes on later. StoppedError: `should_stop` said so.
    """
    options = Options(
        out=Path(out) if out is not None else None,
        executor=executor,
        jobs=jobs,
        device=device,
        data_root=Path(data_root) if data_root is not None else None,
        decoders=decoders,
        allow_code=allow_code,
        many=many,
    )
    return supervised(prepare(study, options), watcher or Watcher(), should_stop)


def supervised(prepared: Prepared, watcher: Watcher, should_stop: Callable[[], bool]) -> Ran:
    """Run to the end. Where it is stopped, the tables have what has ended."""
    supervisor = prepared.supervisor(watcher, should_stop)
    try:
        states = supervisor.run()
    except (StoppedError, KeyboardInterrupt):
        collect(prepared.out)
        raise
    aside = {one.cell: supervisor.aside[one.cell] for one in states if one.cell in supervisor.aside and not one.ended}
    runs, content = collect(prepared.out), StudyState(prepared.out).content
    return Ran(out=prepared.out, states=states, aside=aside, runs=runs, arms=compare(content, states))


def located(study: Study | str | Path, out: Path | None) -> tuple[Study, Path]:
    """The study, with the seeds that have been added to its folder, and that folder."""
    if isinstance(study, Study):
        if study.reference not in study.arms:
            raise unknown("reference arm", study.reference, study.arms)
        found, folder = from_plain(study.to_dict()), out
    else:
        found, folder = find_study(str(study)), out or begun_in(str(study))
        if Path(study).is_file():
            check_names(Path(study), found)
    folder = folder or Path("runs") / found.name
    return with_added_seeds(folder, found), folder


def cells_of(
    study: Study | str | Path, found: Study, out: Path, data_root: Path | None, *, allow_code: bool
) -> list[StudyCell]:
    """The cells of a study that `located` has found; paths in its gates lead from its file, or from the folder here."""
    file = Path(f"{study.name}.toml") if isinstance(study, Study) else file_of(str(study))
    begun = None if isinstance(study, Study) else begun_in(str(study))
    return expand(found, data_root, gate_loader(found, allowed=allow_code, file=file, out=begun or out))


def prepare(study: Study | str | Path, options: Options) -> Prepared:
    """Everything that can be refused, then the folder with its study.json."""
    found, out = located(study, options.out)
    _require_meant(found, options)
    executor = EXECUTORS.get(options.executor) if isinstance(options.executor, str) else options.executor
    cells = cells_of(study, found, out, options.data_root, allow_code=options.allow_code)
    resolve_device(options.device)
    gpus = visible_gpus() if options.device == "cuda" else []
    jobs = min(jobs_of(options, executor, len(gpus)), len({cell.config.cell for cell in cells}))
    require_folder(out)
    work = Work(
        out=out,
        device=options.device,
        data_root=options.data_root,
        decoders=_decoders(cells, options, jobs),
        allow_code=options.allow_code,
    )
    late = open_study(out, found, cells)
    return Prepared(work=work, executor=executor, jobs=jobs, gpus=gpus, late=late)


def require_folder(out: Path) -> None:
    """UsageError if this cannot be the name of a folder."""
    refuse_unprintable("--out", str(out))
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a file; name a folder")


def _require_meant(study: Study, options: Options) -> None:
    """UsageError for more cells than anybody runs by mistake; before they are expanded, which takes minutes."""
    number = count_cells(study, _KINDS)
    if number > MANY and not options.many:
        at_least = "at least " if number >= _KINDS * len(parse_seeds(study.seeds)) else ""
        raise UsageError(
            f"study {study.name} has {at_least}{number:,} cells; pass --yes (many=True in Python) if that is meant"
        )


def jobs_of(options: Options, executor: Executor, gpus: int) -> int:
    """How many jobs are wanted side by side."""
    wanted = str(options.jobs)
    if wanted != "auto" and (not wanted.isdecimal() or int(wanted) < 1):
        raise UsageError(f"jobs {wanted!r} cannot be read (allowed: auto, or a number from 1 on)")
    if not executor.side_by_side:
        if wanted not in ("auto", "1"):
            raise UsageError(f"jobs {wanted} would have no effect: executor {executor.name!r} has one; leave it out")
        return 1
    if wanted != "auto":
        return int(wanted)
    return cores() if options.device == "cpu" else max(1, gpus)


def _decoders(cells: list[StudyCell], options: Options, jobs: int) -> int | None:
    """Processes that decode for each job: given, or a share of the cores; None where no images are files."""
    execution = Execution(data_root=options.data_root, workers=options.decoders)
    data = [find_dataset(name, execution.root) for name in dict.fromkeys(cell.config.dataset for cell in cells)]
    files = [one for one in data if one.files]
    if not files:
        execution.workers_for(data[0])
        return None
    return options.decoders if options.decoders is not None else max(1, default_workers() // jobs)


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to be for each of the GPUs that this process sees."""
    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in given.split(",")] if given else [str(number) for number in range(count)]
    return names[:count]


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
