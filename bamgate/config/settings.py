"""Settings as users write them: flat, in options and TOML files, checked by name against the configuration's fields.

A flat setting is a field of RunConfig, AttentionConfig or TrainingConfig; `attention` stands for AttentionConfig.name.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bamgate.config import LARGEST_SEED, AttentionConfig, RunConfig, TrainingConfig
from bamgate.config.gate_names import beside, is_code
from bamgate.config.options import Option, check_value, normal, option, options_of
from bamgate.errors import UsageError, nearest, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Settings = dict[str, Any]
MOST_SEEDS = 10_000  # in one range


class Field(NamedTuple):
    """One setting: its section in a file, its plain type, its default and what it may hold."""

    section: str
    kind: type
    default: Any
    rule: Option


def _fields() -> dict[str, Field]:
    found: dict[str, Field] = {}
    for section, config_type in (("", RunConfig), ("attention", AttentionConfig), ("training", TrainingConfig)):
        for name, kind, default, rule in options_of(config_type):
            found["attention" if name == "name" else name] = Field(section, kind, default, rule)
    del found["seed"]
    # Two settings that are no field of one run's configuration: which runs there are, and where their fields start.
    found["seeds"] = Field("", str, "0", option("0", "seeds: 0, 0-4 or 0,3,7-9").metadata["option"])
    found["recipe"] = Field("", str, None, option(None, "recipe that training options start from").metadata["option"])
    return found


FIELDS = _fields()


def read_toml(path: Path, what: str) -> tuple[str, dict[str, Any]]:
    """(text, content) of a TOML file; UsageError, which calls it a `what` file, if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows may start it with a byte order mark
        content = tomllib.loads(text)
        # Messages show values, so make sure that they can be shown: this fails here, rather than while a message is
        # made, for a number of thousands of digits (ValueError) and for deep nesting (RecursionError).
        repr(content)
        return text, content
    except FileNotFoundError:
        raise UsageError(f"there is no {what} file {str(path)!r}") from None
    except OSError as error:
        raise UsageError(f"the {what} file {str(path)!r} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} cannot be read: its lists or tables are nested too deeply") from None
    except ValueError:  # Python converts at most 4300 digits
        raise UsageError(f"{path} cannot be read: a number in it has too many digits") from None


def read_file(path: Path) -> Settings:
    """Flat settings of a TOML file. Paths of gates are relative to the file.

    Raises:
        UsageError: names file, line and key, and the nearest key or value.
    """
    text, content = read_toml(path, "configuration")
    settings: Settings = {}
    for key, value in content.items():
        if not isinstance(value, dict):
            _add(settings, "", key, value, place_of(path, text, "", key))
        elif key in ("attention", "training"):
            for inner, setting in value.items():
                _add(settings, key, inner, setting, place_of(path, text, key, inner))
        else:
            raise UsageError(f"{place_of(path, text, key, '')}: {unknown('section', key, ['attention', 'training'])}")
    if any(is_code(gate) for gate in settings.get("gate", "").split(",")):
        settings["gate"] = ",".join(beside(gate, path.parent) for gate in split_gates(settings["gate"]))
    return settings


def _add(settings: Settings, section: str, key: str, value: Any, place: str) -> None:
    name = "attention" if (section, key) == ("attention", "name") else key
    if name not in FIELDS or FIELDS[name].section != section or (name == "attention") != (key == "name"):
        allowed = ["name" if n == "attention" else n for n, field in FIELDS.items() if field.section == section]
        where = f"[{section}]" if section else "the top level"
        hint = nearest(key, allowed)
        raise UsageError(f"{place}: unknown key {key!r} in {where}{hint} (allowed: {', '.join(allowed)})")
    # Seeds and gates may be lists in a file; as options they are one text, which is the form that is kept.
    if name in ("seeds", "gate") and isinstance(value, list):
        value = ",".join(map(str, value))
    if name == "seeds" and type(value) is int:
        value = str(value)
    try:
        settings[name] = checked_setting(name, value)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def checked_setting(name: str, value: Any) -> Any:
    """The value of a setting in its normal form; UsageError for an unknown name or a value that is not allowed."""
    if name not in FIELDS:
        raise unknown("setting", name, FIELDS)
    field = FIELDS[name]
    value = normal(value, field.kind)
    check_value(name, value, field.kind, field.rule)
    return value


def place_of(path: Path, text: str, section: str, key: str, table: int = 1) -> str:
    """File and line of a key in its section, or of the section's header if the key is empty.

    Args:
        table: if the section is a list of tables, which of them, counted from 1.
    """
    # The TOML parser keeps no line numbers, so look for the key in the text. If it is not found, name the file alone.
    present, seen = "", 0 if section else table
    for number, line in enumerate(text.splitlines(), start=1):
        # [section] or [[list of tables]], with or without quotes.
        header = re.match(r"\s*\[{1,2}\s*[\"']?([^\"'\]]+?)[\"']?\s*\]", line)
        present = header[1] if header else present
        seen += bool(header) and present == section
        # "key =", or "key." for a dotted key.
        named = re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line) if key else header
        if (present, seen) == (section, table) and named:
            return f"{path}, line {number}"
    return str(path)


def parse_seeds(text: str) -> list[int]:
    """ "0-2,7" -> [0, 1, 2, 7]; UsageError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        # Leading zeros are dropped here, so that the length of the digits says how large the number is.
        match = re.fullmatch(r"\s*0*([0-9]+)\s*(?:-\s*0*([0-9]+)\s*)?", part)
        if match is None:
            raise UsageError(f"seeds {text!r} cannot be read (allowed: 0, 0-4 or 0,3,7-9)")
        first, last = _seed(match[1]), _seed(match[2] or match[1])
        if last < first or last - first >= MOST_SEEDS:
            raise UsageError(
                f"seeds {part.strip()!r}: a range goes from a lower to a higher seed and has at most {MOST_SEEDS:,}"
            )
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds {text!r} name a seed twice")
    return seeds


def _seed(digits: str) -> int:
    # By length first: int() refuses thousands of digits with an error of its own.
    if len(digits) > len(str(LARGEST_SEED)) or int(digits) > LARGEST_SEED:
        raise UsageError(f"seed {digits[:20]}{'...' * (len(digits) > 20)} is too large (allowed: 0 to {LARGEST_SEED})")
    return int(digits)


def format_seeds(seeds: Iterable[int]) -> str:
    """[0, 1, 2, 7] -> "0-2,7": the text that `parse_seeds` reads, in the same order."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1 and len(runs[-1]) < MOST_SEEDS:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def split_gates(text: str) -> list[str]:
    """Split at the commas outside parentheses: those inside belong to formulas, as in expr:clip(z, 0, 1)."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    gates = [part.strip() for part in [*parts, text[start:]]]
    if not all(gates):
        raise UsageError(f"gate {text!r} contains an empty name; remove the extra comma")
    return gates
