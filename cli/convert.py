"""`bamgate convert`: write trained weights to a file of their own, or in another layout if that is exact."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bamgate.config.gate_names import is_code
from bamgate.errors import DataError, UsageError
from bamgate.record.metric import FIRST_TASK

if TYPE_CHECKING:
    from torch import nn

    from bamgate.weights import Network

HELP = """Write trained weights to a file of their own, or in another layout.

SOURCE is a run, a cell, its checkpoint.pt, a .safetensors file, or a checkpoint of the authors' code. DEST.safetensors
has bamgate's names and a description of the network; DEST.pth and DEST.pth.tar have the authors' names, for their code.
A layout is another way to store the same function in evaluation mode; a conversion that would not be exact is refused.
"""

_Source = Annotated[Path, typer.Argument(help="run, cell, checkpoint.pt, .safetensors or the authors' .pth.tar")]
_Dest = Annotated[Path, typer.Argument(help="file to write: .safetensors, .pth or .pth.tar")]
_Layout = Annotated[str | None, typer.Option("--layout", help="BAM: paper, counted or released \\[unchanged]")]
_Model = Annotated[str | None, typer.Option("--model", help="authors' checkpoint: the network \\[found by its keys]")]
_Gate = Annotated[str | None, typer.Option("--gate", help="the network's own gate, if its code has moved")]
_AllowCode = Annotated[bool, typer.Option("--allow-code", help="run the gate if it is code and has not changed")]
_Force = Annotated[bool, typer.Option("--force", help="replace DEST if it exists")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def command(
    source: _Source,
    dest: _Dest,
    layout: _Layout = None,
    model: _Model = None,
    gate: _Gate = None,
    allow_code: _AllowCode = False,
    force: _Force = False,
    json: _Json = False,
) -> None:
    """See HELP."""
    # Before torch is imported: a wrong name should not take seconds to refuse.
    _check_dest(dest, force=force)
    from bamgate.weights import convert_layout, load_model, write_released, write_safetensors

    network, net = load_model(source, model=model, gate=gate, allow_code=allow_code)
    _refuse_diverged(source, net)
    if network.task != FIRST_TASK and dest.suffix != ".safetensors":
        raise UsageError(f"{source} is for task {network.task!r}, which only a .safetensors file can say")
    if layout is not None:
        network, net = convert_layout(network, net, layout)
    write = write_safetensors if dest.suffix == ".safetensors" else write_released
    write(dest, network, net.state_dict())
    if dest.suffix != ".safetensors":
        _say_what_is_lost(network)
    _show(_facts(dest, network, net), as_json=json)


def _check_dest(dest: Path, *, force: bool) -> None:
    """UsageError before anything slow starts."""
    endings = (".safetensors", ".pth", ".pth.tar")
    if not dest.name.endswith(endings):
        raise UsageError(f"{str(dest)!r}: the file extension sets the format (allowed: {', '.join(endings)})")
    if not dest.parent.is_dir():
        raise UsageError(f"{str(dest)!r}: there is no folder {str(dest.parent)!r}")
    if dest.is_dir():
        raise UsageError(f"{str(dest)!r} is a folder; name a file")
    if dest.exists() and not force:
        raise UsageError(f"{str(dest)!r} already exists; pass --force to replace it")


def _refuse_diverged(source: Path, net: "nn.Module") -> None:
    broken = [name for name, tensor in net.state_dict().items() if not bool(tensor.isfinite().all())]
    if broken:
        raise DataError(f"{source} has diverged: {len(broken)} of its tensors are not finite, first {broken[0]}")


def _say_what_is_lost(network: "Network") -> None:
    """Tell how images were normalised, which the authors' format cannot store."""
    from bamgate.cli.console import err

    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (network.mean, network.std))
    err().print(
        f"The file cannot store how images were normalised: mean {mean} and SD {std}, on the scale 0 to 255",
        markup=False,
    )


def _facts(dest: Path, network: "Network", net: "nn.Module") -> dict[str, Any]:
    is_bam = network.attention.name == "bam"
    return {
        "out": str(dest),
        "model": network.model,
        "attention": network.attention.name,
        "layout": network.attention.layout if is_bam else None,
        "gate": network.attention.gate,
        "dataset": network.dataset,
        "next": _next(dest, network) if network.task == FIRST_TASK else None,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
    }


def _next(dest: Path, network: "Network") -> str:
    """The command that evaluates the file as in the run. It needs more options for the authors' format."""
    words = ["bamgate", "evaluate", str(dest)]
    files, says_all = (network.dataset or "").startswith("folder:"), dest.suffix == ".safetensors"
    if network.dataset is None or not says_all:
        words += ["--dataset", network.dataset or "NAME"]
    if files and not says_all:
        words += ["--image-size", str(max(network.image_size))]
    if network.precision != "fp32" and not says_all:
        words += ["--precision", network.precision]
    code = " --allow-code" if is_code(network.attention.gate) else ""
    return shlex.join(words) + (" --data-dir DIR" if files else "") + code


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    from bamgate.cli.console import err, out, print_json

    if as_json:
        print_json(facts)
        return
    layout = f", layout {facts['layout']}" if facts["layout"] else ""
    out().print(
        f"{facts['out']}: {facts['model']}, attention {facts['attention']}{layout}, gate {facts['gate']}, "
        f"{facts['parameters']:,} parameters",
        markup=False,
        soft_wrap=True,
    )
    if facts["next"]:
        err().print(f"Next: {facts['next']}", markup=False, soft_wrap=True)
