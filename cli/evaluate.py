"""`bamgate evaluate`: what a trained network can do, and how much it depends on its gates."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bamgate.errors import UsageError, unknown

if TYPE_CHECKING:
    from bamgate.evaluation import Finding, Scores, Subject

HELP = """Evaluate trained weights: top-1, top-5, loss and calibration, in total and by class.

SOURCE is a cell of a run (runs/.../cells/ID), a checkpoint, a .safetensors file or a checkpoint of the BAM authors'
code. --gate, --off and --hold show what the same weights do with other gates, without training: how much does the
network depend on its gates?
"""

_Source = Annotated[Path, typer.Argument(help="run, checkpoint or weights file", show_default=False)]
_Dataset = Annotated[str | None, typer.Option("--dataset", help="data set \\[the one of the training]")]
_DataDir = Annotated[Path | None, typer.Option("--data-dir", help="folder \\[$BAMGATE_DATA or ~/.cache/bamgate]")]
_ImageSize = Annotated[
    int | None, typer.Option("--image-size", min=8, help="image folders: pixels per side \\[as trained]")
]
_Gate = Annotated[str | None, typer.Option("--gate", help="gates to try instead of its own, separated by commas")]
_Off = Annotated[
    str | None, typer.Option("--off", help="set the scale to 1 at these sites: names separated by commas, all or each")
]
_Hold = Annotated[
    str | None, typer.Option("--hold", help="hold the scale at its mean over the images: sites as for --off")
]
_PerClass = Annotated[bool, typer.Option("--per-class", help="show each class")]
_Calibration = Annotated[bool, typer.Option("--calibration", help="show accuracy by confidence")]
_Model = Annotated[str | None, typer.Option("--model", help="network, if the file does not say which")]
_Precision = Annotated[str | None, typer.Option("--precision", help="fp32 or bf16 \\[as trained]")]
_Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N")]
_Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads")]
_Workers = Annotated[int | None, typer.Option("--workers", min=0, help="image folders: processes that decode")]
_AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="run the network's own gate if it is code and has not changed")
]
_Json = Annotated[bool, typer.Option("--json", help="print JSON, with all classes and confidence bins")]


def command(
    source: _Source,
    dataset: _Dataset = None,
    data_dir: _DataDir = None,
    image_size: _ImageSize = None,
    gate: _Gate = None,
    off: _Off = None,
    hold: _Hold = None,
    per_class: _PerClass = False,
    calibration: _Calibration = False,
    model: _Model = None,
    precision: _Precision = None,
    device: _Device = "cpu",
    threads: _Threads = 1,
    workers: _Workers = None,
    allow_code: _AllowCode = False,
    json: _Json = False,
) -> None:
    """See HELP."""
    from bamgate.cli.console import err
    from bamgate.config.settings import split_gates
    from bamgate.devices import cpu_threads
    from bamgate.engines import Execution
    from bamgate.evaluation import Subject
    from bamgate.gates import load_gate

    if precision not in (None, "fp32", "bf16"):
        raise unknown("precision", precision, ("fp32", "bf16"))
    if json and (per_class or calibration):
        raise UsageError("--per-class and --calibration would have no effect: --json includes both; leave them out")
    gates = [load_gate(spec) for spec in split_gates(gate)] if gate is not None else []
    execution = Execution(device=device, threads=threads, data_root=data_dir, workers=workers)
    with cpu_threads(threads), err().status("loading") as status:
        subject = Subject(
            source,
            model=model,
            dataset=dataset,
            image_size=image_size,
            execution=execution,
            precision=precision,
            allow_code=allow_code,
            gates=gates,
        )
        findings = list(subject.findings(gates=gates, off=off, hold=hold, tell=status.update))
    if not subject.scaled_by_the_file:
        _say_scaling(source, subject)
    if json:
        _print_json(source, subject, findings)
        return
    _show(subject, findings)
    if per_class:
        _show_classes(subject.class_names, findings[0].scores)
    if calibration:
        _show_calibration(findings[0].scores)
    if len(findings) == 1 and subject.mean_scales:
        given = {"dataset": dataset, "data-dir": data_dir, "image-size": image_size, "model": model}
        _say_next(source, given, allow_code=allow_code)


def _say_scaling(source: Path, subject: "Subject") -> None:
    from bamgate.cli.console import err

    err().print(
        f"{source} does not say how its images were normalised; using the mean and SD of the training images of "
        f"{subject.data.name}",
        markup=False,
        soft_wrap=True,
    )


def _print_json(source: Path, subject: "Subject", findings: list["Finding"]) -> None:
    from bamgate.cli.console import print_json

    facts = {"source": str(source), "precision": subject.precision, **subject.facts()}
    facts |= {"mean_scales": subject.mean_scales, "findings": [asdict(finding) for finding in findings]}
    print_json(facts)


def _say_next(source: Path, given: dict[str, Any], *, allow_code: bool) -> None:
    from bamgate.cli.console import err

    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    words += ["--allow-code"] if allow_code else []
    line = shlex.join(["bamgate", "evaluate", str(source), *words, "--off", "each", "--hold", "each"])
    err().print(f"Next: {line}", markup=False, soft_wrap=True)


def _show(subject: "Subject", findings: list["Finding"]) -> None:
    from rich.markup import escape

    from bamgate.cli.console import out, table

    network, attention = subject.network, subject.network.attention
    gateless = {"none": "no attention", "extra-block": "extra-block"}
    gated = gateless.get(attention.name, f"{attention.name} with gate {attention.gate}")
    title = f"{network.model}, {gated}, on the {findings[0].scores.total:,} test images of {subject.data.name}"
    title += f", {subject.precision}"
    size = subject.data.image_shape[1:]
    if size != network.image_size:
        height, width = network.image_size
        title += f", {size[0]}x{size[1]} pixels (trained with {height}x{width})"
    grid = table(title, "condition", "top-1 %", "correct", "top-5 %", "loss", "ECE %", "Brier", "changed")
    for finding in findings:
        scores = finding.scores
        grid.add_row(
            escape(finding.name),
            _percent(scores.correct, scores.total),
            str(scores.correct),
            _percent(scores.top5_correct, scores.total),
            f"{scores.loss:.4f}" if scores.loss < 1e5 else f"{scores.loss:.3g}",
            f"{100 * scores.ece:.2f}",
            f"{scores.brier:.4f}",
            str(finding.changed),
        )
    out().print(grid)
    if len(findings) > 1:
        out().print("changed: predictions that differ from those of the network as trained", markup=False)
    if any(finding.name.startswith("held") for finding in findings):
        means = ", ".join(f"{site} {mean:.3f}" for site, mean in subject.mean_scales.items())
        out().print(f"mean scale over the images: {means}", markup=False)


def _show_classes(names: list[str], scores: "Scores") -> None:
    from rich.markup import escape

    from bamgate.cli.console import out, table

    grid = table("By class, as trained", "class", "images", "correct", "%")
    for name, total, correct in zip(names, scores.class_total, scores.class_correct, strict=True):
        grid.add_row(escape(name), str(total), str(correct), _percent(correct, total))
    out().print()
    out().print(grid)


def _show_calibration(scores: "Scores") -> None:
    from bamgate.cli.console import out, table

    grid = table("By confidence, as trained", "confidence", "images", "mean confidence %", "correct %")
    for b in scores.bins:
        confidence = "-" if b.confidence is None else f"{100 * b.confidence:.1f}"
        grid.add_row(f"{b.low:.2f} to {b.high:.2f}", str(b.total), confidence, _percent(b.correct, b.total))
    out().print()
    out().print(grid)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "-"
