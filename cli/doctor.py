"""`bamgate doctor`: what this machine has, and whether it fits together."""

from typing import Annotated

import typer

HELP = "Show what this machine has, and whether torch and torchvision fit. Exit code 2 if they do not."


def command(json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """See HELP."""
    import os
    import platform

    from bamgate import environment
    from bamgate.cli.console import err, out, print_json

    problems = []
    try:
        import torch
    except Exception as error:
        raise _unusable(f"torch cannot be imported: {error}") from error
    try:
        import torchvision
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
        vision = torchvision.__version__
    except Exception as error:  # a mismatch shows as RuntimeError, AttributeError or ImportError
        vision = environment.package_version("torchvision") or "missing"
        problems.append(
            f"torchvision {vision} does not fit torch {torch.__version__} ({str(error).splitlines()[0]}); "
            "install both in one command: pip install --upgrade torch torchvision"
        )
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts = {
        "bamgate": environment.package_version("bamgate"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": vision,
        "cpu": f"{environment.cpu_name()}, {os.cpu_count()} cores",
        "memory": f"{environment.memory_gib():.0f} GiB",
        "bf16_on_cpu": _cpu_has_bf16(),
        "gpus": gpus,
    }
    if json:
        print_json({**facts, "problems": problems})
    else:
        for name, value in facts.items():
            shown = (", ".join(value) or "none") if isinstance(value, list) else value
            out().print(f"{name.replace('_', ' '):<14} {_yes_no(shown)}", markup=False)
        out().print("\n".join(problems) if problems else "all fits together", markup=False)
    if problems:
        raise typer.Exit(2)
    err().print("Next: bamgate run --gate tanh", markup=False)


def _unusable(message: str) -> Exception:
    from bamgate.errors import UsageError

    return UsageError(message)


def _cpu_has_bf16() -> bool:
    import torch

    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(check()) if check is not None else False


def _yes_no(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
