"""Command-line options made from the fields of the configuration: there is no second list of names or defaults."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from bamgate.config.settings import FIELDS, Field, Settings
from bamgate.errors import UsageError

PANELS = {"": "Design", "attention": "Attention", "training": "Training"}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command(settings, ...)` one option per configuration field; it gets the options that the user gave."""
    # typer reads the signature of a function. So make one with a parameter for each field.
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    parameters = [_parameter(name, field) for name, field in FIELDS.items()] + own

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        settings = {name: _parsed(name, values.pop(name)) for name in FIELDS}
        command({name: value for name, value in settings.items() if value is not None}, **values)

    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__  # otherwise typer would follow it to the command's own annotations
    return wrapper


def _parameter(name: str, field: Field) -> inspect.Parameter:
    dashed = name.replace("_", "-")
    names = f"--{dashed}/--no-{dashed}" if field.kind is bool else f"--{dashed}"
    kind = str if field.kind is tuple else field.kind
    option = typer.Option(names, help=_help(name, field), rich_help_panel=PANELS[field.section], show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _help(name: str, field: Field) -> str:
    choices = f" ({' | '.join(field.rule.choices)})" if field.rule.choices else ""
    # Defaults of training options depend on the recipe, and that of the network on the data set: show none.
    fixed = field.section != "training" and field.default is not None and name != "model"
    return field.rule.help + choices + (f" \\[{field.default}]" if fixed else "")


def _parsed(name: str, value: Any) -> Any:
    # typer has no option for a list in one word; other kinds it has converted already.
    if value is None or FIELDS[name].kind is not tuple:
        return value
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise UsageError(f"{name} {value!r} cannot be read (allowed: numbers separated by commas, as 60,120)") from None


def as_options(settings: Settings) -> str:
    """Settings as the command-line options that set them."""
    words = []
    for name, value in settings.items():
        dashed = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{dashed}" if value else f"--no-{dashed}")
        else:
            text = ",".join(f"{number:g}" for number in value) if isinstance(value, tuple) else str(value)
            words.append(f"--{dashed} {_quoted(text)}")
    return " ".join(words)


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
