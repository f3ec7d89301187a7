"""What a study compares: the figure that a run is judged by, with its unit and its direction."""

from dataclasses import dataclass

PERCENT = "%"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of merit of one run on its test set.

    Args:
        name: as it stands in tables and sentences: "accuracy".
        unit: of the value: "%", "px", or "" for a pure number.
        is_count: the value is a share of test images, and the record has the counts. Exact tests need them.
        higher_is_better: False for an error.
    """

    name: str
    unit: str = ""
    is_count: bool = False
    higher_is_better: bool = True

    @property
    def difference_unit(self) -> str:
        """Unit of the difference between two runs: percentages differ by points."""
        return "points" if self.unit == PERCENT else self.unit

    @property
    def better(self) -> str:
        """The direction as it stands in runs.csv."""
        return "higher" if self.higher_is_better else "lower"


ACCURACY = Metric(name="accuracy", unit=PERCENT, is_count=True)
