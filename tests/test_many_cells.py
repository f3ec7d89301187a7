"""What makes a study of many cells fast says the same as what it stands for."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from record_samples import message, result
from study_samples import cells_of, opened, study_file

from bamgate.errors import DataError
from bamgate.record.ended import EndedCell
from bamgate.record.runlog import CellLog
from bamgate.record.tables import ATTEMPTS, Columns, checked_lines, format_rows, parse_rows
from bamgate.study.state import StudyState

PATH = Path("x.csv")
COLUMNS: Columns = {"schema": int, "name": str, "count": int, "value": float}
HEAD = "schema,name,count,value\n"
TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=5)  # Python 3.10 cannot write NUL to a CSV


def text(value: float | None = 0.1, name: str | None = "a") -> str:
    return format_rows(COLUMNS, [{"name": name, "count": 3, "value": value}], header=True)


@example([("\r", None, None)])
@given(st.lists(st.tuples(TEXTS, st.none() | st.integers(0, 2**63 - 1), st.none() | st.floats()), max_size=4))
def test_checked_lines_are_those_that_would_be_written_again(rows: list[tuple[str, int | None, float | None]]) -> None:
    plain = [dict(zip(("name", "count", "value"), row, strict=True)) for row in rows]
    written = format_rows(COLUMNS, plain, header=True)
    again = format_rows(COLUMNS, parse_rows(COLUMNS, written, PATH), header=False)
    assert checked_lines(COLUMNS, written, PATH) == again
    assert checked_lines(COLUMNS, written + "1,torn", PATH) == again


@pytest.mark.parametrize("whole", [HEAD, "", "schema,na", text(None), text(float("nan")), text(-1e-300, "=1,\n'\"")])
def test_a_table_that_parses_passes(whole: str) -> None:
    expected = format_rows(COLUMNS, parse_rows(COLUMNS, whole, PATH), header=False)
    assert checked_lines(COLUMNS, whole, PATH) == expected


DAMAGED = [
    HEAD + "1,a,x,0.1\n",
    HEAD + "1,a,3,zero\n",
    HEAD + "2,a,3,0.1\n",
    HEAD + "1,a,3\n",
    HEAD + "1,a,3,0.1,5\n",
    HEAD + "1,a,3,0.1\n\n1,a,3,0.1\n",
    HEAD + '1,"a,3,0.1\n',
    HEAD + ",a,3,0.1\n",
    HEAD.replace("name", "nome") + "1,a,3,0.1\n",
    "1,a,3,0.1\n",
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damage_is_named_as_by_the_parser(damaged: str) -> None:
    assert message(DataError, checked_lines, COLUMNS, damaged, PATH) == message(
        DataError, parse_rows, COLUMNS, damaged, PATH
    )


def test_a_second_look_at_a_study_opens_no_file_of_a_cell_that_has_ended_or_was_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(tmp_path / "out", study_file(tmp_path))
    ended, begun, *_ = cells_of(study)
    for cell in (ended, begun):
        (tmp_path / "out" / "cells" / cell).mkdir(parents=True)
    CellLog(tmp_path / "out" / "cells" / ended, ended).finish(result())
    state = StudyState(tmp_path / "out")
    first = state.read()
    assert [one.status for one in first] == ["finished", "missing", "missing", "missing"]
    looked: list[str] = []
    real = EndedCell.at
    monkeypatch.setattr(EndedCell, "at", lambda folder: looked.append(folder.name) or real(folder))
    assert state.read() == first
    assert set(looked) == {begun}
    attempts = format_rows(ATTEMPTS, [{"attempt": 1, "began": "now", "epoch": 0}], header=True)
    (tmp_path / "out" / "cells" / begun / "attempts.csv").write_text(attempts)
    CellLog(tmp_path / "out" / "cells" / begun, begun).finish(result(status="diverged"))
    os.makedirs(tmp_path / "out" / "cells" / cells_of(study)[3])
    assert [one.status for one in state.read()] == ["finished", "diverged", "missing", "missing"]
