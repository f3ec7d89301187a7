"""`bamgate models`: the networks, and what each costs with each attention."""

from typing import Annotated, Any

import typer

HELP = """Show the networks: parameters in millions and GMACs for one 32x32x3 image and 100 classes.

Plain, with SE, with BAM at the bottlenecks and with BAM in each block (BAM-C); BAM in the layout "counted", whose
parameters are the paper's.
"""

_Names = Annotated[list[str] | None, typer.Argument(help="networks [all]")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def command(names: _Names = None, json: _Json = False) -> None:
    """See HELP."""
    from bamgate.backbones import BACKBONES, find_backbone
    from bamgate.cli.console import err, out, print_json, table

    chosen = names or BACKBONES.names()
    for name in chosen:
        find_backbone(name)
    rows = [_costs(name) for name in chosen]
    if json:
        print_json(rows)
        return
    columns = ("plain", "SE", "BAM", "BAM-C")
    grid = table("Parameters in millions / GMACs, for one 32x32x3 image and 100 classes", "network", *columns)
    for row in rows:
        cells = [f"{row[c]['parameters'] / 1e6:.3f} / {row[c]['macs'] / 1e9:.3f}" for c in columns]
        grid.add_row(row["network"], *cells)
    out().print(grid)
    err().print(f"Next: bamgate run --model {chosen[0]} --dry-run", markup=False)


def _costs(name: str) -> dict[str, Any]:
    """Counted on weights that are never drawn, so that the largest networks take no memory."""
    import torch

    from bamgate.config import AttentionConfig
    from bamgate.gates import load_gate
    from bamgate.models import build_model, cost

    attentions = {
        "plain": AttentionConfig(name="none", gate="none"),
        "SE": AttentionConfig(name="se"),
        "BAM": AttentionConfig(layout="counted"),
        "BAM-C": AttentionConfig(layout="counted", placement="block"),
    }
    row: dict[str, Any] = {"network": name}
    for label, attention in attentions.items():
        gate = load_gate(attention.gate)
        with torch.device("meta"):
            model = build_model(name, attention, gate, num_classes=100, in_channels=3, image_size=(32, 32), seed=0)
        counted = cost(model, (3, 32, 32))
        row[label] = {"parameters": counted.params, "macs": counted.macs}
    return row
