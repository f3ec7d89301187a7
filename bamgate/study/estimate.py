"""How long the cells of a study would take here."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bamgate.config import RunConfig
from bamgate.data import find_dataset
from bamgate.devices import cpu_threads, exact_arithmetic, resolve_device
from bamgate.engines import Execution
from bamgate.study.expand import StudyCell
from bamgate.study.measure import Speed, measure, trainer_to_time

_SPEED = ("batch_size", "precision", "channels_last", "compile", "augment")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Cells that are equally fast: one network on one data set with one attention."""

    dataset: str
    model: str
    attention: str
    cells: int
    speed: Speed
    hours: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types only."""
        facts = {"dataset": self.dataset, "model": self.model, "attention": self.attention, "cells": self.cells}
        return {**facts, "step_ms": round(1000 * self.speed.step_s, 2), "hours": round(self.hours, 4)}


def estimate(cells: Iterable[StudyCell], execution: Execution, tell: Callable[[str], None]) -> list[Kind]:
    """Measure each kind for some seconds; the hours are those of its cells one after the other."""
    kinds: dict[str, list[StudyCell]] = {}
    for cell in {cell.config.cell: cell for cell in cells}.values():
        kinds.setdefault(_kind(cell.config), []).append(cell)
    with cpu_threads(execution.threads), exact_arithmetic(resolve_device(execution.device)):
        return [_measured(same, execution, tell) for same in kinds.values()]


def _kind(config: RunConfig) -> str:
    """What speed depends on."""
    plain = config.to_dict()
    del plain["seed"], plain["attention"]["gate"]
    plain["training"] = {name: plain["training"][name] for name in _SPEED}
    return json.dumps(plain, sort_keys=True)


def _measured(cells: list[StudyCell], execution: Execution, tell: Callable[[str], None]) -> Kind:
    config = cells[0].config
    tell(f"measuring {config.model} with {config.attention.name} on {config.dataset}")
    data = find_dataset(config.dataset, execution.root).at(config.image_size)
    speed = measure(trainer_to_time(config, cells[0].gate, data, execution), config.training, data, execution)
    hours = sum(speed.cell_s(cell.config.training, data) for cell in cells) / 3600
    names = {"dataset": config.dataset, "model": config.model, "attention": config.attention.name}
    return Kind(**names, cells=len(cells), speed=speed, hours=hours)
