"""Every study of the catalogue trains: one step of each arm in its cheapest context, as a run would take it.

A step costs six operations for each multiply-add of the forward pass, so the cheapest context is the one whose plain
network has the fewest of them on one of its images. So that this stays quick, batches are of BATCH random images, the
least that batch norm over pooled features takes, and images for the DEEP networks have SIDE pixels a side, which leaves
them one position at the end: bf16 without the processor's help is slow. All else is the study's own.
"""

from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
import torch
from model_samples import PLAIN
from torch import Tensor, nn

from bamgate.attention import AttentionModule
from bamgate.data import DATASETS
from bamgate.engines import Execution, Position
from bamgate.gates import GATES
from bamgate.networks.build import build_model, cost
from bamgate.study.expand import StudyCell, expand
from bamgate.study.measure import trainer_to_time
from bamgate.study.study import read_study

CATALOGUE = sorted((Path(__file__).parents[1] / "studies" / "questions").glob("*.toml"))
BATCH = 2
DEEP, SIDE = ("resnet50", "preresnet110"), 8
BLIND = ("none", "constant-half")  # gates that no logit can move, so no gradient reaches the attention


@cache
def plain_macs(model: str, dataset: str, image_size: int | None) -> int:
    data = DATASETS.get(dataset).at(image_size)
    shape = {"num_classes": data.classes, "in_channels": data.channels, "image_size": data.image_shape[1:]}
    with torch.device("meta"):
        return cost(build_model(model, PLAIN, GATES.get("none"), seed=0, **shape), data.image_shape).macs


def macs(cell: StudyCell) -> int:
    return plain_macs(cell.config.model, cell.config.dataset, cell.config.image_size)


@cache
def smallest(path: Path) -> list[StudyCell]:
    """A cell of each arm, with the first seed, in the cheapest context; the first of those that are equal."""
    cells = expand(read_study(path))
    first = [cell for cell in cells if cell.config.seed == cells[0].config.seed]
    contexts = [list(group) for _, group in groupby(first, key=lambda cell: cell.context)]
    return min(contexts, key=lambda context: macs(context[0]))


@pytest.mark.slow
def test_the_smallest_of_a_study_are_those_that_a_hand_would_choose() -> None:
    """GMACs on one image, from the paper: MobileNet 0.7 has 0.283, WRN-28-8 3.36, PreResNet-110 0.245."""
    found = {path.stem: smallest(path) for path in CATALOGUE}
    models = {name: {cell.config.model for cell in cells} for name, cells in found.items()}
    assert models["paper-table3-imagenet"] == {"mobilenet-0.7"}
    assert models["paper-table1c"] == {"resnet50"}
    assert models["paper-table2"] == models["paper-table5-se"] == {"preresnet110"}
    assert models["quick"] == {"resnet8"}
    assert [cell.arm for cell in found["paper-table1c"]] == ["no-attention", "extra-block", "bam"]
    for path in CATALOGUE:
        assert {cell.arm for cell in found[path.stem]} == set(read_study(path).arms), path.stem


def of_attention(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The parameters of each attention module, copied."""
    parts = {name: part for name, part in model.named_modules() if isinstance(part, AttentionModule)}
    return {
        site: {name: p.detach().clone() for name, p in part.named_parameters() if ".gate." not in name}
        for site, part in parts.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("path", CATALOGUE, ids=lambda path: path.stem)
def test_one_step_of_the_smallest_cells_is_finite_and_moves_the_attention(path: Path) -> None:
    for cell in smallest(path):
        if cell.config.cell not in STEPPED:
            one_step(cell)
            STEPPED.add(cell.config.cell)


STEPPED: set[str] = set()  # studies have cells in common


def one_step(cell: StudyCell) -> None:
    config = replace(cell.config, training=replace(cell.config.training, batch_size=BATCH))
    data = DATASETS.get(config.dataset).at(config.image_size)
    if config.model in DEEP:
        data = replace(data, size=(SIDE, SIDE))
    trainer = trainer_to_time(config, cell.gate, data, Execution())
    before, position = of_attention(trainer.model), Position()
    assert trainer.train_epoch(position, lambda _: False)
    assert (position.step, position.diverged) == (1, False), cell.name
    assert 0 < position.loss_sum < float("inf"), cell.name
    assert all(p.isfinite().all() for p in trainer.model.parameters()), cell.name
    after = of_attention(trainer.model)
    assert bool(before) == (config.attention.name != "none"), cell.name
    for site, parameters in before.items():
        moved = [name for name, p in parameters.items() if not torch.equal(p, after[site][name])]
        assert bool(moved) == (cell.gate.name not in BLIND or config.attention.name == "extra-block"), (cell.name, site)
