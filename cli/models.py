"""`bamgate models`: the networks and their cost with each kind of attention, beside the paper's figures."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bamgate.networks.paper import Images

HELP = """List the networks: parameters in millions and GMACs for one image, beside the figures in the BAM paper.

Each network is counted plain, with SE, with BAM at the bottlenecks, with BAM in each block (BAM-C), and with an extra
block of its own kind in place of each BAM (Table 1c). BAM has the layout "counted", which gives the paper's parameter
counts. Networks of torchvision and timm work too: bamgate models timm:resnet50
"""
TITLE = "Parameters in millions and GMACs for one image, beside the figures in the BAM paper"
LEGEND = "= the printed digits, ~ within one unit of the last digit, x differs (see below), - not printed"

_Names = Annotated[list[str] | None, typer.Argument(help="networks \\[all]")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]
_Markdown = Annotated[bool, typer.Option("--markdown", help="print the networks of the paper as a Markdown table")]


def command(names: _Names = None, json: _Json = False, markdown: _Markdown = False) -> None:
    """See HELP."""
    from bamgate.cli.console import err, print_json
    from bamgate.errors import UsageError
    from bamgate.networks import BACKBONES, find_backbone
    from bamgate.networks.paper import SIZES, images_of

    if json and markdown:
        raise UsageError("--json and --markdown exclude each other; give one of them")
    chosen = names or (list(dict.fromkeys(name for name, _ in SIZES)) if markdown else BACKBONES.names())
    # All names first: counting the largest networks takes a while, and a wrong name at the end would waste it.
    for name in chosen:
        find_backbone(name)
    with err().status("") as status:
        rows = [_row(name, images, status.update) for name in chosen for images in images_of(name)]
    if json:
        print_json(rows)
    elif markdown:
        print(_markdown(rows))
    else:
        _show(rows)
        err().print(f"Next: bamgate run --model {chosen[0]} --dry-run", markup=False)


def _row(name: str, images: "Images", tell: Callable[[str], None]) -> dict[str, Any]:
    """Figures of one network on one data set; None for a kind of attention that the network cannot have."""
    from bamgate.networks.paper import KINDS, SIZES, compare

    tell(f"counting {name}")
    row: dict[str, Any] = {"network": name, "images": images.name, "size": images.size, "classes": images.classes}
    for kind in KINDS:
        row[kind] = counted = _count(name, kind, images)
        printed = SIZES.get((name, images), {}).get(kind)
        if counted and printed:
            counted["printed"] = printed._asdict()
            pairs = {
                "parameters": (counted["parameters"] / 1e6, printed.parameters),
                "gflops": (counted["macs"] / 1e9, printed.gflops),
            }
            counted["agreement"] = {name: compare(ours, text).value for name, (ours, text) in pairs.items() if text}
    return row


def _count(name: str, kind: str, images: "Images") -> dict[str, Any] | None:
    """Parameters and MACs. The network is built without memory for its weights, however large it is."""
    import torch

    from bamgate.config import AttentionConfig
    from bamgate.errors import UsageError
    from bamgate.gates import load_gate
    from bamgate.networks.build import build_model, cost

    attention = {
        "plain": AttentionConfig(name="none", gate="none"),
        "SE": AttentionConfig(name="se"),
        "BAM": AttentionConfig(layout="counted"),
        "BAM-C": AttentionConfig(layout="counted", placement="block"),
        "extra block": AttentionConfig(name="extra-block", gate="none"),
    }[kind]
    shape: dict[str, Any] = {"num_classes": images.classes, "in_channels": 3, "image_size": (images.size, images.size)}
    build = partial(build_model, name, attention, load_gate(attention.gate), seed=0, **shape)
    try:
        try:
            with torch.device("meta"):
                model = build()
        except NotImplementedError:  # torchvision's RegNets read values during construction, which meta tensors lack
            model = build()
    except UsageError:
        # A network of another library may have no stages, and its blocks are unknown.
        if attention.placement == "block" or kind == "extra block" or (":" in name and kind != "plain"):
            return None
        raise
    counted = cost(model, (3, images.size, images.size))
    return {"parameters": counted.params, "macs": counted.macs}


def _figures(cell: dict[str, Any] | None) -> str:
    return f"{cell['parameters'] / 1e6:.3f} / {cell['macs'] / 1e9:.3f}" if cell else "-"


def _printed(cell: dict[str, Any] | None) -> str:
    if not cell or "printed" not in cell:
        return "-"
    return " / ".join(f"{cell['printed'][name]} {mark}" for name, mark in cell["agreement"].items())


def _show(rows: list[dict[str, Any]]) -> None:
    from bamgate.cli.console import out, table
    from bamgate.networks.paper import KINDS

    grid = table(TITLE, "network", "pixels", "with", "parameters", "paper", "GMACs", "paper", text=("with",))
    for row in rows:
        for kind in KINDS:
            if row[kind]:
                place = (row["network"], str(row["size"])) if kind == KINDS[0] else ("", "")
                grid.add_row(*place, kind, *_beside(row[kind]))
    out().print(grid)
    if any(_has_printed(row) for row in rows):
        out().print(f"\n{LEGEND}", markup=False)
    for note in _notes(rows):
        out().print(note, markup=False)


def _beside(cell: dict[str, Any]) -> tuple[str, str, str, str]:
    """Our parameters and GMACs, each followed by the printed figure and its mark."""
    printed, marks = cell.get("printed", {}), cell.get("agreement", {})
    figures = {name: f"{printed[name]} {mark}" for name, mark in marks.items()}
    parameters, gflops = (figures.get(name, "-") for name in ("parameters", "gflops"))
    return f"{cell['parameters'] / 1e6:.3f}", parameters, f"{cell['macs'] / 1e9:.3f}", gflops


def _has_printed(row: dict[str, Any]) -> bool:
    from bamgate.networks.paper import KINDS

    return any(row[kind] and "printed" in row[kind] for kind in KINDS)


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    from bamgate.networks.paper import NOTES

    return [f"{name}: {NOTES[name]}" for name in dict.fromkeys(row["network"] for row in rows) if name in NOTES]


def _markdown(rows: list[dict[str, Any]]) -> str:
    from bamgate.networks.paper import KINDS

    lines = [f"| network | images | {' | '.join(KINDS)} |", "|---" * (2 + len(KINDS)) + "|"]
    for row in rows:
        cells = [_pair(row[kind]) for kind in KINDS]
        lines.append(f"| {row['network']} | {row['images']} {row['size']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", LEGEND + ".", "", *(f"- {note}" for note in _notes(rows))])


def _pair(cell: dict[str, Any] | None) -> str:
    """Our figures and, if the paper has any, its figures below them."""
    if not cell or "printed" not in cell:
        return _figures(cell)
    return f"{_figures(cell)}<br>{_printed(cell)}"
