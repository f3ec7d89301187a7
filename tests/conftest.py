import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# Whoever imports seaborn first must not be told of a backend that is not installed; test_figures_backend sets its own.
os.environ.pop("MPLBACKEND", None)
# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("bamgate", deadline=None)
settings.load_profile("bamgate")

# Begun first, the longest at the top, so that no process is left alone with one of them in the end. After them come the
# other modules that have a slow test.
LONG = (
    *("readme", "networks", "study_live", "study_run", "interruption", "cli", "damage", "study_smallest"),
    *("report_command", "folder_runs", "figures_drawn", "every_gate", "report_swap", "packaging"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> int:
        name = item.path.stem.removeprefix("test_")
        return LONG.index(name) if name in LONG else len(LONG) + (item.path not in slow)

    items.sort(key=rank)


@pytest.fixture
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda")


@pytest.fixture
def seeded() -> Iterator[None]:
    """Modules that are made here draw their weights from torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A configuration file to write into."""
    return tmp_path / "study.toml"
