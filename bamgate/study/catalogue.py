"""The studies that come with bamgate, and how a study is named on the command line. Light: nothing is built."""

import json
from pathlib import Path

from bamgate import studies
from bamgate.config.settings import parse_seeds
from bamgate.errors import UsageError, nearest
from bamgate.record.study_file import read_declared
from bamgate.study.study import Study, each_context, from_plain, is_excluded, merged, read_study

FOLDER = Path(studies.__file__).parent / "questions"


def catalogue() -> list[Study]:
    """The studies in studies/questions, by name."""
    return [read_study(path) for path in sorted(FOLDER.glob("*.toml"))]


def find_study(given: str) -> Study:
    """A study of the catalogue by name, or the one in a file (PATH.toml), or the one that was begun in a folder.

    Raises:
        UsageError: there is none; the nearest name is named.
    """
    if begun_in(given) is not None:
        content = read_declared(Path(given))
        assert content is not None
        return from_plain(content["study"])
    if given.endswith(".toml"):
        return read_study(Path(given))
    if (FOLDER / f"{given}.toml").is_file() and Path(given).name == given:
        return read_study(FOLDER / f"{given}.toml")
    names = [path.stem for path in sorted(FOLDER.glob("*.toml"))]
    hint = nearest(given, names)
    others = "a file that ends in .toml, or the folder of a study"
    raise UsageError(f"unknown study {given!r}{hint} (allowed: {', '.join(names)}; {others})")


def begun_in(given: str) -> Path | None:
    """The folder, where `given` is one of a study and no name of the catalogue; a folder named like one is ./NAME."""
    is_name = Path(given).name == given and (FOLDER / f"{given}.toml").is_file()
    return Path(given) if not is_name and (Path(given) / "study.json").is_file() else None


def file_of(given: str) -> Path | None:
    """The file, where `given` is one that `find_study` reads."""
    return Path(given) if begun_in(given) is None and given.endswith(".toml") else None


def count_cells(study: Study, most_kinds: int | None = None) -> int:
    """How many training runs it has; arms that are the same in several contexts are run once. Nothing is expanded.

    Args:
        most_kinds: of cells that differ in more than the seed; counting stops there, and the study may have more.
    """
    kinds: set[str] = set()
    for context in each_context(study):
        if most_kinds is not None and len(kinds) >= most_kinds:
            break
        for arm in study.arms:
            if not is_excluded(study, arm, context):
                kinds.add(json.dumps(merged(study, arm, context), sort_keys=True))
    return len(kinds) * len(parse_seeds(study.seeds))
