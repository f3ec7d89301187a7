"""Networks with dropout: what it drops comes from the seed and the step, whatever happened before."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.data import DATASETS, ImageLoader, Split
from bamgate.engines import Position, Trainer
from bamgate.gates import GATES
from bamgate.networks.build import build_model
from bamgate.observe.gate_figures import probe_gates

DATA = DATASETS.get("digits")
RECIPE = TrainingConfig(epochs=2, batch_size=16, lr=0.01, schedule="constant")


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split]:
    train, test = DATA.load(Path())
    return train.first(96), test.first(20)


def trainer(splits: tuple[Split, Split], seed: int = 0) -> Trainer:
    loader = ImageLoader(
        *splits, batch_size=16, augment="none", padding=4, channels_last=True, seed=seed
    )  # six steps an epoch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 50), nn.ReLU(), nn.Dropout(), nn.Linear(50, 10))
    return Trainer(model, loader, RECIPE)


def weights(of: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in of.state().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_one_seed_drops_the_same_and_leaves_the_global_state_alone(splits: tuple[Split, Split]) -> None:
    before = torch.get_rng_state()
    runs = []
    for _ in range(2):
        run = trainer(splits)
        run.train_epoch(Position(), lambda where: False)
        runs.append(weights(run))
        torch.rand(3)  # what else draws in between does not matter
    assert equal(*runs)
    torch.set_rng_state(before)
    trainer(splits).train_epoch(Position(), lambda where: False)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_step_drops_something_else(splits: tuple[Split, Split]) -> None:
    run = trainer(splits)
    dropped: list[Tensor] = []
    run.model[3].register_forward_hook(lambda m, i, o: dropped.append(o.detach() == 0))
    run.train_epoch(Position(), lambda where: False)
    assert len(dropped) == 6
    assert not any(torch.equal(dropped[0], other) for other in dropped[1:])


def test_stopped_and_gone_on_is_the_same_run(splits: tuple[Split, Split]) -> None:
    whole = trainer(splits)
    whole.train_epoch(Position(), lambda where: False)
    first, position = trainer(splits), Position()
    assert not first.train_epoch(position, lambda where: where.step == 3)
    second = trainer(splits)
    second.load_state(first.state())
    assert second.train_epoch(position, lambda where: False)
    assert equal(weights(whole), weights(second))


def test_probing_an_untrained_network_with_dropout_gives_the_same_figures_twice() -> None:
    config = RunConfig(dataset="cifar100", model="squeezenet1.1", attention=AttentionConfig(gate="tanh"))
    model = build_model(
        config.model, config.attention, GATES.get("tanh"), num_classes=10, in_channels=3, image_size=(32, 32), seed=0
    )
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = [
        probe_gates(model, x, torch.arange(4), None, autocast=torch.autocast("cpu", enabled=False), batch_statistics=on)
        for on in (True, True)
    ]
    assert found[0] == found[1]
    assert [row["site"] for row in found[0]] == ["features.1", "features.4", "features.7"]
