"""A field that a configuration gets later renames no cell: it counts only if it is not at its default."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
from record_samples import identity

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.config.options import check_fields, option
from bamgate.record.ended import require_named_after

IDS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "older" / "cells.json").read_text())


@dataclass(frozen=True, kw_only=True)
class LaterAttention(AttentionConfig):
    shift: float = option(0.0, "added to each logit")


@dataclass(frozen=True, kw_only=True)
class LaterTraining(TrainingConfig):
    averaged: bool = option(False, "weights are averaged over steps")
    drops: tuple[float, ...] = option((), "a list")
    inner_lr: float | None = option(None, "learning rate of something else (as lr)", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_lr is None:
            object.__setattr__(self, "inner_lr", self.lr)


@dataclass(frozen=True, kw_only=True)
class Section:
    deep: int = option(2, "layers")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class LaterRun(RunConfig):
    task: str = option("classification", "what is learned")
    head: Section = field(default_factory=Section)


def later(row: dict[str, Any], **changes: dict[str, Any]) -> LaterRun:
    """The configuration of a row as a version with more fields makes it."""
    given = row["config"]
    return LaterRun(
        **{name: value for name, value in given.items() if name not in ("attention", "training")},
        **changes.get("run", {}),
        attention=LaterAttention(**given.get("attention", {}), **changes.get("attention", {})),
        training=LaterTraining(**given.get("training", {}), **changes.get("training", {})),
    )


@pytest.mark.parametrize("row", IDS, ids=lambda row: row["cell"])
def test_every_cell_keeps_its_id(row: dict[str, Any]) -> None:
    config = later(row)
    assert (config.cell, config.design_sha256[:16]) == (row["cell"], row["design"])
    assert not {"task", "head"} & config.to_dict().keys()


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("run", {"task": "detection"}),
        ("run", {"head": Section(deep=3)}),
        ("attention", {"shift": 0.5}),
        ("training", {"averaged": True}),
        ("training", {"drops": [1, 2]}),
        ("training", {"inner_lr": 0.025}),
    ],
    ids=str,
)
def test_a_later_field_that_is_set_makes_another_cell(section: str, changes: dict[str, Any]) -> None:
    plain, changed = later(IDS[0]), later(IDS[0], **{section: changes})
    assert changed.cell != plain.cell
    assert changed.design_sha256 != plain.design_sha256
    stored = changed.to_dict()
    found = stored if section == "run" else stored[section]
    (name,) = changes
    assert found.pop(name) == ({"deep": 3} if name == "head" else [1.0, 2.0] if name == "drops" else changes[name])
    assert stored == plain.to_dict()


def test_a_default_that_is_spelled_out_is_the_default() -> None:
    plain = later(IDS[0])
    spelled = {"training": {"averaged": False, "drops": (), "inner_lr": plain.training.lr}, "attention": {"shift": 0}}
    assert later(IDS[0], run={"task": "classification", "head": Section(deep=2)}, **spelled).cell == plain.cell


def test_what_an_older_version_stored_reads_back(tmp_path: Path) -> None:
    older = RunConfig(seed=3, training=TrainingConfig(schedule="constant"))
    stored = json.loads(json.dumps(older.to_dict()))
    again = LaterRun(
        **{
            **stored,
            "attention": LaterAttention(**stored["attention"]),
            "training": LaterTraining(**stored["training"]),
        }
    )
    assert again.cell == older.cell
    assert (again.task, again.head, again.training.lr) == ("classification", Section(), older.training.lr)
    require_named_after(tmp_path / older.cell, identity(again))


def test_the_fields_of_the_first_cells_are_still_there() -> None:
    for kind in (RunConfig, AttentionConfig, TrainingConfig):
        assert {item.name for item in fields(kind)} >= kind.ALWAYS_HASHED
    assert {item.name for item in fields(RunConfig)} - RunConfig.ALWAYS_HASHED == {"image_size"}
