"""Scores by hand and by scikit-learn; the same weights under other gates by another road."""

import copy
import math

import pytest
import torch
from model_samples import BAM_PAPER, CBAM_CONFIG, PLAIN, SE, build, image
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor, nn

from bamgate.attention import BAM
from bamgate.errors import DataError, UsageError
from bamgate.evaluation import answers_of, choose_sites, held, regated, score, switched_off
from bamgate.gates import GATES
from bamgate.networks.sites import gate_sites

LABELS = torch.tensor([0, 1, 2, 2])


def logits_of(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


# Right with 0.7, right with 0.5, wrong with 0.6, right with 0.9.
FOUR = logits_of([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.6, 0.3, 0.1], [0.05, 0.05, 0.9]])


def test_scores_of_four_images_by_hand() -> None:
    found = score(FOUR, LABELS)
    assert (found.total, found.correct, found.top5_correct) == (4, 3, 4)
    assert found.class_total == [1, 1, 2]
    assert found.class_correct == [1, 1, 1]
    assert found.loss == pytest.approx(-(math.log(0.7) + math.log(0.5) + math.log(0.1) + math.log(0.9)) / 4)
    squares = [0.09 + 0.04 + 0.01, 0.09 + 0.25 + 0.04, 0.36 + 0.09 + 0.81, 0.0025 + 0.0025 + 0.01]
    assert found.brier == pytest.approx(sum(squares) / 4)
    # Each stands in a bin of its own: gaps 0.3, 0.5, 0.6 and 0.1.
    assert found.ece == pytest.approx((0.3 + 0.5 + 0.6 + 0.1) / 4)


def test_loss_and_brier_as_scikit_learn_has_them() -> None:
    draw = torch.Generator().manual_seed(3)
    logits, labels = torch.randn(200, 7, generator=draw, dtype=torch.float64), torch.arange(200) % 7
    found, probabilities = score(logits, labels), logits.softmax(dim=1).numpy()
    assert found.loss == pytest.approx(log_loss(labels.numpy(), probabilities), rel=1e-12)
    one_by_one = [brier_score_loss(labels.numpy() == k, probabilities[:, k]) for k in range(7)]
    assert found.brier == pytest.approx(sum(one_by_one), rel=1e-12)


def test_images_in_one_bin_share_one_gap() -> None:
    """Eight images with confidence 0.75, six of them right: no calibration error; all right: 0.25."""
    logits = logits_of([[0.75, 0.25]] * 8)
    assert score(logits, torch.tensor([0] * 6 + [1] * 2)).ece == pytest.approx(0)
    assert score(logits, torch.zeros(8, dtype=torch.long)).ece == pytest.approx(0.25)
    (full,) = [b for b in score(logits, torch.tensor([0] * 6 + [1] * 2)).bins if b.total]
    assert (full.total, full.correct, full.low, full.high) == (8, 6, 11 / 15, 12 / 15)
    assert full.confidence == pytest.approx(0.75)


def test_a_bin_holds_its_upper_bound_and_certainty_stands_in_the_last() -> None:
    certain = score(torch.tensor([[0.0, 200.0]]), torch.tensor([1]))
    assert certain.bins[14].total == 1
    assert certain.ece == 0
    even = score(torch.zeros(3, 5), torch.tensor([0, 1, 2]))  # confidence 0.2 = 3/15
    assert [b.total for b in even.bins[:4]] == [0, 0, 3, 0]
    assert even.bins[0].confidence is None


def test_a_class_without_images_counts_nothing() -> None:
    found = score(FOUR[:2], LABELS[:2])
    assert found.class_total == [1, 1, 0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_answers_that_are_not_finite_are_named(value: float) -> None:
    logits = FOUR.clone()
    logits[1, 2] = value
    with pytest.raises(DataError, match=r"^the network's outputs are not finite for 1 of 4 images: it has diverged$"):
        score(logits, LABELS)


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    return [(image(4, 3, 16, 12, seed=i), torch.arange(4)) for i in range(count)]


@pytest.mark.parametrize("attention", [BAM_PAPER, SE, CBAM_CONFIG], ids=["bam", "se", "cbam"])
def test_under_another_gate_the_network_is_the_one_built_with_it(attention: object) -> None:
    sigmoid, tanh = (build("resnet8", attention, gate=gate) for gate in ("sigmoid", "tanh"))  # type: ignore[arg-type]
    own = answers_of(sigmoid, batches()).logits
    with regated(sigmoid, GATES.get("tanh")):
        assert torch.equal(answers_of(sigmoid, batches()).logits, answers_of(tanh, batches()).logits)
    assert torch.equal(answers_of(sigmoid, batches()).logits, own)


def test_switched_off_a_bam_passes_the_map_as_it_came() -> None:
    with_bam, plain = build("resnet8", BAM_PAPER), build("resnet8", PLAIN)
    with switched_off(with_bam, gate_sites(with_bam)):
        assert torch.equal(answers_of(with_bam, batches()).logits, answers_of(plain, batches()).logits)


def test_switched_off_an_se_without_residual_passes_the_map_too() -> None:
    with_se, plain = build("resnet8", SE), build("resnet8", PLAIN)
    with switched_off(with_se, gate_sites(with_se)):
        assert torch.equal(answers_of(with_se, batches()).logits, answers_of(plain, batches()).logits)


def test_one_site_off_is_the_network_without_that_bam() -> None:
    model = build("resnet8", BAM_PAPER)
    by_hand = copy.deepcopy(model)
    by_hand.sites["layer1"] = nn.Identity()  # type: ignore[index,operator]
    with switched_off(model, ["layer1"]):
        assert torch.equal(answers_of(model, batches()).logits, answers_of(by_hand, batches()).logits)


def test_mean_scales_and_what_holding_them_does() -> None:
    model = build("resnet8", BAM_PAPER).eval()
    seen: list[Tensor] = []
    module = model.get_submodule("sites.layer1")
    assert isinstance(module, BAM)
    module.scale.register_forward_hook(lambda m, i, o: seen.append(o.double()))
    means = answers_of(model, batches()).mean_scales
    assert means["layer1"] == pytest.approx(float(torch.cat(seen).mean()), rel=1e-12)
    with held(model, {"layer1": means["layer1"]}):
        seen.clear()
        answers_of(model, batches(1))
        assert torch.allclose(seen[0], torch.full_like(seen[0], means["layer1"]), atol=1e-7)


def test_gates_come_back_when_an_error_ends_the_pass() -> None:
    model = build("resnet8", BAM_PAPER)
    before = {name: scale.gate for name, scale in gate_sites(model).items()}
    with pytest.raises(RuntimeError, match="stop"), switched_off(model, before):
        raise RuntimeError("stop")
    assert {name: scale.gate for name, scale in gate_sites(model).items()} == before


def test_a_pass_leaves_mode_buffers_and_hooks_as_they_were() -> None:
    model = build("resnet8", BAM_PAPER).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    answers_of(model, batches())
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_choosing_sites() -> None:
    model = build("resnet8", BAM_PAPER)
    both = ("all sites", ["layer1", "layer2"])
    assert choose_sites(model, "each") == [("layer1", ["layer1"]), ("layer2", ["layer2"]), both]
    assert choose_sites(model, "all") == [both]
    assert choose_sites(model, "layer2, layer1") == [("layer2, layer1", ["layer2", "layer1"])]
    with pytest.raises(
        UsageError, match=r"^unknown site 'layer3'; did you mean 'layer2'\? \(allowed: layer1, layer2, all, each\)$"
    ):
        choose_sites(model, "layer1,layer3")
    with pytest.raises(UsageError, match=r"^this network has no gate to switch$"):
        choose_sites(build("resnet8", PLAIN), "all")
