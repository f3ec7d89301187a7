"""What a report is about: the question, the arms, the reference, and which runs were planned."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pandas as pd

from bamgate.errors import DataError, UsageError, one_line, unknown
from bamgate.record.metric import ACCURACY, PERCENT, Metric, one_metric
from bamgate.record.runlog import first_difference
from bamgate.record.sealed import read_json
from bamgate.record.study_file import read_declared
from bamgate.record.tables import context_text, context_values, places_in

ROPE = 0.5  # points; of folders that declare none
REFERENCE = "sigmoid"
_MAY_DIFFER = ("seeds", "question", "cost", "expected", "name")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One planned run: what it counts for, and its cell."""

    arm: str
    context: str
    seed: int
    cell: str


@dataclass(frozen=True, kw_only=True)
class Design:
    """A comparison as it was declared.

    Args:
        metric: what is compared, as the runs' rows name it. It is no part of the plan and not in `to_dict`.
        rope: the difference below which there is no practical interest, in the metric's unit.
        contexts: values of the axes as texts, in the study's order; ("",) where there is no axis.
        places: every planned run.
        rope_of_study: where another margin was chosen for the report, the one that was declared.
        shown_arms, shown_contexts: what the report is about where that is not all; p values stay those of the whole.
        sources: the studies that the runs are of.
        settings, arm_settings: of all runs, and of each arm, as they were declared.
    """

    name: str
    question: str
    reference: str
    rope: float
    rope_declared: bool = True
    cost: str = ""
    expected: str = ""
    arms: tuple[str, ...]
    contexts: tuple[str, ...]
    places: tuple[Place, ...]
    added_seeds: tuple[int, ...] = ()
    rope_of_study: float | None = None
    shown_arms: tuple[str, ...] = ()
    shown_contexts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    arm_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    metric: Metric = ACCURACY

    def __post_init__(self) -> None:
        # Read from files, which may have been edited.
        for one in fields(self):
            if not _fits(one.type, getattr(self, one.name)):
                raise TypeError(f"{one.name} is {getattr(self, one.name)!r}")
        if not 0 < self.rope < _most(self.metric):
            raise ValueError(f"rope is {self.rope!r}")

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({place.seed for place in self.places}))

    @property
    def headline(self) -> str:
        """The arm that the first sentence is about: the first, in the order of the study, that is not the reference."""
        return next(arm for arm in self.arms if arm != self.reference)

    @property
    def shown(self) -> "Design":
        """The part that the report is about, as a design of its own."""
        arms, contexts = self.shown_arms or self.arms, self.shown_contexts or self.contexts
        places = tuple(p for p in self.places if p.arm in arms and p.context in contexts)
        arms = tuple(a for a in arms if any(p.arm == a for p in places))
        return replace(self, arms=arms, contexts=contexts, places=places, shown_arms=(), shown_contexts=())

    def to_dict(self) -> dict[str, Any]:
        """Plain types only; the headline is the shown part's."""
        plain = asdict(self) | {"seeds": list(self.seeds), "headline": self.shown.headline}
        del plain["metric"]
        plain["places"] = [list(asdict(place).values()) for place in self.places]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any], metric: Metric = ACCURACY) -> "Design":
        """The design that `to_dict` was taken of; DataError if it was taken of none."""
        try:
            design = cls._from_dict(plain, metric)
            same = design.to_dict() == plain and design.reference in design.arms
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise DataError(f"the design is not as bamgate wrote it ({what_lacks(error)})") from None
        if not same:
            raise DataError("the design is not as bamgate wrote it")
        return design

    @classmethod
    def _from_dict(cls, plain: dict[str, Any], metric: Metric) -> "Design":
        kept: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
        del kept["seeds"], kept["headline"]
        kept["places"] = tuple(Place(arm=a, context=c, seed=s, cell=cell) for a, c, s, cell in plain["places"])
        return cls(**kept, metric=metric)


def design_of(folders: Sequence[Path], runs: pd.DataFrame, reference: str | None = None) -> Design:
    """What the folders declare together.

    Args:
        runs: rows of runs.csv of all of them; they are the plan where there is no study.json.
        reference: the arm to compare with, where none is declared.

    Raises:
        UsageError: the folders hold different studies, or nothing says what is compared with what.
        DataError: a study.json lacks something, or the runs have two metrics.
    """
    metric = one_metric(runs.to_dict("records"))
    contents = [read_declared(folder) for folder in folders]
    if all(content is None for content in contents):
        design = _of_runs(folders, runs, reference, metric)
    elif None in contents:
        other = folders[contents.index(None)]
        raise UsageError(f"{other} is no folder of a study, the others are; compare folders of one kind")
    else:
        try:
            design = _of_studies(folders, [content for content in contents if content is not None], metric)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            files = ", ".join(str(folder / "study.json") for folder in folders)
            raise DataError(f"{files}: not as bamgate wrote it ({what_lacks(error)})") from None
    return replace(design, reference=_known("reference arm", reference, design.arms)) if reference else design


def _fits(kind: Any, value: object) -> bool:
    """Whether a value is of a field's type, and so are its parts."""
    parts = get_args(kind)
    if isinstance(kind, UnionType):
        return any(_fits(part, value) for part in parts)
    if kind in (int, float) and isinstance(value, bool):
        return False
    if not isinstance(value, (int, float) if kind is float else get_origin(kind) or kind):
        return False
    return not isinstance(value, tuple) or all(_fits(parts[0], one) for one in value)


def what_lacks(error: Exception) -> str:
    """Why a file that bamgate wrote cannot be read."""
    return f"{error} is missing" if isinstance(error, KeyError) else one_line(error)


def _known(kind: str, given: str, allowed: Iterable[str]) -> str:
    if given not in allowed:
        raise unknown(kind, given, allowed)
    return given


def _most(metric: Metric) -> float:
    """What a margin lies below."""
    return 100 if metric.unit == PERCENT else math.inf


def _of_studies(folders: Sequence[Path], contents: Sequence[dict[str, Any]], metric: Metric) -> Design:
    first = contents[0]
    for folder, other in zip(folders, contents, strict=True):
        if other["study_sha256"] != first["study_sha256"]:
            one, two = ({k: v for k, v in c["study"].items() if k not in _MAY_DIFFER} for c in (first, other))
            raise UsageError(f"{folders[0]} and {folder} are different studies: {first_difference(one, two)}")
    study = first["study"]
    rows = [row for content in contents for row in content["cells"]]
    places = [
        Place(arm=row["arm"], context=context_text(row["context"]), seed=row["seed"], cell=row["cell"]) for row in rows
    ]
    unique = tuple(dict.fromkeys(places))
    added = sorted({seed for content in contents for seed in content.get("added_seeds", [])})
    return Design(
        name=first["name"],
        **{name: study[name] for name in ("question", "cost", "expected", "reference", "rope", "settings")},
        arms=tuple(study["arms"]),
        arm_settings=study["arms"],
        contexts=tuple(dict.fromkeys(place.context for place in unique)),
        places=unique,
        added_seeds=tuple(added),
        metric=metric,
        sources=tuple(dict.fromkeys(content["name"] for content in contents)),
    )


def _of_runs(folders: Sequence[Path], runs: pd.DataFrame, reference: str | None, metric: Metric) -> Design:
    """Without a study.json: arms and contexts as runs.csv has them; what is there is all that was planned."""
    _refuse_two_designs(folders, runs)
    places = _with_partners(places_of(runs)) if runs["study"].isna().all() else tuple(places_of(runs))
    arms = tuple(dict.fromkeys(place.arm for place in places))
    if reference is None and REFERENCE not in arms:
        if len(arms) == 1:
            raise UsageError(f"these runs have one arm only, {arms[0]}: a report compares two or more")
        raise UsageError(f"no reference arm: say --reference with one of {', '.join(arms)}")
    chosen = reference or REFERENCE
    others = ", ".join(arm for arm in arms if arm != chosen) or "another arm"
    where = {name: ", ".join(dict.fromkeys(runs[name])) for name in ("model", "dataset")}
    return Design(
        name=next(iter(runs["study"].dropna()), folders[0].resolve().name),
        question=f"Does {others} differ from {chosen}, in {where['model']} on {where['dataset']}?",
        reference=chosen,
        rope=ROPE,
        rope_declared=False,
        metric=metric,
        arms=arms,
        contexts=tuple(dict.fromkeys(place.context for place in places)),
        places=places,
        sources=tuple(dict.fromkeys(folder.resolve().name for folder in folders)),
    )


def _with_partners(places: list[Place]) -> tuple[Place, ...]:
    """Every gate with every seed: a seed that only some gates have waits for the others."""
    seen: dict[tuple[str, int], Place] = {}
    for place in places:
        other = seen.setdefault((place.arm, place.seed), place)
        if other.cell != place.cell:
            raise UsageError(
                f"two runs of gate {place.arm!r} with seed {place.seed} (cells {other.cell} and {place.cell}); "
                "was the gate changed between them? Report the folders one by one"
            )
    arms, seeds = dict.fromkeys(p.arm for p in places), sorted({p.seed for p in places})
    return tuple(seen.get((a, s)) or Place(arm=a, context="", seed=s, cell="") for s in seeds for a in arms)


def places_of(runs: pd.DataFrame) -> list[Place]:
    """The places that the rows of runs.csv name, by seed; a cell may stand in several."""
    places = []
    for row in runs.sort_values(["seed", "gate", "cell"]).to_dict("records"):
        context = row["context"] if isinstance(row["context"], str) else None
        for arm, where in places_in(str(row["arm"] or row["gate"]), context):
            places.append(Place(arm=arm, context=where, seed=int(row["seed"]), cell=row["cell"]))
    return places


def _refuse_two_designs(folders: Sequence[Path], runs: pd.DataFrame) -> None:
    """Runs of `bamgate run` differ in gate and seed alone; in a study whatever its arms and axes say may differ."""
    own = runs[runs["study"].isna()].drop_duplicates("design_sha256")
    if len(own) + runs["study"].notna().any() < 2:
        return
    configs = [_config(folders, cell) for cell in own["cell"][:2]]
    if len(own) > 1 and None not in configs:
        difference = first_difference(configs[0], configs[1])
    else:
        columns = [n for n in ("study", "dataset", "model", "attention", "precision") if runs[n].nunique() > 1]
        difference = (
            f"{columns[0]}: {', '.join(sorted(set(runs[columns[0]].dropna())))}" if columns else "design_sha256"
        )
    raise UsageError(f"these runs differ in more than the gate ({difference}); they cannot be compared")


def _config(folders: Sequence[Path], cell: str) -> dict[str, Any] | None:
    """A cell's configuration without gate and seed; None where its file is not here."""
    for folder in folders:
        stored = read_json(folder / "cells" / cell / "config.json")
        if stored is not None:
            config: dict[str, Any] = stored["config"]
            attention = {name: value for name, value in config["attention"].items() if name != "gate"}
            return {**config, "attention": attention, "seed": None}
    return None


def restrict(design: Design, *, arms: Sequence[str], where: dict[str, str], rope: float | None) -> Design:
    """The design with the part that was asked for marked as shown; the reference always is.

    Args:
        arms: names; none means all.
        where: axis -> value as it stands in the contexts.
        rope: another margin than the declared one.
    """
    for arm in arms:
        _known("arm", arm, design.arms)
    _check_margin(design, rope)
    if rope is not None and rope != design.rope:
        declared = design.rope if design.rope_declared else None
        design = replace(design, rope=rope, rope_declared=False, rope_of_study=declared)
    if arms:
        design = replace(design, shown_arms=tuple(a for a in design.arms if a in arms or a == design.reference))
    if where:
        design = replace(
            design, shown_contexts=tuple(c for c in design.contexts if _matches(c, where, design.contexts))
        )
    kept = design.shown.arms
    if len(kept) < 2 or design.reference not in kept:
        raise UsageError(f"there is nothing to compare: {', '.join(kept) or 'no arm'} alone; a report needs two arms")
    return design


def _check_margin(design: Design, rope: float | None) -> None:
    """UsageError for a margin that cannot be, and for none at all if the metric has no usual one."""
    metric = design.metric
    if rope is None and not design.rope_declared and metric.unit != PERCENT:
        unit = f" in {metric.unit}" if metric.unit else ""
        raise UsageError(
            f"no study declares which difference in {metric.name} is too small to matter: say --rope{unit}"
        )
    if rope is not None and not 0 < rope < _most(metric):
        kind = f"{metric.difference_unit} of {metric.name}" if metric.unit else metric.name
        most = " and below 100" if metric.unit == PERCENT else ""
        raise UsageError(f"--rope must be {kind} above 0{most}, got {rope:g}")


def arms_in(text: str, known: Sequence[str]) -> list[str]:
    """Names separated by commas; a known one may hold commas itself, as a formula does."""
    parts, found = text.split(","), []
    while parts:
        ends = range(len(parts), 0, -1)
        taken = next((end for end in ends if ",".join(parts[:end]).strip() in known), 1)
        found.append(",".join(parts[:taken]).strip())
        parts = parts[taken:]
    return [name for name in found if name]


def _matches(context: str, where: dict[str, str], contexts: Sequence[str]) -> bool:
    values = context_values(context)
    for name, value in where.items():
        allowed = list(dict.fromkeys(context_values(c)[name] for c in contexts if name in context_values(c)))
        if not allowed:
            raise (
                unknown("axis", name, context_values(context))
                if values
                else UsageError(f"--where {name}={value}: this study has no axes")
            )
        _known(f"{name} of --where", value, allowed)
    return all(values.get(name) == value for name, value in where.items())
