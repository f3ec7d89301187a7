"""Commands, options and their help, frozen: a change of the surface is a change of this listing, made on purpose."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bamgate.cli.app import app

LISTING = Path(__file__).with_name("cli_surface.txt")


def _surface(command: Any, name: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    for child in sorted(children):
        yield from _surface(children[child], f"{name} {child}")
    if children:
        return
    for parameter in command.params:
        flags = " ".join([*parameter.opts, *parameter.secondary_opts])
        yield f"{name} | {flags} | {parameter.help or ''}"


def listing() -> str:
    return "\n".join(_surface(typer.main.get_command(app), "bamgate")) + "\n"


def test_the_surface_is_the_stored_one() -> None:
    assert listing() == LISTING.read_text(), f"if this is meant: python {Path(__file__).name}"


if __name__ == "__main__":
    LISTING.write_text(listing())
