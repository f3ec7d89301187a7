"""`bamgate data`: list, download and check data sets."""

from pathlib import Path
from typing import Annotated

import typer

from bamgate.cli.settings import as_options
from bamgate.errors import printable

app = typer.Typer(help="Data sets: list, get, verify.", no_args_is_help=True)
FOLDERS = "folder:NAME   your own images, in DATA_DIR/NAME/{train,val}/CLASS/*.jpg (or png, webp, bmp, ...)"

_Name = Annotated[str, typer.Argument(help="data set (bamgate data list)")]
_DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder \\[$BAMGATE_DATA or ~/.cache/bamgate]")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(json: _Json = False) -> None:
    """List the data sets."""
    from bamgate.cli.console import out, print_json, table
    from bamgate.data import DATASETS

    rows = [
        {
            "name": d.name,
            "classes": d.classes,
            "train": d.train,
            "test": d.test,
            "size": d.size and list(d.size),
            "source": d.source,
        }
        for d in DATASETS
    ]
    if json:
        print_json(rows)
        return
    grid = table("Data sets", "name", "source", "classes", "size", "train", "test", text=("source",))
    for d in DATASETS:
        size = f"{d.size[0]}x{d.size[1]}x{d.channels}" if d.size else f"any x{d.channels}"
        grid.add_row(d.name, d.source, str(d.classes), size, f"{d.train:,}", f"{d.test:,}")
    out().print(grid)
    out().print(FOLDERS, markup=False)


@app.command()
def get(name: _Name, data_dir: _DataDir = None) -> None:
    """Download a data set and check it."""
    from bamgate.cli.console import err
    from bamgate.data import default_root, find_dataset

    root = data_dir or default_root()
    data = find_dataset(name, root)
    if data.fetch is None:
        err().print(f"{name} needs no download: {data.source}", markup=False)
    else:
        data.fetch(root)
    verify(name, data_dir)


@app.command()
def verify(name: _Name, data_dir: _DataDir = None) -> None:
    """Check every file of a data set, against its known checksum or by decoding it."""
    from bamgate.cli.console import err
    from bamgate.data import default_root, find_dataset
    from bamgate.data.files.verify import DamagedError

    root = data_dir or default_root()
    data = find_dataset(name, root)
    try:
        with err().status("") as status:
            lines = data.verify(root, lambda done, total: status.update(f"{name}: {done:,} of {total:,} files"))
    except DamagedError as error:
        # The list of files is data, for stdout; the error itself becomes a line on stderr.
        print("\n".join(map(printable, error.lines)))
        raise
    print("\n".join(map(printable, lines)))
    options = {"dataset": name} | ({"data_dir": str(data_dir)} if data_dir else {})
    err().print(f"Next: bamgate run {as_options(options)} --dry-run", markup=False)
