"""`bamgate bench`: speed compared with a plain loop, as ratios measured in one run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bamgate.errors import UsageError

HELP = """Measure training speed against a plain PyTorch loop (fp32, NCHW, eager, DataLoader with PIL transforms).

Both sides train the same network on the same batches of random images, in turns within one run. "image-folder" measures
something else: how many JPEGs of 500x375 pixels one core decodes and augments, against torchvision's transforms (always
one thread and no workers, whatever the other options say). It takes about five minutes on two CPU cores.
"""

_Models = Annotated[str, typer.Option("--models", help="networks or image-folder, separated by commas")]
_Rounds = Annotated[int, typer.Option("--rounds", min=1, help="how often each contender is measured")]
_Size = Annotated[int, typer.Option("--image-size", min=8, help="pixels per side")]
_Batch = Annotated[int, typer.Option("--batch-size", min=2, help="images per step")]
_Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads for both sides \\[cores]")]
_Workers = Annotated[int, typer.Option("--workers", min=0, help="DataLoader workers of the plain loop")]
_Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N")]
_Compile = Annotated[
    bool, typer.Option("--compile", help="use torch.compile in bamgate; the first step takes a minute")
]
_Out = Annotated[Path | None, typer.Option("--out", help="write the figures to this CSV file")]


def command(
    models: _Models = "resnet20,resnet18,image-folder",
    rounds: _Rounds = 5,
    image_size: _Size = 32,
    batch_size: _Batch = 128,
    threads: _Threads = None,
    workers: _Workers = 2,
    device: _Device = "cpu",
    compile: _Compile = False,
    out: _Out = None,
) -> None:
    """See HELP."""
    import os

    from bamgate.benchmark import IMAGE_FOLDER
    from bamgate.devices import resolve_device
    from bamgate.networks import find_backbone

    names = [name.strip() for name in models.split(",")]
    for name in names:
        if name != IMAGE_FOLDER:
            find_backbone(name)
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"--out {str(out)!r}: there is no folder {str(out.parent)!r}")
    rows = _measured(
        names,
        rounds,
        image_size=image_size,
        batch_size=batch_size,
        threads=threads or os.cpu_count() or 1,
        workers=workers,
        device=resolve_device(device),
        compile="default" if compile else "off",
    )
    _show(rows)
    if out is not None:
        _write(rows, out)


def _measured(names: list[str], rounds: int, **settings: Any) -> list[dict[str, Any]]:
    from bamgate.benchmark import IMAGE_FOLDER, compare, compare_decoding
    from bamgate.cli.console import err

    rows: list[dict[str, Any]] = []
    with err().status("") as status:
        for name in names:
            if name == IMAGE_FOLDER:
                rows += compare_decoding(rounds=rounds, tell=status.update)
            else:
                rows += compare(name, rounds=rounds, tell=status.update, **settings)
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    from bamgate.cli.console import out, table

    grid = table(
        "Images per second; ratio to the plain loop: median (lowest to highest) over rounds",
        "model",
        "task",
        "contender",
        "images/s",
        "ratio",
        text=("task", "contender"),
    )
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        grid.add_row(row["model"], row["task"], row["contender"], f"{row['images_per_s']:,.0f}", ratio)
    out().print(grid)
    if any(row["device"] == "cuda" for row in rows):
        out().print(_arithmetic(), markup=False)
    for row in rows:
        # Here the ratio is t(with BAM) / t(without), so BAM's share of a step is 1 - 1 / ratio.
        if row["contender"].endswith("without BAM"):
            share = 100 * (1 - 1 / row["ratio"])
            out().print(f"{row['model']}: BAM takes {share:.0f} % of a training step", markup=False)


def _arithmetic() -> str:
    """What fp32 means on each side: the plain loop keeps torch's defaults."""
    import torch

    from bamgate.devices import describe_arithmetic, exact_arithmetic

    plain = describe_arithmetic()
    with exact_arithmetic(torch.device("cuda")):
        return f"On the GPU, plain uses {plain}; bamgate uses {describe_arithmetic()}"


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    from bamgate.benchmark import BENCH
    from bamgate.cli.console import err
    from bamgate.record.storage import write_atomic
    from bamgate.record.tables import format_rows

    write_atomic(path, format_rows(BENCH, rows, header=True).encode())
    err().print(f"written: {path}", markup=False)
