"""What `bamgate study run` shows while a study is run, and at the end."""

import shlex
import sys
from collections.abc import Iterable
from typing import Any

import typer

from bamgate.cli.console import err
from bamgate.cli.signals import StopRequest
from bamgate.cli.study_progress import LineWatcher, LiveWatcher, SilentWatcher
from bamgate.cli.study_show import show_end
from bamgate.config.settings import format_seeds
from bamgate.engines import StoppedError
from bamgate.errors import UsageError
from bamgate.record.environment import EXECUTION
from bamgate.reports.words.peeking import PRICE
from bamgate.study.runner import Options, Prepared, Ran, prepare, supervised
from bamgate.study.state import StudyState

PEEKING = f"{PRICE} Say that they were added; study.json keeps it."


def run(name: str, options: Options, stop: StopRequest, *, quiet: bool, verbose: bool) -> None:
    """From the name of a study to the exit code."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; give one of them")
    conclude(watched(prepared(name, options), stop, quiet=quiet, epochs=verbose))


def prepared(name: str, options: Options) -> Prepared:
    """The study, with its folder; seeds that are new there are said."""
    study = prepare(name, options)
    if study.late:
        late = f"{study.out}: seeds {format_seeds(study.late)} are new, and runs had ended."
        err().print(f"{late} {PEEKING}", markup=False)
    return study


def watched(study: Prepared, stop: StopRequest, *, quiet: bool, epochs: bool = False) -> Ran:
    """Run to the end; a stop is said, with its exit code."""
    state = StudyState(study.out)
    kind = SilentWatcher if quiet else LiveWatcher if sys.stderr.isatty() else LineWatcher
    try:
        with kind(state, epochs=epochs) as watcher:
            return supervised(study, watcher, stop)
    except (StoppedError, KeyboardInterrupt) as error:
        states = state.read()
        signal = stop.received or "SIGINT"
        saved = "what was begun is saved" if isinstance(error, StoppedError) else "stopped at once"
        done = sum(one.ended for one in states)
        err().print(
            f"{signal}: {done} of {len(states)} cells are finished, {saved}. The same command goes on from there.",
            markup=False,
        )
        raise typer.Exit(130 if signal == "SIGINT" else 75) from None


def conclude(ran: Ran) -> None:
    """The table of the arms, what was left out and why, and the exit code."""
    show_end(ran.out, ran.arms, ran.states, ways_of(ran.runs))
    err().print(f"Next: bamgate report {shlex.quote(str(ran.out))}", markup=False, soft_wrap=True)
    aside = {one.name: ran.aside[one.cell] for one in ran.states if one.cell in ran.aside}
    for name, one in aside.items():
        err().print(f"skipped: {name}: {one.why}; the same command tries it again", markup=False)
    for text in dict.fromkeys(one.traceback for one in aside.values() if one.traceback):
        err().print(text, markup=False)
    if aside:  # a fault of ours, then the user's gate, then what the next try may get past
        raise typer.Exit(min(one.code for one in aside.values()))
    if any(one.status == "diverged" for one in ran.states):
        raise typer.Exit(3)


def ways_of(runs: Iterable[dict[str, Any]]) -> str:
    """In which ways the runs were executed; empty if it was one."""
    runs = list(runs)
    values = {name: sorted({str(run[name]) for run in runs}) for name in EXECUTION}
    return "; ".join(f"{name} {', '.join(found)}" for name, found in values.items() if len(found) > 1)
