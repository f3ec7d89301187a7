"""Gates that leave a mark when they are run, and what happens to commands that files try to make run them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from bamgate.config import AttentionConfig
from bamgate.gates import fingerprint, load_gate
from bamgate.weights import build, write_safetensors

TINY = ("--dataset", "digits", "--epochs", "1", "--train-limit", "64", "--batch-size", "32")


class Marker:
    """A gate's file, and whether anything of it was executed since it was last asked."""

    def __init__(self, folder: Path, *, name: str = "evil.py", factor: str = "3") -> None:
        self.file, self.mark = folder / name, folder / "MARK"
        self.write(factor)

    def write(self, factor: str) -> None:
        self.file.write_text(
            f"import torch\nopen({str(self.mark)!r}, 'a').close()\ndef g(z):\n    return torch.tanh(z) / {factor}\n"
        )

    @property
    def spec(self) -> str:
        return f"{self.file}:g"

    def was_run(self) -> bool:
        ran = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        return ran


def invoke(*arguments: str) -> Result:
    """The command in this process."""
    from bamgate.cli.app import app

    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str, code: int = 2) -> str:
    """The one line with which the command is refused."""
    result = invoke(*arguments)
    error: Any = result.exception
    assert result.exit_code != 0
    assert getattr(error, "exit_code", None) == code, (result.output, error)
    assert "\n" not in str(error)
    return str(error)


def done(*arguments: str) -> str:
    """Standard output of a command that goes well."""
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def weights_with(path: Path, marker: Marker, name: str, *, sha256: bool = True) -> Path:
    """A safetensors file whose gate goes by `name`, and is the marker's function; with the sha256 of its source."""
    from weight_samples import described

    gate = load_gate(marker.spec)
    network = replace(
        described(in_channels=1, image_size=(8, 8), dataset="digits"),
        attention=AttentionConfig(gate=name),
        gate_fingerprint=fingerprint(gate),
        gate_source_sha256=gate.source_sha256 if sha256 else None,
    )
    net = build(network, gate)
    write_safetensors(path, network, net.state_dict())
    marker.was_run()
    return path


def edited(path: Path, *keys: str, value: Any) -> None:
    """Change one value in a JSON file, as somebody would by hand."""
    content = json.loads(path.read_text())
    table = content
    for key in keys[:-1]:
        table = table[key]
    table[keys[-1]] = value
    path.write_text(json.dumps(content))
