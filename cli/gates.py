"""`bamgate gates`: list, show, check and plot gates, including the user's own."""

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bamgate.errors import UsageError, printable

if TYPE_CHECKING:
    from bamgate.gates import Gate, GateReport

app = typer.Typer(help="Gates: list, show, check, plot.", no_args_is_help=True)

_Gate = Annotated[str, typer.Argument(help="name, expr:FORMULA, pkg.mod:attr or ./file.py:attr")]
_Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(json: _Json = False) -> None:
    """List all gates: the built-in ones, and those of installed packages."""
    from bamgate.cli.console import err, out, print_json, table
    from bamgate.gates import GATES, examine

    # A broken plug-in must not hide the other gates.
    plugins, warnings = _plugins()
    rows = [(gate, examine(gate)) for gate in [*GATES, *plugins]]
    for warning in warnings:
        err().print(f"warning: {warning}", markup=False)
    if json:
        print_json([_facts(gate, report) for gate, report in rows])
        return
    grid = table(
        "Gates, with s = 1 + g(z)", "name", "s from", "to", "s(0)", "s'(0)", "what it is", text=("what it is",)
    )
    for gate, report in rows:
        numbers = [f"{x:.3g}" for x in (*_range(gate, report), report.centre, report.slope)]
        grid.add_row(gate.name, *numbers, gate.summary)
    out().print(grid)
    err().print("Next: bamgate gates plot sigmoid tanh", markup=False)


@app.command()
def show(gate: _Gate, json: _Json = False) -> None:
    """Show what is known about one gate."""
    from bamgate.cli.console import err, out, print_json
    from bamgate.gates import examine, load_gate

    part = load_gate(gate)
    facts = _facts(part, examine(part))
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        out().print(f"{name.replace('_', ' '):<18} {_text(value)}", markup=False)
    err().print(f"Next: bamgate gates check {shlex.quote(gate)}", markup=False)


@app.command()
def check(gate: _Gate, json: _Json = False) -> None:
    """Try a gate as a network would use it: values and gradients up to |z| = 100, bf16, autocast, torch.compile.

    A gate that is not a function of each logit alone is refused. The exit code is 3 if the gate fails another trial.
    """
    from bamgate.cli.console import err, out, print_json
    from bamgate.gates import examine, load_gate

    part = load_gate(gate)
    report = examine(part, try_compile=True)
    trials = {
        "finite values and gradients": report.finite,
        "a gradient where the value changes": report.learns,
        "bf16": report.bf16,
        "autocast": report.autocast,
        "torch.compile": bool(report.compiles),
        "same input, same output": report.deterministic,
    }
    if json:
        print_json({**_facts(part, report), "trials": trials, "passed": report.passed})
    else:
        for name, passed in trials.items():
            out().print(f"{'ok  ' if passed else 'FAIL'} {name}", markup=False)
        out().print(f"     {'monotone' if report.monotone else 'not monotone'}; {report.effect}", markup=False)
        err().print(f"Next: bamgate run --gate {shlex.quote(gate)}", markup=False)
    if not report.passed:
        raise typer.Exit(3)


@app.command()
def plot(
    gates: Annotated[
        list[str] | None, typer.Argument(help="gates to draw \\[sigmoid tanh hard-sigmoid softsign]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="picture: .png, .svg or .pdf")] = Path("gates.png"),
    span: Annotated[float, typer.Option("--span", min=0.1, max=50, help="largest |z|")] = 6.0,
) -> None:
    """Plot scale and slope against the logit."""
    from bamgate.cli.console import check_name

    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--out {str(out)!r}: the file extension sets the format (allowed: .png, .svg, .pdf)")
    if not out.parent.is_dir():
        raise UsageError(f"--out {str(out)!r}: there is no folder {str(out.parent)!r}")
    check_name(out)
    if out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a folder; name a file in it")
    import pandas as pd

    from bamgate.gates import load_gate
    from bamgate.reports.figures import plot_gates

    names = gates or ["sigmoid", "tanh", "hard-sigmoid", "softsign"]
    curves = pd.concat([_curve(load_gate(name), span) for name in names], ignore_index=True)
    # Written beside it and then renamed, so that a full disk does not destroy the old picture.
    try:
        with tempfile.TemporaryDirectory(prefix=".gates-", dir=out.parent) as folder:
            plot_gates(curves, Path(folder) / out.name)
            (Path(folder) / out.name).replace(out)
    except PermissionError as error:
        raise UsageError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None
    print(printable(str(out)))


def _curve(gate: "Gate", span: float) -> Any:
    import pandas as pd
    import torch

    from bamgate.gates.gate import values_and_slopes

    z = torch.linspace(-span, span, 1201, dtype=torch.float64)
    g, slope = values_and_slopes(gate.sample().double(), z)
    return pd.DataFrame({"gate": gate.name, "z": z.numpy(), "scale": (1 + g).numpy(), "slope": slope.numpy()})


def _plugins() -> tuple[list["Gate"], list[str]]:
    """The plug-ins that can be loaded, and a warning for each that cannot."""
    from bamgate.gates import load_gate, plugin_gates

    loaded, warnings = [], []
    for name in plugin_gates():
        try:
            loaded.append(load_gate(name))
        except UsageError as error:
            warnings.append(str(error))
    return loaded, warnings


def _range(gate: "Gate", report: "GateReport") -> tuple[float, float]:
    """Infimum and supremum of s: as the gate states them, otherwise as measured over z in [-50, 50]."""
    low = report.low if gate.low is None else 1 + gate.low
    high = report.high if gate.high is None else 1 + gate.high
    return low, high


def _facts(gate: "Gate", report: "GateReport") -> dict[str, Any]:
    form = gate.form
    return {
        "name": gate.name,
        "summary": gate.summary,
        "s_low": round(_range(gate, report)[0], 6),
        "s_high": round(_range(gate, report)[1], 6),
        "s_at_0": round(report.centre, 6),
        "slope_at_0": round(report.slope, 6),
        "steepest_slope": round(report.max_slope, 6),
        "monotone": report.monotone,
        "effect": report.effect + (" (as it starts)" if report.parameters else ""),
        "form": None if form is None else {"c": form.c, "A": form.depth, "k": form.k},
        "parameters": report.parameters,
        "fingerprint": report.fingerprint,
        "source_sha256": gate.source_sha256,
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"s = {value['c']:.4g} (1 + {value['A']:.4g} tanh({value['k']:.4g} z))"
    if value is None:
        return "not c (1 + A tanh(k z))"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
