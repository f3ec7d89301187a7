"""How often a number is asked of the device: on a GPU each time is a wait. Counted on the CPU, where asking is free."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from model_samples import BAM_PAPER, SE, build, image
from torch import Tensor, nn

from bamgate.config import AttentionConfig, TrainingConfig
from bamgate.data import DATASETS, ImageLoader
from bamgate.engines import Position, Trainer
from bamgate.engines import trainer as training_loop
from bamgate.engines.checkpoint import _encode
from bamgate.engines.randomness import may_draw
from bamgate.gates import GATES, load_gate
from bamgate.networks.build import build_model
from bamgate.observe import what_if
from bamgate.observe.gate_figures import probe_gates
from bamgate.observe.what_if import answers_of

ASKING = ("item", "tolist", "__float__", "__int__", "__bool__", "__index__", "cpu", "numpy")


@contextlib.contextmanager
def counted() -> Iterator[list[str]]:
    """The names of what is asked of tensors meanwhile."""
    asked: list[str] = []

    def noting(name: str, method: Any) -> Any:
        def ask(tensor: Tensor, *arguments: Any, **named: Any) -> Any:
            asked.append(name)
            return method(tensor, *arguments, **named)

        return ask

    with pytest.MonkeyPatch.context() as patch:
        for name in ASKING:
            patch.setattr(torch.Tensor, name, noting(name, getattr(torch.Tensor, name)))
        yield asked


def test_what_is_counted_is_counted() -> None:
    with counted() as asked:
        float(torch.ones(())), int(torch.ones(())), bool(torch.ones(())), torch.ones(2).tolist(), torch.ones(()).item()
        torch.ones(2).cpu()
    assert asked == ["__float__", "__int__", "__bool__", "tolist", "item", "cpu"]


@pytest.mark.parametrize(
    ("attention", "sites"),
    [
        (AttentionConfig(), 2),
        (AttentionConfig(placement="block", gate="learned-depth"), 3),
        (AttentionConfig(name="cbam"), 6),
    ],
)
def test_a_probe_asks_once_however_many_sites_there_are(attention: AttentionConfig, sites: int) -> None:
    gate = GATES.get(attention.gate)
    model = build_model("resnet8", attention, gate, num_classes=10, in_channels=1, image_size=(12, 9), seed=0)
    x, masks = image(4, 1, 12, 9), torch.ones(4, 12, 9, dtype=torch.bool)
    probe = lambda: probe_gates(model, x, torch.arange(4), masks, autocast=contextlib.nullcontext())  # noqa: E731
    assert len(probe()) == sites
    with counted() as asked:
        probe()
    assert asked == ["tolist"]


def trainer(model: nn.Module | None = None) -> Trainer:
    train, test = (split.first(96) for split in DATASETS.get("digits").load(Path()))
    loader = ImageLoader(train, test, batch_size=16, augment="none", padding=4, channels_last=True, seed=0)
    return Trainer(model or build("resnet8", BAM_PAPER, in_channels=1), loader, TrainingConfig(epochs=1, batch_size=16))


def test_an_evaluation_asks_as_often_for_one_batch_as_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer()
    whole, batches = run.evaluate(), run.loader.evaluation_batches
    found = {}
    for size in (96, 7):
        monkeypatch.setattr(run.loader, "evaluation_batches", lambda size=size: batches(size))
        with counted() as asked:
            evaluation = run.evaluate()
        found[size] = asked
        assert evaluation.loss == pytest.approx(whole.loss, rel=1e-6)
        assert (evaluation.correct, evaluation.top5_correct) == (whole.correct, whole.top5_correct)
        assert torch.equal(evaluation.outcomes["predicted"], whole.outcomes["predicted"])
    assert found[7] == found[96]
    assert len(found[7]) <= 4


@pytest.mark.parametrize("attention", [BAM_PAPER, SE], ids=["bam", "se"])
def test_a_pass_over_a_test_set_asks_once_at_its_end(attention: AttentionConfig) -> None:
    model = build("resnet8", attention)
    found = {}
    for count in (1, 5):
        batches = [(image(4, 3, 16, 12, seed=i), torch.arange(4)) for i in range(count)]
        with counted() as asked:
            answers_of(model, batches)
        found[count] = asked
    assert found[1] == found[5] == ["cpu", "cpu", "tolist"]


def test_mean_scales_are_exact_a_part_at_a_time_with_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("resnet8", BAM_PAPER).eval()
    seen: list[Tensor] = []
    site = model.get_submodule("sites.layer1")
    site.scale.register_forward_hook(lambda m, i, s: seen.append(s.double()))  # type: ignore[union-attr, operator]
    monkeypatch.setattr(what_if, "PART", 3 * 16 * 12 * 16)  # three images of layer1 at once
    batches = [(image(n, 3, 16, 12, seed=n), torch.zeros(n, dtype=torch.long)) for n in (7, 1, 4)]
    found = answers_of(model, batches).mean_scales["layer1"]
    assert found == pytest.approx(float(torch.cat(seen).mean()), rel=1e-12)


def test_a_checkpoint_asks_once_for_each_kind_of_number() -> None:
    run = trainer()
    run.train_epoch(Position(), lambda where: where.step == 2)
    tensors = run.state()
    with counted() as asked:
        data = _encode(tensors, Position(epoch=1))
    assert asked.count("cpu") == len({tensor.dtype for tensor in tensors.values()}) == 2
    # The same file as tensor by tensor.
    content: dict[str, object] = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    position = {"epoch": 1, "step": 0, "loss_sum": 0.0, "correct": 0, "diverged": False}
    content["position"] = json.dumps(position)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    assert data == buffer.getvalue()


class Foreign(nn.Module):
    """Somebody's code: it may drop in its forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, self.training)


def in_chain(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), *modules)


@pytest.mark.parametrize(
    ("model", "draws"),
    [
        (build("resnet8", BAM_PAPER), False),
        (build("resnet8", SE, gate="learned-depth"), False),
        (build("squeezenet1.1", BAM_PAPER), True),
        (in_chain(nn.ReLU()), False),
        (in_chain(nn.Dropout(0.0)), False),
        (in_chain(nn.Dropout(0.1)), True),
        (in_chain(nn.RReLU()), True),
        (in_chain(Foreign()), True),
        (nn.MultiheadAttention(8, 2, dropout=0.5), True),
        (nn.LSTM(8, 8, 2, dropout=0.5), True),
    ],
)
def test_networks_that_draw_numbers_are_told_from_those_that_do_not(model: nn.Module, draws: bool) -> None:
    assert may_draw(model) == draws


def test_a_gate_of_the_users_is_no_reason_to_seed_each_step(tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(
        "import torch\nclass G(torch.nn.Module):\n    def forward(self, z):\n        return torch.tanh(z)\n"
    )
    gate = load_gate(f"{tmp_path / 'g.py'}:G")
    attention = AttentionConfig(gate=gate.name)
    model = build_model("resnet8", attention, gate, num_classes=10, in_channels=1, image_size=(12, 9), seed=0)
    assert not may_draw(model)


@pytest.mark.parametrize(("model", "times"), [(in_chain(), 0), (in_chain(nn.Dropout()), 6)])
def test_a_step_is_seeded_for_networks_that_draw(model: nn.Module, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    drawing_from = training_loop.drawing_from
    monkeypatch.setattr(
        training_loop, "drawing_from", lambda key, device: (seeded.append(key), drawing_from(key, device))[1]
    )
    before = torch.get_rng_state()
    trainer(model).train_epoch(Position(), lambda where: False)
    assert len(set(seeded)) == len(seeded) == times
    assert torch.equal(torch.get_rng_state(), before)
