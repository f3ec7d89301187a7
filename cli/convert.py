"""`bamgate convert`: trained weights into a file of their own, in another layout where that is exact."""

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

HELP = """Write trained weights as a file of their own, or in another layout.

SOURCE is a run, a cell, its checkpoint.pt, a .safetensors file, or the authors' checkpoint. DEST.safetensors holds our
names and the network's description; DEST.pth and DEST.pth.tar the authors' names, for their code. A layout is another
way to hold the same function in evaluation mode; where it cannot, that is refused.
"""

_Source = Annotated[Path, typer.Argument(help="run, cell, checkpoint.pt, .safetensors or the authors' .pth.tar")]
_Dest = Annotated[Path, typer.Argument(help="file to write: .safetensors, .pth or .pth.tar")]
_Layout = Annotated[str | None, typer.Option("--layout", help="BAM: paper, counted or released \\[as it is]")]
_Model = Annotated[str | None, typer.Option("--model", help="authors' checkpoint: the network \\[told by its keys]")]
_Gate = Annotated[str | None, typer.Option("--gate", help="where the gate is, if it has moved: the same function")]
_AllowCode = Annotated[bool, typer.Option("--allow-code", help="run the gate if it is code and has not changed")]
_Force = Annotated[bool, typer.Option("--force", help="replace DEST where it exists")]
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
    """UsageError before anything heavy is begun."""
    endings = (".safetensors", ".pth", ".pth.tar")
    if not dest.name.endswith(endings):
        raise UsageError(f"{str(dest)!r}: the ending names the format (allowed: {', '.join(endings)})")
    if not dest.parent.is_dir():
        raise UsageError(f"{str(dest)!r}: there is no folder {str(dest.parent)!r}")
    if dest.is_dir():
        raise UsageError(f"{str(dest)!r} is a folder; name a file")
    if dest.exists() and not force:
        raise UsageError(f"{str(dest)!r} exists; --force replaces it")


def _refuse_diverged(source: Path, net: "nn.Module") -> None:
    broken = [name for name, tensor in net.state_dict().items() if not bool(tensor.isfinite().all())]
    if broken:
        raise DataError(f"{source} has diverged: {len(broken)} of its tensors are not finite, the first is {broken[0]}")


def _say_what_is_lost(network: "Network") -> None:
    """The authors' format has no place for how images are scaled."""
    from bamgate.cli.console import err

    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (network.mean, network.std))
    err().print(
        f"It was trained on images with mean {mean} and SD {std} of 255, which the file cannot say", markup=False
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
    """The command that evaluates the file as the run was; the authors' format cannot say any of it."""
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
