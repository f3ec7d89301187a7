"""`bamgate data`: what there is, getting it, checking it."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Data sets: list, get, verify.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="data set (bamgate data list)")]
_DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder [$BAMGATE_DATA or ~/.cache/bamgate]")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(json: _Json = False) -> None:
    """Show the data sets."""
    from bamgate.cli.console import out, print_json, table
    from bamgate.data import DATASETS

    rows = [
        {
            "name": d.name,
            "classes": d.classes,
            "train": d.train,
            "test": d.test,
            "size": list(d.size),
            "source": d.source,
        }
        for d in DATASETS
    ]
    if json:
        print_json(rows)
        return
    grid = table("Data sets", "name", "source", "classes", "size", "train", "test", text=("source",))
    for d in DATASETS:
        size = f"{d.size[0]}x{d.size[1]}x{d.channels}"
        grid.add_row(d.name, d.source, str(d.classes), size, f"{d.train:,}", f"{d.test:,}")
    out().print(grid)


@app.command()
def get(name: _Name, data_dir: _DataDir = None) -> None:
    """Download a data set and check it."""
    from bamgate.cli.console import err
    from bamgate.data import DATASETS, default_root

    data, root = DATASETS.get(name), data_dir or default_root()
    if data.fetch is None:
        err().print(f"{name} needs no download: {data.source}", markup=False)
    else:
        data.fetch(root)
    verify(name, root)


@app.command()
def verify(name: _Name, data_dir: _DataDir = None) -> None:
    """Check every file of a data set against its known checksum."""
    from bamgate.cli.console import err
    from bamgate.data import DATASETS, default_root

    for line in DATASETS.get(name).verify(data_dir or default_root()):
        typer.echo(line)
    err().print(f"Next: bamgate run --dataset {name} --dry-run", markup=False)
