"""From a study to its cells: every arm in every context with every seed, resolved and checked."""

from dataclasses import dataclass
from pathlib import Path

from bamgate.config import RunConfig
from bamgate.config.settings import Settings
from bamgate.data import default_root, find_dataset
from bamgate.errors import BamgateError, UsageError
from bamgate.gates import Gate, named_gate
from bamgate.record.metric import PERCENT, Metric
from bamgate.record.study_file import study_digest
from bamgate.run.resolve import Loader, make_plan
from bamgate.study.study import Study, contexts, is_excluded, merged
from bamgate.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class StudyCell:
    """One training run of a study.

    Args:
        arm: what is compared.
        context: values of the axes.
        config, gate: what is trained.
    """

    arm: str
    context: Settings
    config: RunConfig
    gate: Gate

    @property
    def name(self) -> str:
        """For people: context, arm and seed."""
        return " ".join([*map(str, self.context.values()), self.arm, f"seed {self.config.seed}"])


def expand(study: Study, data_root: Path | None = None, load: Loader = named_gate) -> list[StudyCell]:
    """The cells of a study, seed by seed, so that one cut short has whole pairs.

    Args:
        load: makes a gate of its name (`bamgate.study.code.gate_loader`); by default one that runs no code.

    Raises:
        UsageError, DataError: a cell's settings do not fit together; it is named.
    """
    cells = [cell for context in contexts(study) for cell in _of_context(study, context, data_root, load)]
    if not cells:
        raise UsageError(f"study {study.name}: nothing is left after its exclusions")
    _require_one_metric(study, cells, data_root)
    order = {seed: number for number, seed in enumerate(dict.fromkeys(cell.config.seed for cell in cells))}
    return sorted(cells, key=lambda cell: order[cell.config.seed])


def _require_one_metric(study: Study, cells: list[StudyCell], data_root: Path | None) -> None:
    """UsageError if the data sets of a study are judged by different metrics, or its margin is not one of theirs."""
    known: dict[str, Metric] = {}
    for name in dict.fromkeys(cell.config.dataset for cell in cells):
        known[name] = TASKS.get(find_dataset(name, data_root or default_root()).task).metric
    (first, metric), *others = known.items()
    for name, other in others:
        if other != metric:
            raise UsageError(
                f"study {study.name}: {first} is judged by {metric}, {name} by {other}; make a study of each"
            )
    if metric.unit == PERCENT and study.rope >= 100:
        raise UsageError(
            f"study {study.name}: rope must be points of {metric.name} above 0 and below 100, got {study.rope:g}"
        )


def _of_context(study: Study, context: Settings, data_root: Path | None, load: Loader) -> list[StudyCell]:
    cells: list[StudyCell] = []
    seen: dict[str, str] = {}
    for arm in study.arms:
        if is_excluded(study, arm, context):
            continue
        of_arm = _of_arm(study, arm, context, data_root, load)
        same = seen.setdefault(of_arm[0].config.cell, arm)
        if same != arm:
            raise UsageError(f"study {study.name}: arms {same!r} and {arm!r} are the same runs; leave one out")
        cells += of_arm
    return cells


def _of_arm(study: Study, arm: str, context: Settings, data_root: Path | None, load: Loader) -> list[StudyCell]:
    try:
        plan = make_plan({**merged(study, arm, context), "seeds": study.seeds}, data_root, load)
    except BamgateError as error:
        where = ", ".join([f"arm {arm!r}", *(f"{name} {value}" for name, value in context.items())])
        raise type(error)(f"study {study.name}, {where}: {error}") from None
    if len(plan.gates) > 1:
        raise UsageError(f"study {study.name}: arm {arm!r} has several gates; make an arm of each")
    return [StudyCell(arm=arm, context=context, config=config, gate=gate) for config, gate in plan.cells]


def study_sha256(study: Study) -> str:
    """Hash of all that decides which cells there are, without the seeds: those may be added to."""
    return study_digest(study.to_dict())
