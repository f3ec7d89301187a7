"""A study: a declared set of cells, run by whoever has room, and where it stands.

`run` takes a study by its name, from its file, or as a `Study`, and returns what came of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bamgate.study.runner import Ran as Ran
    from bamgate.study.runner import run as run
    from bamgate.study.study import Study as Study
    from bamgate.study.study import read_study as read_study

# Loaded when first asked for: where a study stands is asked often, and does not wait for what trains.
_HOMES = {
    "Ran": "bamgate.study.runner",
    "Study": "bamgate.study.study",
    "read_study": "bamgate.study.study",
    "run": "bamgate.study.runner",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bamgate.study' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
