"""Two `bamgate study run` on one folder, their processes killed again and again: python tests/torture.py --kills 50.

What must hold afterwards: every cell finished once, every file whole, and the same bytes as without any of it, times
and attempts apart.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from forks import trains
from helpers import Started, without_times
from study_samples import study_file, trained

from bamgate.study.verify import verify


class Torture:
    """Kills until there have been enough kills, or nothing is left to train."""

    def __init__(self, out: Path, file: Path, chance: random.Random) -> None:
        self.out, self.file, self.chance = out, file, chance
        self.parents: list[Started] = []
        self.kills = {"worker": 0, "parent": 0}
        self.finished: dict[Path, tuple[int, int, int]] = {}  # result.json -> inode, time and attempts when first seen

    def run(self, kills: int, deadline_s: float = 3600.0) -> None:
        end = time.monotonic() + deadline_s
        seen = -1
        while sum(self.kills.values()) < kills and time.monotonic() < end and not self._is_done():
            self._keep_two()
            if self._progress() == seen:
                time.sleep(0.01)
                continue
            time.sleep(self.chance.uniform(0, 0.3))
            self._kill_one()
            seen = self._progress()
        for parent in self.parents:
            parent.kill()
            parent.communicate()
        while self._workers():  # they notice that they have no parent any more
            assert time.monotonic() < end + 60
            time.sleep(0.05)

    def last_run(self) -> Started:
        """Undisturbed, to the end."""
        finished = self._begun()
        finished.communicate()
        self.look()
        return finished

    def look(self) -> list[Path]:
        """Results that are not the ones that were there before."""
        changed = []
        for path in self.out.glob("cells/*/result.json"):
            attempts = len((path.parent / "attempts.csv").read_text().splitlines()) - 1
            now = (path.stat().st_ino, path.stat().st_mtime_ns, attempts)
            if self.finished.setdefault(path, now) != now:
                changed.append(path)
        return changed

    def _begun(self) -> Started:
        return Started("study", "run", str(self.file), "--out", str(self.out), "--jobs", "1", "--quiet")

    def _keep_two(self) -> None:
        for parent in self.parents:
            if parent.poll() is not None:
                parent.communicate()
        self.parents = [parent for parent in self.parents if parent.poll() is None]
        while len(self.parents) < 2:
            self.parents.append(self._begun())

    def _is_done(self) -> bool:
        assert self.look() == []
        cells = list(self.out.glob("cells/*"))
        return bool(self.finished) and len(self.finished) == len(cells) and not self._workers() and not self.parents

    def _progress(self) -> int:
        """Rows of all tables of all cells."""
        tables = [*self.out.glob("cells/*/epochs.csv"), *self.out.glob("cells/*/attempts.csv")]
        return sum(len(path.read_bytes().splitlines()) for path in tables)

    def _workers(self) -> list[int]:
        numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return [number for number in numbers if trains(number, self.out)]

    def _kill_one(self) -> None:
        parents = [parent.pid for parent in self.parents if parent.poll() is None]
        kind = "parent" if self.chance.random() < 0.3 else "worker"
        victims = parents if kind == "parent" else self._workers()
        if not victims:
            return
        try:
            os.kill(self.chance.choice(victims), signal.SIGKILL)
            self.kills[kind] += 1
        except ProcessLookupError:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = study_file(Path(folder), seeds=f"0-{given.cells // 2 - 1}")
        torture = Torture(Path(folder) / "tortured", file, random.Random(given.seed))
        start = time.monotonic()
        torture.run(given.kills)
        last = torture.last_run()
        undisturbed = trained(Path(folder) / "undisturbed", file)
        print(f"kills: {torture.kills}; {time.monotonic() - start:.0f} s; last run: exit code {last.returncode}")
        print(f"cells finished: {len(torture.finished)} of {given.cells}; finished twice: {len(torture.look())}")
        print(f"files that are not whole: {len(verify(torture.out))}")
        one, other = without_times(torture.out), without_times(undisturbed)
        different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        print(f"files that differ from a run without kills: {len(different)} {' '.join(different[:5])}")


if __name__ == "__main__":
    main()
