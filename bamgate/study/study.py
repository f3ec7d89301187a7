"""A study: a declared set of cells, one question. Arms are compared, on every combination of axes, with every seed.

question = "..."            cost = "..."            expected = "..."
reference = "sigmoid"       # the arm that the others are compared with
rope = 0.2                  # of the metric, for accuracy in points: below it a difference is of no practical interest
seeds = "0-9"
gates = ["sigmoid", "tanh"] # an arm each
[settings]                  # of all cells, by their flat names
[axes]                      # lists of values; every combination is a context in which arms are compared
[arms.NAME]                 # settings of an arm that is more than a gate
[[exclude]]                 # arm and axis values that are left out together
"""

import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bamgate.config.gate_names import is_code, refuse_unprintable
from bamgate.config.settings import FIELDS, Settings, checked_setting, parse_seeds, place_of, read_toml, split_gates
from bamgate.errors import UsageError, nearest, unknown

TEXTS = ("question", "cost", "expected", "reference")
KEYS = (*TEXTS, "rope", "seeds", "gates", "settings", "axes", "arms", "exclude")
MANY = 2_000  # cells; more have to be asked for
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is declared; see the module's own text for the meaning of each part.

    Args:
        arms: name -> settings; `gates` stand here as arms with their own name.
        exclude: each a choice of "arm" and axis values; a cell that has all of one of them is left out.
    """

    name: str
    question: str
    cost: str
    expected: str
    reference: str
    rope: float
    seeds: str
    arms: dict[str, Settings]
    settings: Settings = field(default_factory=dict)
    axes: dict[str, list[Any]] = field(default_factory=dict)
    exclude: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only."""
        return asdict(self)


def read_study(path: Path) -> Study:
    """The study in a TOML file; UsageError that names file, line, key and the nearest key or value."""
    if path.stem.startswith("."):
        raise UsageError(
            f"the study file {str(path)!r} would make a study called {path.stem!r}, and its folder is named after it; "
            "rename the file so that it does not start with a dot"
        )
    text, content = read_toml(path, "study")
    return _Reader(path, text, content).study()


class _Reader:
    """Checks the content of one file, part by part."""

    def __init__(self, path: Path, text: str, content: dict[str, Any]) -> None:
        self.path, self.text, self.content = path, text, content

    def fail(self, message: object, section: str = "", key: str = "", table: int = 1) -> UsageError:
        return UsageError(f"{place_of(self.path, self.text, section, key, table)}: {message}")

    def study(self) -> Study:
        for key in self.content:
            if key not in KEYS:
                raise self.fail(unknown("key", key, KEYS), key=key)
        if lacking := [key for key in (*TEXTS, "rope", "seeds") if key not in self.content]:
            raise self.fail(f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing")
        refuse_unprintable("the study's file name", self.path.stem)
        study = Study(
            name=self.path.stem,
            **{name: self._text(name) for name in TEXTS},
            rope=self._rope(),
            seeds=self._seeds(),
            arms=self._arms(),
            settings=self._settings("settings", self._table("settings")),
            axes=self._axes(),
            exclude=self._exclusions(),
        )
        self._check_together(study)
        return study

    def _text(self, key: str) -> str:
        value = self.content.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(f"{key} must be a text, got {value!r}", key=key)
        try:
            refuse_unprintable(key, value)
        except UsageError as error:
            raise self.fail(error, key=key) from None
        return value

    def _rope(self) -> float:
        value = self.content.get("rope")
        # The metric, and with it the unit and the upper bound, is known once the data sets are: see `expand`.
        if type(value) not in (int, float) or not 0 < value <= sys.float_info.max:  # type: ignore[operator]
            raise self.fail(f"rope must be a number above 0, got {value!r}", key="rope")
        return float(value)  # type: ignore[arg-type]

    def _seeds(self) -> str:
        value = self.content.get("seeds")
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        try:
            parse_seeds(text)
        except UsageError as error:
            raise self.fail(error, key="seeds") from None
        return text

    def _table(self, key: str) -> dict[str, Any]:
        value = self.content.get(key, {})
        if not isinstance(value, dict):
            raise self.fail(f"{key} must be a table, [{key}], got {value!r}", key=key)
        return value

    def _settings(self, section: str, table: dict[str, Any]) -> Settings:
        return {key: self._setting(section, key, value) for key, value in table.items()}

    def _setting(self, section: str, key: str, value: Any) -> Any:
        if key == "seeds":
            raise self.fail("seeds stand at the top level of a study", section, key)
        try:
            return checked_setting(key, value)
        except UsageError as error:
            raise self.fail(error, section, key) from None

    def _arms(self) -> dict[str, Settings]:
        gates = self.content.get("gates", [])
        if not isinstance(gates, list) or not all(isinstance(gate, str) and gate for gate in gates):
            raise self.fail(f"gates must be a list of gates, got {gates!r}", key="gates")
        arms: dict[str, Settings] = {gate: {"gate": gate} for gate in gates}
        if len(arms) < len(gates):
            raise self.fail("gates names a gate twice", key="gates")
        for name, table in self._table("arms").items():
            section = f"arms.{name}"
            if not isinstance(table, dict):
                raise self.fail(f"arm {name!r} must be a table, [{section}]", "arms", name)
            if name in arms or not _NAME.fullmatch(name):
                why = "is a gate's arm already" if name in arms else "needs another name (letters, digits, _ . + -)"
                raise self.fail(f"arm {name!r} {why}", section)
            arms[name] = self._settings(section, table)
        if not arms:
            raise self.fail("a study needs arms: gates = [...] or [arms.NAME]")
        return arms

    def _axes(self) -> dict[str, list[Any]]:
        axes: dict[str, list[Any]] = {}
        for key, values in self._table("axes").items():
            if not isinstance(values, list) or not values:
                raise self.fail(f"axis {key} must be a list of values, got {values!r}", "axes", key)
            axes[key] = [self._setting("axes", key, value) for value in values]
            if any(axes[key].count(value) > 1 for value in axes[key]):
                raise self.fail(f"axis {key} has a value twice", "axes", key)
        return axes

    def _exclusions(self) -> list[dict[str, Any]]:
        value = self.content.get("exclude", [])
        if not isinstance(value, list) or not all(isinstance(item, dict) and item for item in value):
            raise self.fail("exclude must be tables, [[exclude]], of an arm and axis values", key="exclude")
        return value

    def _check_together(self, study: Study) -> None:
        if study.reference not in study.arms:
            raise self.fail(unknown("reference arm", study.reference, study.arms), key="reference")
        for axis in study.axes:
            if axis in study.settings:
                raise self.fail(f"{axis} stands in [settings] and in [axes]; leave one out", "axes", axis)
            for arm, settings in study.arms.items():
                if axis in settings:
                    raise self.fail(f"{axis} is an axis, and arm {arm!r} sets it too; leave one out", "axes", axis)
        allowed = {"arm": list(study.arms), **study.axes}
        for table, item in enumerate(study.exclude, start=1):
            for key, value in item.items():
                if key not in allowed:
                    raise self.fail(unknown("key", key, allowed), "exclude", key, table)
                if value not in allowed[key]:
                    hint = nearest(str(value), map(str, allowed[key]))
                    raise self.fail(f"exclude: {key} has no value {value!r}{hint}", "exclude", key, table)


def merged(study: Study, arm: str, context: Settings) -> Settings:
    """The settings of the cells of an arm in a context.

    An arm with another attention than the study's takes none of the study's settings of attention: they are those of
    another module.
    """
    own, shared = study.arms[arm], {**study.settings, **context}
    if own.get("attention", shared.get("attention", "bam")) != shared.get("attention", "bam"):
        shared = {name: value for name, value in shared.items() if FIELDS[name].section != "attention"}
    return {**shared, **own}


def contexts(study: Study) -> list[Settings]:
    """Every combination of the axes' values; one empty context if there is no axis."""
    return list(each_context(study))


def each_context(study: Study) -> Iterator[Settings]:
    """`contexts`, one after the other: a few axes may have millions."""
    return (dict(zip(study.axes, values, strict=True)) for values in itertools.product(*study.axes.values()))


def is_excluded(study: Study, arm: str, context: Settings) -> bool:
    """Whether the arm is left out in this context."""
    return any(item.items() <= {"arm": arm, **context}.items() for item in study.exclude)


def gates_of_code(study: Study) -> list[str]:
    """The gates that import code of somebody's: pkg.mod:attr and file.py:attr."""
    tables = [study.settings, *study.arms.values(), *({"gate": value} for value in study.axes.get("gate", []))]
    gates = [gate for table in tables if "gate" in table for gate in split_gates(table["gate"])]
    return [gate for gate in dict.fromkeys(gates) if is_code(gate)]


def from_plain(plain: dict[str, Any]) -> Study:
    """The study that `Study.to_dict` was taken of, from JSON."""
    arms = {arm: _checked(settings) for arm, settings in plain["arms"].items()}
    axes = {name: [checked_setting(name, value) for value in values] for name, values in plain["axes"].items()}
    return Study(**{**plain, "settings": _checked(plain["settings"]), "arms": arms, "axes": axes})


def _checked(settings: Settings) -> Settings:
    return {name: checked_setting(name, value) for name, value in settings.items()}
