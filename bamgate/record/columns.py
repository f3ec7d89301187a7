"""The tables of a record: the columns of each, and which version brought them.

A record is read for years, by bamgates older and newer than the one that wrote it. So a column stays once it is there,
and means what it meant. One that comes later is optional: in a file that lacks it, it is unknown. To add one, name it
among the columns of its table, and in `later` with a version one higher than the table's. The version of a file is that
of its newest column and stands in each row. A reader takes every version up to its own.
"""

from collections.abc import Iterable, Mapping

from bamgate.record.fields import Columns

FIRST = 1


class Table(dict[str, type]):
    """The columns of a CSV file in their order, with the type of each: int, float or str.

    Args:
        columns: all of them, "schema" first.
        later: optional ones -> the version that brought them.
        newest: the highest version that can be read; by default that of the newest column.
    """

    def __init__(self, columns: Columns, later: Mapping[str, int] | None = None, newest: int | None = None) -> None:
        super().__init__(columns)
        self.later = dict(later or {})
        self._newest = newest

    @classmethod
    def of(cls, columns: Columns) -> "Table":
        """The table itself; of plain columns, the table of which none is optional."""
        return columns if isinstance(columns, Table) else cls(columns)

    @property
    def version(self) -> int:
        """Of a file that has these columns."""
        return max([FIRST, *(number for name, number in self.later.items() if name in self)])

    @property
    def newest(self) -> int:
        """The highest version that can be read."""
        return self._newest or self.version

    def having(self, names: Iterable[str]) -> "Table":
        """Without the optional columns that are not among the names."""
        there = set(names)
        kept = {name: kind for name, kind in self.items() if name in there or name not in self.later}
        return Table(kept, self.later, self.newest)


EPOCHS = Table(
    {
        "schema": int,
        "cell": str,
        "epoch": int,
        "lr": float,
        "train_loss": float,
        "train_correct": int,
        "train_total": int,
        "test_loss": float,
        "test_correct": int,
        "test_top5_correct": int,
        "test_total": int,
        "images_per_s": float,
        "wall_s": float,
        "test_metric": float,
    },
    later={"test_metric": 2},  # of tasks that count no correct images
)
GATES = Table(
    {
        "schema": int,
        "cell": str,
        "epoch": int,
        "site": str,
        "channels": int,
        "height": int,
        "width": int,
        "values": int,
        "mean": float,
        "sd": float,
        "min": float,
        "q01": float,
        "q05": float,
        "q25": float,
        "q50": float,
        "q75": float,
        "q95": float,
        "q99": float,
        "max": float,
        "histogram": str,
        "attenuated": int,
        "relatively_attenuated": int,
        "saturated": int,
        "mean_slope": float,
        "logit_mean": float,
        "logit_sd": float,
        "channel_sd": float,
        "spatial_sd": float,
        "on_object": float,
        "off_object": float,
        "gradient_attention": float,
        "gradient_trunk": float,
        "learned": str,
        "map_values": int,
        "mean_se": float,
        "attenuated_se": float,
    },
    # They came when no table had a version yet.
    later={"map_values": 1, "mean_se": 1, "attenuated_se": 1},
)
# One curve a gate: the function that its runs were trained with, as it starts.
GATE_CURVES = Table({"schema": int, "gate": str, "z": float, "g": float, "slope": float})
ATTEMPTS = Table({"schema": int, "attempt": int, "began": str, "epoch": int})
OUTCOMES = Table({"schema": int, "index": int, "label": int, "predicted": int, "correct": int})
RUNS = Table(
    {
        "schema": int,
        "study": str,
        "arm": str,
        "context": str,
        "cell": str,
        "dataset": str,
        "model": str,
        "attention": str,
        "gate": str,
        "seed": int,
        "attempt": int,
        "status": str,
        "epochs": int,
        "correct": int,
        "total": int,
        "top5_correct": int,
        "test_loss": float,
        "params": int,
        "macs": int,
        "images_per_s": float,
        "wall_s": float,
        "device": str,
        "device_name": str,
        "threads": int,
        "torch": str,
        "precision": str,
        "compile": str,
        "executor": str,
        "config_sha256": str,
        "design_sha256": str,
        "gate_fingerprint": str,
        "gate_source_sha256": str,
        "git_commit": str,
        "env_id": str,
        "task": str,
        "metric": str,
        "metric_unit": str,
        "metric_better": str,
        "metric_value": float,
    },
    # Of tasks that count no correct images; a run without them is judged by its accuracy.
    later={"task": 2, "metric": 2, "metric_unit": 2, "metric_better": 2, "metric_value": 2},
)
TIMES = ("images_per_s", "wall_s")  # columns that differ between two runs of the same thing
