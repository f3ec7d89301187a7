"""One small study, whole and in parts, for tests of joining: changed, damaged, and ended in the middle."""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from file_faults import KilledError
from helpers import without_times
from record_samples import message, resealed
from study_samples import study_file, trained

from bamgate.cli.study_merge import merge_parts
from bamgate.record.sealed import is_sealed, read_json, write_json, write_sealed
from bamgate.study import merge


class Parts:
    """One study, whole and in two halves by seeds; and a study of other settings with the same arms."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.whole = self.trained("whole", "0-1")
        self.first, self.second = self.trained("first", "0"), self.trained("second", "1")
        self.other = self.trained("other", "1", more="lr = 0.01\n")

    def trained(self, name: str, seeds: str, more: str = "") -> Path:
        (self.root / name).mkdir()
        return trained(self.root / name / "out", study_file(self.root / name, seeds=seeds, more=more))


def joined(out: Path, *folders: Path, keep_first: bool = False) -> Path:
    merge_parts(folders, out, keep_first=keep_first)
    return out


def refusal(error: type[Exception], out: Path, *folders: Path) -> str:
    """The message; nothing has been written."""
    before = content(out) if out.is_dir() else None
    told = message(error, joined, out, *folders)
    assert "\n" not in told
    assert (content(out) if out.is_dir() else None) == before
    return told


def content(folder: Path) -> dict[str, Any]:
    """What is in a folder of a study, less the marks of who held it."""
    return {name: of_file for name, of_file in without_times(folder).items() if not Path(name).name.startswith(".")}


def cell(out: Path, gate: str, seed: int = 0) -> Path:
    rows = json.loads((out / "study.json").read_text())["cells"]
    return out / "cells" / next(row["cell"] for row in rows if (row["arm"], row["seed"]) == (gate, seed))


def copied(source: Path, target: Path) -> Path:
    return shutil.copytree(source, target)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def rewritten(path: Path, **facts: Any) -> None:
    """Other facts in a JSON file, as if bamgate had written them."""
    content = read_json(path)
    assert content is not None
    (write_sealed if is_sealed(content) else write_json)(path, content | facts)
    if (path.parent / "result.json").exists():
        resealed(path.parent)


def begun_only(folder: Path) -> None:
    """A cell as it is before its last moment: all but the result."""
    (folder / "result.json").unlink()
    (folder / "outcomes.csv.gz").unlink()


def pretended(parts: Parts, target: Path) -> Path:
    """Runs of other settings with the study.json of the first half, as another version's recipe would make them."""
    copied(parts.other, target)
    stored = json.loads((parts.first / "study.json").read_text())
    study = {**stored["study"], "seeds": "1"}
    rewritten(target / "study.json", study=study, study_sha256=stored["study_sha256"])
    return target


def other_answers(path: Path) -> None:
    """One image's wrong prediction becomes another wrong one: the counts stay."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    number = next(number for number, line in enumerate(lines) if line.endswith(",0"))
    schema, index, label, predicted, _ = lines[number].split(",")
    wrong = next(str(digit) for digit in range(10) if str(digit) not in (label, predicted))
    lines[number] = f"{schema},{index},{label},{wrong},0"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
    resealed(path.parent)


def other_field(path: Path, line: int, column: str) -> None:
    lines = path.read_text().splitlines()
    fields = lines[line - 1].split(",")
    fields[lines[0].split(",").index(column)] = "0.125"
    lines[line - 1] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")
    resealed(path.parent)


def killed_at(moment: int, action: Callable[[], object], patch: pytest.MonkeyPatch) -> bool:
    """Whether the action got as far as its write or rename number `moment`, where it was ended."""
    moments: Iterator[int] = iter(range(10_000))

    def ending(original: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*arguments: Any) -> Any:
            if next(moments) == moment:
                raise KilledError
            return original(*arguments)

        return replacement

    with patch.context() as context:
        context.setattr(merge, "write_atomic", ending(merge.write_atomic))
        context.setattr(merge, "write_study", ending(merge.write_study))
        context.setattr(Path, "rename", ending(Path.rename))
        try:
            action()
        except KilledError:
            return True
    return False


SUICIDAL = """
import os, signal, sys
from pathlib import Path
from bamgate.record.sealed import is_sealed, read_json, write_json, write_sealed
from bamgate.study import merge
from bamgate.cli.study_merge import merge_parts
copy, left = merge.write_atomic, iter(range(12))
def deadly(path, data):
    if next(left, None) is None:
        path.with_name(path.name + ".1-0.tmp").write_bytes(data[:10])
        os.kill(os.getpid(), signal.SIGKILL)
    copy(path, data)
merge.write_atomic = deadly
merge_parts([Path(one) for one in sys.argv[2:]], Path(sys.argv[1]), keep_first=False)
"""
