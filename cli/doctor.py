"""`bamgate doctor`: what this machine has, and whether its libraries work together."""

from typing import Annotated, Any

import typer

from bamgate.errors import UsageError

HELP = "Show what this machine has, and whether torch and torchvision work together. Exit code 2 if they do not."


def command(json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """See HELP."""
    from bamgate.cli.console import err, out, print_json

    facts, problems = _facts()
    if json:
        print_json({**facts, "problems": problems})
    else:
        for name, value in facts.items():
            shown = (", ".join(value) or "none") if isinstance(value, list) else value
            out().print(f"{name.replace('_', ' '):<14} {_yes_no(shown)}", markup=False)
        out().print("\n".join(problems) if problems else "no problems found", markup=False)
    if problems:
        raise typer.Exit(2)
    err().print("Next: bamgate run --gate tanh", markup=False)


def _facts() -> tuple[dict[str, Any], list[str]]:
    """What this machine has, and a line for each problem."""
    import os
    import platform

    from bamgate._version import __version__
    from bamgate.record import environment

    try:
        import torch
    except Exception as error:
        raise UsageError(f"torch cannot be imported: {error}; pip install --upgrade torch torchvision") from error
    problem = _torchvision_problem()
    facts = {
        "bamgate": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": environment.package_version("torchvision") or "missing",
        "cpu": f"{environment.cpu_name()}, {os.cpu_count()} cores",
        "memory": f"{environment.memory_gib():.0f} GiB",
        "bf16_on_cpu": _cpu_has_bf16(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
    return facts, [problem] if problem else []


def _torchvision_problem() -> str:
    """The problem with torchvision, found by calling one of its compiled operators; empty if there is none."""
    import torch

    try:
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:  # a mismatch shows as RuntimeError, AttributeError or ImportError
        reason = str(error).partition("\n")[0]
        return (
            f"torchvision does not work with this torch ({reason}); install both together: "
            "pip install --upgrade torch torchvision"
        )
    return ""


def _cpu_has_bf16() -> bool:
    import torch

    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(check()) if check is not None else False


def _yes_no(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
