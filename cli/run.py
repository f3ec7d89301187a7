"""`bamgate run`: train every gate with every seed, and show what came out."""

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bamgate.cli.settings import as_options, with_settings
from bamgate.cli.signals import StopRequest
from bamgate.cli.user_code import no_early_end
from bamgate.config import WITHOUT_GATE
from bamgate.config.gate_names import code_refusal, is_code, refuse_unprintable
from bamgate.config.settings import Settings, read_file, split_gates
from bamgate.errors import UsageError

if TYPE_CHECKING:
    from bamgate.cli.progress import LineProgress
    from bamgate.cli.signals import StopRequest
    from bamgate.engines import Execution
    from bamgate.run.resolve import Plan

ENOUGH_SEEDS = 5  # for a report to be the next thing to look at

HELP = """Train networks whose attention has the gate of your choice.

Several gates and seeds make a small study: bamgate run --gate sigmoid,tanh --seeds 0-4. The same command goes on
where it was stopped, and skips what is finished.
"""

_ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings; options win", rich_help_panel="Design")
]
_AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="run gates that are code and stand in --config", rich_help_panel="Design"),
]
_Out = Annotated[
    Path | None, typer.Option("--out", help="folder for the runs \\[runs/<design>]", rich_help_panel="Output")
]
_DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="folder of the data sets \\[$BAMGATE_DATA or ~/.cache/bamgate]", rich_help_panel="Hardware"
    ),
]
_Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N", rich_help_panel="Hardware")]
_Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads of a run", rich_help_panel="Hardware")]
_Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="image folders: processes that decode; 0: none \\[cores - 1]",
        rich_help_panel="Hardware",
    ),
]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", "-n", help="show configuration, cost and time; train nothing", rich_help_panel="Output"),
]
_Json = Annotated[bool, typer.Option("--json", help="print the result as JSON", rich_help_panel="Output")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress", rich_help_panel="Output")]


@with_settings
def command(
    settings: Settings,
    *,
    config: _ConfigFile = None,
    allow_code: _AllowCode = False,
    out: _Out = None,
    data_dir: _DataDir = None,
    device: _Device = "cpu",
    threads: _Threads = 1,
    workers: _Workers = None,
    dry_run: _DryRun = False,
    json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """See HELP."""
    settings, folder_of_code = _with_file(settings, config, allow_code=allow_code)
    given = {"out": out, "data_dir": data_dir, "device": device, "threads": threads, "workers": workers}
    if dry_run:
        from bamgate.cli.dry_run import show

        show(*_prepare(settings, given, folder_of_code), as_json=json)
        return
    with StopRequest() as stop, no_early_end():
        plan, execution, folder = _prepare(settings, given, folder_of_code)
        results = _train(plan, execution, folder, stop, quiet=quiet)
        following = report_command(results, folder) or next_command(results, settings, given)
        _conclude(folder, results, following, as_json=json)


def _with_file(settings: Settings, config: Path | None, *, allow_code: bool) -> tuple[Settings, Path | None]:
    """The settings with those of the file, and the folder of code that the file names; None if there is none.

    Raises:
        UsageError: a gate in the file is code, and nobody has said that it may be run.
    """
    if config is None:
        if allow_code:
            raise UsageError("--allow-code would have no effect: gates on the command line may be code; leave it out")
        return settings, None
    of_file = read_file(config)
    if "gate" in settings or "gate" not in of_file:
        return {**of_file, **settings}, None
    code = next((gate for gate in split_gates(of_file["gate"]) if is_code(gate)), None)
    if code is not None and not allow_code:
        raise code_refusal(config, code, f"name it on the command line: --gate {shlex.quote(of_file['gate'])}")
    return {**of_file, **settings}, config.parent


def _prepare(
    settings: Settings, given: dict[str, Any], folder_of_code: Path | None
) -> tuple["Plan", "Execution", Path]:
    """Plan, execution and folder; UsageError where something is wrong, before anything has been begun."""
    from bamgate.data import find_dataset
    from bamgate.devices import resolve_device
    from bamgate.engines import Execution
    from bamgate.gates import load_gate
    from bamgate.run.resolve import make_plan

    plan = make_plan(settings, given["data_dir"], partial(load_gate, folder=folder_of_code))
    resolve_device(given["device"])
    folder = given["out"] or plan.folder()
    refuse_unprintable("--out", str(folder))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {str(folder)!r} is a file; name a folder")
    data_root, workers = given["data_dir"], given["workers"]
    execution = Execution(device=given["device"], threads=given["threads"], data_root=data_root, workers=workers)
    execution.workers_for(find_dataset(plan.base.dataset, execution.root))
    return plan, execution, folder


def _train(
    plan: "Plan", execution: "Execution", folder: Path, stop: StopRequest, *, quiet: bool
) -> list[dict[str, Any]]:
    from bamgate.cli.console import err
    from bamgate.engines import StoppedError
    from bamgate.run.cells import run_cell

    results = []
    execution = replace(execution, should_stop=stop)
    try:
        with _progress(len(plan.cells), quiet) as listener:
            for config, gate in plan.cells:
                listener.next_cell(config)
                result = run_cell(config, folder, gate=gate, execution=execution, listener=listener)
                results.append({"cell": config.cell, "gate": gate.name, "seed": config.seed, **result})
    except StoppedError as error:
        err().print(f"{stop.received}: {error}. The same command goes on from there.", markup=False)
        raise typer.Exit(130 if stop.received == "SIGINT" else 75) from None
    return results


def _progress(cells: int, quiet: bool) -> "LineProgress":
    from bamgate.cli.progress import BarProgress, LineProgress, SilentProgress

    if quiet:
        return SilentProgress(cells)
    return BarProgress(cells) if sys.stderr.isatty() else LineProgress(cells)


def _conclude(folder: Path, results: list[dict[str, Any]], following: str, *, as_json: bool) -> None:
    from bamgate.cli.console import print_json
    from bamgate.cli.summary import show_summary
    from bamgate.record.collect import collect

    collect(folder)
    if as_json:
        print_json({"out": str(folder), "cells": results})
    else:
        show_summary(folder, following)
    if any(result["status"] == "diverged" for result in results):
        raise typer.Exit(3)


def report_command(results: list[dict[str, Any]], folder: Path) -> str:
    """For several gates with seeds enough for a first look; empty otherwise."""
    numbers = [len({result[name] for result in results}) for name in ("gate", "seed")]
    return shlex.join(["bamgate", "report", str(folder)]) if numbers[0] > 1 and numbers[1] >= ENOUGH_SEEDS else ""


def next_command(results: list[dict[str, Any]], settings: Settings, given: dict[str, Any]) -> str:
    """What a user would type next: the same with a second gate, or with more seeds.

    Args:
        results: rows with gate and seed of the cells that have just ended.
        settings: as the user gave them.
        given: out, data_dir, device, threads and workers, as the user gave them.
    """
    gates = list(dict.fromkeys(result["gate"] for result in results))
    seeds = [result["seed"] for result in results]
    following = dict(settings)
    if settings.get("attention") in WITHOUT_GATE:
        # With a gate it is another design, which wants another folder.
        following |= {"attention": "bam", "gate": "sigmoid,tanh"}
        given = {**given, "out": None}
    elif len(gates) == 1:
        other = "sigmoid" if gates[0] != "sigmoid" else "tanh"
        following |= {"gate": f"{settings.get('gate', gates[0])},{other}", "seeds": f"0-{max(2, *seeds)}"}
    else:
        following |= {"seeds": f"0-{max(4, 2 * max(seeds) + 1)}"}
    standing = {"device": "cpu", "threads": 1}
    changed = {k: str(v) for k, v in given.items() if v is not None and v != standing.get(k)}
    return f"bamgate run {as_options({**following, **changed})}"
