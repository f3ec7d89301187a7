"""Two `study run` on one folder, workers and parents killed at random moments: nothing lost, nothing done twice."""

import random
from pathlib import Path

import pytest
from helpers import without_times
from study_samples import study_file, trained
from torture import Torture

from bamgate.study.verify import verify


@pytest.mark.slow
def test_killed_workers_and_parents_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    file = study_file(tmp_path, gates='"sigmoid", "tanh", "softsign"', more='[arms.plain]\nattention = "none"\n')
    torture = Torture(tmp_path / "tortured", file, random.Random(20180717))
    torture.run(6, deadline_s=200)
    assert sum(torture.kills.values()) >= 6, torture.kills
    assert all(torture.kills.values()), torture.kills
    before = dict(torture.finished)
    last = torture.last_run()
    assert last.returncode == 0, last.communicate()
    assert torture.look() == []
    assert len(torture.finished) == 8
    assert before.items() <= torture.finished.items()
    assert verify(torture.out) == []
    assert without_times(torture.out) == without_times(trained(tmp_path / "undisturbed", file))
