"""`bamgate`: the commands, and the one place where an error becomes a line and an exit code."""

import sys
from typing import Annotated, NoReturn

import typer

from bamgate._version import __version__
from bamgate.cli import bench, convert, data, doctor, evaluate, gates, models, report, run, study
from bamgate.cli.streams import lasting_streams
from bamgate.errors import BamgateError, machine_fault

EXIT_CODES = (
    "Exit codes: 0 done; 1 a bug in bamgate; 2 wrong usage or configuration; 3 finished, but some cells diverged; "
    "4 data missing or damaged; 5 a report's numbers differ; 75 stopped, the same command resumes; 130 Ctrl-C."
)


def _flowing(text: str) -> str:
    """Join the lines of each paragraph, so that they wrap at the width of the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


# The commands import torch and what builds on it inside their functions: --help must not wait for seconds.
app = typer.Typer(
    name="bamgate",
    help="Which gate should BAM have? Train attention networks with gates of your choice and compare them.",
    epilog=f"Start with: bamgate run --gate tanh. {EXIT_CODES}",
    no_args_is_help=True,
    # A traceback with local variables would print whole tensors.
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", help=_flowing(run.HELP))(run.command)
app.add_typer(study.app, name="study")
app.command("report", help=_flowing(report.HELP))(report.command)
app.command("reproduce", help=_flowing(report.REPRODUCE_HELP))(report.reproduce)
app.command("evaluate", help=_flowing(evaluate.HELP))(evaluate.command)
app.add_typer(gates.app, name="gates")
app.add_typer(data.app, name="data")
app.command("models", help=_flowing(models.HELP))(models.command)
app.command("convert", help=_flowing(convert.HELP))(convert.command)
app.command("bench", help=_flowing(bench.HELP))(bench.command)
app.command("doctor", help=_flowing(doctor.HELP))(doctor.command)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"bamgate {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line. A user's error is one line on stderr; a bug keeps its traceback."""
    with lasting_streams():
        try:
            app()
        except BamgateError as error:
            _end(error)
        except (OSError, MemoryError, RuntimeError) as error:
            if (fault := machine_fault(error)) is None:
                raise
            _end(fault)


def _end(error: BamgateError) -> NoReturn:
    print(f"bamgate: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
