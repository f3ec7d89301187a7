"""`bamgate report` and `bamgate reproduce`: write a study's report, and recompute every number in it."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bamgate.errors import printable

HELP = """Write a study's report: report.html (self-contained), report.md, report.tex, tables, figures, and stats.json.

It starts with the question, the verdict and how certain it is. Several folders of one study are joined. In folders of
`bamgate run` the arms are the gates.

Example: bamgate report runs/quick
"""
REPRODUCE_HELP = """Recompute every number of a report from the CSV files of its runs, and compare.

It prints "all equal", or what differs and by how much. Wording and pictures are compared only if the same version of
bamgate wrote the report. Exit codes: 0 equal; 5 something differs; 4 data missing or damaged.

Example: bamgate reproduce runs/quick
"""
SHOWN = 20  # differences; the others are counted only

_Folders = Annotated[list[Path], typer.Argument(help="folder of a study or of runs; several are joined")]
_Reference = Annotated[str | None, typer.Option("--reference", help="arm to compare with [the study's, or sigmoid]")]
_Arms = Annotated[str, typer.Option("--arms", help="only these arms, separated by commas; the reference always stays")]
_Rope = Annotated[
    float | None, typer.Option("--rope", help="difference too small to matter, in points for accuracy [the study's]")
]
_Where = Annotated[list[str] | None, typer.Option("--where", help="only contexts with this value, NAME=VALUE")]
_Out = Annotated[Path | None, typer.Option("--out", help="folder of the report [STUDY/report]")]
_Print = Annotated[bool, typer.Option("--print", help="show the verdicts here and write nothing")]
_Json = Annotated[bool, typer.Option("--json", help="print stats.json and write nothing")]
_Report = Annotated[Path | None, typer.Option("--report", help="folder of the report [STUDY/report]")]


def command(
    folders: _Folders,
    out: _Out = None,
    reference: _Reference = None,
    arms: _Arms = "",
    rope: _Rope = None,
    where: _Where = None,
    print_: _Print = False,
    json: _Json = False,
) -> None:
    from bamgate.cli.console import check_name, err, print_json
    from bamgate.cli.report_show import Asked, read, show_verdicts
    from bamgate.reports.analysis import analyse
    from bamgate.reports.records import Outcomes

    folders = [found(folder) for folder in folders]
    target = out or folders[0] / "report"
    check_name(target)
    design, records = read(folders, Asked(reference, arms, rope, tuple(where or ())))
    if json or print_:
        stats = analyse(design, records, Outcomes(folders))
        print_json(stats) if json else show_verdicts(stats)
        return
    from bamgate.reports.build import build

    with err().status("drawing and writing"):
        stats = build(design, records, folders, target)
    show_verdicts(stats)
    print(printable(f"Report: {target / 'report.html'}"))
    words = ["bamgate", "reproduce", *map(str, folders), *(["--report", str(out)] if out else [])]
    err().print(f"Next: {shlex.join(words)}", markup=False)


def reproduce(folders: _Folders, report: _Report = None, json: _Json = False) -> None:
    from bamgate.cli.console import err, print_json
    from bamgate.reports.reproduce import lines
    from bamgate.reports.reproduce import reproduce as again

    folders = [found(folder) for folder in folders]
    result = again(folders, report or folders[0] / "report")
    if json:
        print_json({**result._asdict(), "differences": [one._asdict() for one in result.differences]})
    else:
        for line in list(lines(result.differences))[:SHOWN]:
            print(printable(line))
        more = len(result.differences) - SHOWN
        if more > 0:
            print(f"and {more} more")
        verdict = f"{len(result.differences)} differ" if result.differences else "all equal"
        print(f"{result.compared} values recomputed: {verdict}")
    for line in result.unchecked:
        err().print(f"not checked: {line}", markup=False)
    if result.wording is not None:
        err().print(f"wording not compared: written by version {result.wording}", markup=False)
    if result.differences:
        raise typer.Exit(5)


def found(folder: Path) -> Path:
    """The folder, or the one of this name in runs/; UsageError if there is neither."""
    from bamgate.errors import UsageError, nearest

    if folder.is_dir():
        return folder
    if (Path("runs") / folder).is_dir():
        return Path("runs") / folder
    around = [path.name for path in Path("runs").iterdir() if path.is_dir()] if Path("runs").is_dir() else []
    raise UsageError(f"there is no folder {str(folder)!r}{nearest(folder.name, around)}")
