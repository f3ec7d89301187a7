"""The loop: that it is the textbook's SGD, that pairs are pairs, and that options act."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bamgate.config import AttentionConfig, RunConfig, TrainingConfig
from bamgate.data import DATASETS, Split
from bamgate.engines import Position, Trainer
from bamgate.gates import GATES, Gate, examine, fingerprint
from bamgate.networks.build import build_model
from bamgate.run.cells import make_trainer

DATA = DATASETS.get("digits")
RECIPE = TrainingConfig(
    epochs=2, batch_size=16, lr=0.05, nesterov=True, schedule="constant", augment="crop", crop_padding=1
)


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split]:
    train, test = DATA.load(Path())
    return train.first(160), test.first(50)


def _trainer(splits: tuple[Split, Split], gate: str = "sigmoid", seed: int = 0, **changes: Any) -> Trainer:
    attention = AttentionConfig(gate=gate)
    config = RunConfig(dataset="digits", attention=attention, training=replace(RECIPE, **changes), seed=seed)
    return make_trainer(config, GATES.get(gate), DATA, splits, seed)


class _Draws(torch.nn.Module):
    """A gate whose parameter starts at random."""

    def __init__(self) -> None:
        super().__init__()
        self.k = torch.nn.Parameter(torch.rand(()))

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.k * z)


DRAWS = Gate(name="draws", build=_Draws, source="draws")


@pytest.mark.parametrize(
    "options",
    [{}, {"layout": "released"}, {"layout": "counted"}, {"name": "cbam"}, {"name": "se"}, {"gate_init": "zero"}],
    ids=str,
)
def test_a_gate_that_draws_its_start_shifts_no_other_weight(options: dict[str, Any]) -> None:
    states = []
    for gate in (DRAWS, GATES.get("tanh")):
        attention = AttentionConfig(gate=gate.name, **options)
        model = build_model("resnet8", attention, gate, num_classes=10, in_channels=1, image_size=(12, 9), seed=5)
        states.append({name: tensor for name, tensor in model.state_dict().items() if not name.endswith("gate.k")})
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_looking_at_a_gate_leaves_randomness_alone_and_sees_the_same_each_time() -> None:
    before = torch.get_rng_state()
    assert fingerprint.__wrapped__(DRAWS) == fingerprint.__wrapped__(DRAWS)  # what is kept would be equal anyway
    assert examine(DRAWS) == examine(DRAWS)
    assert torch.equal(torch.get_rng_state(), before)


def test_weight_decay_leaves_the_gates_own_parameters_alone(splits: tuple[Split, Split]) -> None:
    config = RunConfig(
        dataset="digits",
        attention=AttentionConfig(gate="learned-depth"),
        training=replace(RECIPE, weight_decay=0.3, attention_weight_decay=0.2),
    )
    trainer = make_trainer(config, GATES.get("learned-depth"), DATA, splits, 0)
    named = {id(p): name for name, p in trainer.model.named_parameters()}
    decays = {named[id(p)]: group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert decays["sites.layer1.scale.gate.depth"] == 0
    assert decays["sites.layer1.channel.reduce.weight"] == 0.2
    assert decays["stem.0.weight"] == 0.3
    assert set(decays) == set(named.values())


@pytest.fixture
def on_gpu(cuda: torch.device) -> tuple[Split, Split]:
    """Random images: a machine with a GPU may lack the digits' package."""
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (160, 8, 8, 1), generator=made, dtype=torch.uint8)
    split = Split(images=images, labels=torch.arange(160) % 10).to(cuda)
    return split, split


def _train(trainer: Trainer) -> Position:
    position = Position()
    assert trainer.train_epoch(position, lambda where: False)
    return position


def test_two_gates_with_one_seed_start_from_the_same_weights_and_first_batch(splits: tuple[Split, Split]) -> None:
    one, other = _trainer(splits, "sigmoid"), _trainer(splits, "tanh")
    ours, theirs = one.state(), other.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for epoch in (0, 1):
        for (x, labels), (x_, labels_) in zip(
            one.loader.training_batches(epoch), other.loader.training_batches(epoch), strict=True
        ):
            assert torch.equal(x, x_)
            assert torch.equal(labels, labels_)
    _train(one)
    _train(other)
    assert not torch.equal(one.state()["model/classifier.weight"], other.state()["model/classifier.weight"])


def test_another_seed_changes_weights_order_and_crops(splits: tuple[Split, Split]) -> None:
    one, other = _trainer(splits, seed=0), _trainer(splits, seed=1)
    assert not torch.equal(one.state()["model/stem.0.weight"], other.state()["model/stem.0.weight"])
    assert not torch.equal(one.loader.order(0), other.loader.order(0))


def test_an_epoch_is_textbook_sgd(splits: tuple[Split, Split]) -> None:
    """Sutskever et al. 2013 as torch writes it: v = m v + g + w d; p = p - lr (g + w d + m v), by hand in float64."""
    trainer = _trainer(splits, weight_decay=1e-2, attention_weight_decay=3e-3, label_smoothing=0.1, channels_last=False)
    by_hand = _trainer(splits, channels_last=False).model.double().train()
    trainer.model.double()
    velocity: dict[str, Tensor] = {}
    for step, (x, labels) in enumerate(trainer.loader.training_batches(0)):
        if step == 3:
            break
        trainer.step(x.double(), labels, step)
        by_hand.zero_grad()
        logits = by_hand(x.double()).float()
        F.cross_entropy(logits, labels, label_smoothing=0.1).backward()
        with torch.no_grad():
            for name, p in by_hand.named_parameters():
                assert p.grad is not None
                gradient = p.grad + (3e-3 if name.startswith("sites") else 1e-2) * p
                velocity[name] = 0.9 * velocity[name] + gradient if name in velocity else gradient.clone()
                p -= 0.05 * (gradient + 0.9 * velocity[name])
    for name, p in trainer.model.named_parameters():
        torch.testing.assert_close(p, dict(by_hand.named_parameters())[name], rtol=1e-6, atol=1e-9)


def test_hits_and_losses_are_counted_as_a_slow_loop_counts_them(splits: tuple[Split, Split]) -> None:
    trainer = _trainer(splits)
    _train(trainer)
    found = trainer.evaluate()
    trainer.model.eval()
    x, labels = next(trainer.loader.evaluation_batches())
    with torch.no_grad():
        logits = trainer.model(x)
    order = logits.sort(dim=1, descending=True).indices
    assert found.total == 50
    assert found.correct == sum(int(order[i, 0] == labels[i]) for i in range(50))
    assert found.top5_correct == sum(int(labels[i] in order[i, :5]) for i in range(50))
    by_hand = -sum(float(logits[i].log_softmax(0)[labels[i]]) for i in range(50)) / 50
    assert found.loss == pytest.approx(by_hand, rel=1e-5)
    assert list(found.outcomes["predicted"]) == order[:, 0].tolist()


def test_a_pause_stops_at_the_step_boundary_and_going_on_is_exact(splits: tuple[Split, Split]) -> None:
    whole, cut = _trainer(splits), _trainer(splits)
    end = _train(whole)
    position = Position()
    assert not cut.train_epoch(position, lambda where: where.step == 4)
    assert position.step == 4
    later = _trainer(splits)
    later.load_state({name: tensor.clone() for name, tensor in cut.state().items()})
    assert later.train_epoch(position, lambda where: False)
    assert (position.step, position.correct, position.loss_sum) == (end.step, end.correct, end.loss_sum)
    assert all(torch.equal(tensor, whole.state()[name]) for name, tensor in later.state().items())


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.1},
        {"momentum": 0.5},
        {"nesterov": False},
        {"weight_decay": 0.1},
        {"attention_weight_decay": 0.1},
        {"schedule": "cosine"},
        {"schedule": "step", "milestones": (1,)},
        {"warmup_epochs": 1.0},
        {"label_smoothing": 0.2},
        {"augment": "crop-flip"},
        {"augment": "none"},
        {"crop_padding": 2},
        {"precision": "bf16"},
        {"batch_size": 32},
    ],
    ids=lambda change: "-".join(map(str, change)),
)
def test_every_training_option_changes_the_weights(splits: tuple[Split, Split], change: dict[str, Any]) -> None:
    change = {**change, **({"crop_padding": 4} if change.get("augment") == "none" else {})}

    def after_two_epochs(trainer: Trainer) -> Tensor:
        for epoch in range(2):
            trainer.train_epoch(Position(epoch=epoch), lambda where: False)
        return trainer.state()["model/stem.0.weight"]

    assert not torch.equal(after_two_epochs(_trainer(splits)), after_two_epochs(_trainer(splits, **change)))


def test_channels_last_is_a_layout_and_not_another_result(splits: tuple[Split, Split]) -> None:
    one, other = _trainer(splits, channels_last=True), _trainer(splits, channels_last=False)
    x, _ = next(one.loader.training_batches(0))
    assert one.model.get_parameter("stages.layer2.0.residual.0.weight").is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(one.model(x), other.model(x.contiguous()), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_step_computes_what_an_eager_one_does(splits: tuple[Split, Split]) -> None:
    eager, compiled = _trainer(splits), _trainer(splits, compile="default")
    x, labels = next(eager.loader.training_batches(0))
    loss, hits = eager.step(x, labels, 0)
    loss_, hits_ = compiled.step(x, labels, 0)
    assert float(loss_) == pytest.approx(float(loss), rel=1e-5)
    assert int(hits) == int(hits_)
    for name, tensor in eager.state().items():
        torch.testing.assert_close(compiled.state()[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_loss_that_is_not_finite_ends_the_epoch(splits: tuple[Split, Split]) -> None:
    class Explodes(torch.nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z * float("inf")

    config = RunConfig(dataset="digits", training=RECIPE)
    gate = Gate(name="explodes", build=Explodes, source="")
    trainer = make_trainer(config, gate, DATA, splits, 0)
    position = _train(trainer)
    assert position.diverged


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_a_gpu_repeats_itself(on_gpu: tuple[Split, Split], precision: str) -> None:
    runs = [_trainer(on_gpu, precision=precision) for _ in range(2)]
    for trainer in runs:
        _train(trainer)
    assert all(torch.equal(tensor, runs[1].state()[name]) for name, tensor in runs[0].state().items())


@pytest.mark.gpu
def test_cuda_graphs_compute_what_an_eager_step_does(on_gpu: tuple[Split, Split]) -> None:
    eager, graphs = _trainer(on_gpu), _trainer(on_gpu, compile="cuda-graphs")
    for step, (x, labels) in enumerate(eager.loader.training_batches(0)):
        loss, _ = eager.step(x, labels, step)
        loss_, _ = graphs.step(x, labels, step)
        if step == 0:
            assert loss_.item() == pytest.approx(loss.item(), rel=1e-3)
        assert torch.isfinite(loss_)


@pytest.mark.gpu
def test_batches_are_the_same_on_every_device(on_gpu: tuple[Split, Split]) -> None:
    there, here = _trainer(on_gpu), _trainer((on_gpu[0].to(torch.device("cpu")), on_gpu[1].to(torch.device("cpu"))))
    for (x, labels), (x_, labels_) in zip(
        here.loader.training_batches(1), there.loader.training_batches(1), strict=True
    ):
        torch.testing.assert_close(x, x_.cpu(), rtol=0, atol=1e-6)
        assert torch.equal(labels, labels_.cpu())
