"""`bamgate study`: many gates, many seeds, one command."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bamgate.cli.signals import StopRequest
from bamgate.cli.user_code import no_early_end
from bamgate.study.study import MANY

app = typer.Typer(help="Studies: list, plan, run, status, verify, add-seeds, merge.", no_args_is_help=True)

_Study = Annotated[str, typer.Argument(help="a study's name (bamgate study list), its file, NAME.toml, or its folder")]
_Folder = Annotated[Path, typer.Argument(help="folder of a study")]
_Out = Annotated[Path | None, typer.Option("--out", help="folder of the study [runs/<name>]")]
_DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder [$BAMGATE_DATA or ~/.cache/bamgate]")]
_Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N")]
_Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="image folders: processes that decode for each run")
]
_AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="import gates that are code (file.py:NAME, module:NAME)")
]
_Jobs = Annotated[str, typer.Option("--jobs", help="runs side by side; auto: one a GPU, on the CPU one a core")]
_Executor = Annotated[
    str, typer.Option("--executor", help="where runs are trained: local (trainer processes), in-process, or a plug-in")
]
_Yes = Annotated[bool, typer.Option("--yes", help=f"run more than {MANY:,} cells")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
_Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="a line an epoch, too; without it, one a cell")]
_NoMeasure = Annotated[bool, typer.Option("--no-measure", help="leave the time out")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(json: _Json = False) -> None:
    """Show the studies that come with bamgate: question, runs and cost."""
    from bamgate.cli.console import err, print_json
    from bamgate.cli.study_show import show_catalogue
    from bamgate.study.catalogue import catalogue, count_cells

    studies = catalogue()
    if json:
        texts = ("name", "question", "cost", "expected", "reference", "seeds")
        print_json([{**{t: getattr(s, t) for t in texts}, "runs": count_cells(s)} for s in studies])
        return
    show_catalogue(studies)
    err().print("Next: bamgate study plan quick", markup=False)


@app.command()
def plan(
    study: _Study,
    out: _Out = None,
    device: _Device = "cpu",
    data_dir: _DataDir = None,
    no_measure: _NoMeasure = False,
    allow_code: _AllowCode = False,
    json: _Json = False,
) -> None:
    """Show the cells of a study, which of them are missing, and how long they would take here."""
    from bamgate.cli.console import err, print_json
    from bamgate.cli.study_show import show_plan
    from bamgate.study.plan import plan as plan_of

    with err().status("") as status:
        facts = plan_of(
            study,
            out,
            device=device,
            data_root=data_dir,
            measured=not no_measure,
            allow_code=allow_code,
            tell=status.update,
        )
    if json:
        print_json(facts)
        return
    show_plan(facts)
    given = {"--out": out, "--data-dir": data_dir, "--device": None if device == "cpu" else device}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    line = shlex.join(["bamgate", "study", "run", study, *words, *(["--allow-code"] if allow_code else [])])
    err().print(f"Next: {line}", markup=False, soft_wrap=True)


@app.command()
def run(
    study: _Study,
    out: _Out = None,
    jobs: _Jobs = "auto",
    executor: _Executor = "local",
    device: _Device = "cpu",
    data_dir: _DataDir = None,
    workers: _Workers = None,
    yes: _Yes = False,
    allow_code: _AllowCode = False,
    quiet: _Quiet = False,
    verbose: _Verbose = False,
) -> None:
    """Run what is missing of a study. The same command goes on where it was stopped; several may share a folder."""
    with StopRequest() as stop, no_early_end():
        from bamgate.cli.study_run import run as run_study
        from bamgate.study.runner import Options

        options = Options(
            out=out,
            executor=executor,
            jobs=jobs,
            device=device,
            data_root=data_dir,
            decoders=workers,
            allow_code=allow_code,
            many=yes,
        )
        run_study(study, options, stop, quiet=quiet, verbose=verbose)


@app.command()
def status(folder: _Folder, json: _Json = False) -> None:
    """Show where a study stands, while it runs and afterwards."""
    from bamgate.cli.console import print_json
    from bamgate.cli.study_show import show_status
    from bamgate.study.compare import compare
    from bamgate.study.state import MISSING, RUNNING, StudyState, count

    state = StudyState(folder)
    states = state.read()
    rows = compare(state.content, states)
    running = [{"name": s.name, "cell": s.cell, "epoch": s.epoch, "epochs": s.epochs} for s in states]
    facts = {
        "study": state.content["name"],
        "out": str(folder),
        "cells": len(states),
        "counts": count(states),
        "running": [row for row, s in zip(running, states, strict=True) if s.status == RUNNING],
        "missing": [row for row, s in zip(running, states, strict=True) if s.status == MISSING],
        "arms": [row.to_dict() for row in rows],
    }
    if json:
        print_json(facts)
    else:
        show_status(facts, rows, states)


@app.command()
def verify(folder: _Folder) -> None:
    """Check every file of a study, or of a folder of runs; what is wrong is named, with exit code 4."""
    from bamgate.cli.console import err, out
    from bamgate.study.verify import verify as problems_of
    from bamgate.study.verify import without_hashes

    problems = problems_of(folder)
    for problem in problems:
        out().print(problem, markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(4)
    out().print(f"{folder}: every file is whole and belongs here", markup=False)
    if names := without_hashes(folder):
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        text = f"not verified: {some}. An older bamgate wrote them and stored no hashes; only their contents agree."
        err().print(text, markup=False)


# A number below 0 would be read as an option, and answered as if it were one.
@app.command("add-seeds", context_settings={"ignore_unknown_options": True})
def add_seeds(
    folder: _Folder,
    number: Annotated[int, typer.Argument(help="how many; they follow the largest seed that is there")],
    data_dir: _DataDir = None,
    allow_code: _AllowCode = False,
) -> None:
    """Add seeds to a study that has been begun; its file is not needed. study.json keeps which were added."""
    from bamgate.cli.study_merge import add

    add(folder, number, data_dir, code=allow_code)


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="folders of one study, run in different places")],
    out: Annotated[Path, typer.Option("--out", help="folder to join them in: a new one, or one of the study's")],
    keep_first: Annotated[
        bool, typer.Option("--keep-first", help="where a cell's results differ, keep --out's, then the first folder's")
    ] = False,
) -> None:
    """Join the finished cells of a study that was run in several places. The same command goes on where it stopped."""
    from bamgate.cli.study_merge import merge_parts

    merge_parts(folders, out, keep_first=keep_first)


@app.command(hidden=True)
def work(
    folder: _Folder,
    device: _Device = "cpu",
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of a run")] = 1,
    data_dir: _DataDir = None,
    workers: _Workers = None,
    allow_code: _AllowCode = False,
    parent: Annotated[int | None, typer.Option("--parent", help="stop when this process has gone")] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="leave this cell alone")] = None,
) -> None:
    """Train the cells of a study that are missing and free; `bamgate study run` starts several of these."""
    with StopRequest(always=("SIGTERM",)) as stop, no_early_end():
        from bamgate.cli.study_work import work_on
        from bamgate.study.work import Work

        work = Work(
            out=folder,
            device=device,
            threads=threads,
            data_root=data_dir,
            decoders=workers,
            allow_code=allow_code,
            skipped=frozenset(skip or []),
            should_stop=stop,
        )
        work_on(work, parent=parent)
