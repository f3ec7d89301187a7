"""The names in a study file, looked up where they stand: an unknown one is named with its line."""

from collections.abc import Callable, Iterator
from pathlib import Path

from bamgate.config.gate_names import is_code
from bamgate.config.recipes import RECIPES
from bamgate.config.settings import place_of, read_toml, split_gates
from bamgate.data import DATASETS
from bamgate.errors import UsageError
from bamgate.gates import named_gate
from bamgate.networks import find_backbone
from bamgate.study.study import Study

LOOKUPS: dict[str, Callable[[str], object]] = {
    "dataset": DATASETS.get,
    "gate": lambda text: [named_gate(gate) for gate in split_gates(text) if not is_code(gate)],
    "model": find_backbone,
    "recipe": RECIPES.get,
}


def check_names(path: Path, study: Study) -> None:
    """UsageError with file, line and nearest guess for the first name that is not known.

    What is found outside of bamgate, an image folder or a gate that is code, is left to whoever uses it.
    """
    text, content = read_toml(path, "study")
    for section, key, name, value in _names(study, set(content.get("gates", []))):
        if name == "dataset" and ":" in value:
            continue
        try:
            LOOKUPS[name](value)
        except UsageError as error:
            raise UsageError(f"{place_of(path, text, section, key)}: {error}") from None


def _names(study: Study, listed: set[str]) -> Iterator[tuple[str, str, str, str]]:
    """(section, key, setting, name) of all settings that name something, in the order of the file's parts."""
    tables = {"settings": study.settings}
    for arm, settings in study.arms.items():
        if arm in listed:
            yield "", "gates", "gate", arm
        else:
            tables[f"arms.{arm}"] = settings
    for section, table in tables.items():
        yield from ((section, key, key, value) for key, value in table.items() if key in LOOKUPS)
    for axis, values in study.axes.items():
        yield from (("axes", axis, axis, value) for value in values if axis in LOOKUPS)
