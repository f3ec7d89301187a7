"""Every gate at every site of every attention matters; precision, shapes, starts and gradients."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from attention_samples import COMBINES, LAYOUTS, MODULES, WAYS, bam_logits, cbam_by_hand, image, se_by_hand, shaken
from torch import Tensor, nn
from torch.func import functional_call

from bamgate.attention import BAM, CBAM, Scale, SqueezeExcitation
from bamgate.attention.scale import multiply
from bamgate.config import AttentionConfig
from bamgate.errors import UsageError
from bamgate.gates import GATES
from bamgate.networks.build import build_model
from bamgate.networks.sites import gate_sites

CONFIGS = {
    "bam": AttentionConfig(reduction=4),
    "bam-channel": AttentionConfig(reduction=4, branches="channel"),
    "bam-spatial": AttentionConfig(reduction=4, branches="spatial"),
    "bam-full": AttentionConfig(reduction=4, branches="full"),
    "bam-product": AttentionConfig(reduction=4, combine="product"),
    "bam-released": AttentionConfig(reduction=4, layout="released"),
    "bam-counted-max": AttentionConfig(reduction=4, layout="counted", combine="max"),
    "bam-block": AttentionConfig(reduction=4, placement="block"),
    "bam-plain": AttentionConfig(reduction=4, residual=False),
    "se": AttentionConfig(name="se", reduction=4),
    "se-bottleneck": AttentionConfig(name="se", reduction=4, placement="bottleneck", residual=True),
    "cbam": AttentionConfig(name="cbam", reduction=4),
    "cbam-bottleneck": AttentionConfig(name="cbam", reduction=4, placement="bottleneck"),
}


BOTTLENECKS, BLOCKS = ["layer1", "layer2"], ["layer1.0", "layer2.0", "layer3.0"]


SITES = {
    name: [
        site + part
        for site in (BLOCKS if config.placement == "block" else BOTTLENECKS)
        for part in ((".channel", ".spatial") if config.name == "cbam" else ("",))
    ]
    for name, config in CONFIGS.items()
}


def network(config: AttentionConfig, gate: str) -> nn.Module:
    model = build_model("resnet8", config, GATES.get(gate), num_classes=10, in_channels=1, image_size=(12, 9), seed=0)
    return model.double().train()


@pytest.mark.parametrize("attention", CONFIGS)
@pytest.mark.parametrize("gate", GATES.names())
def test_every_gate_at_every_site_of_every_attention_changes_the_network(attention: str, gate: str) -> None:
    other = "softsign" if gate == "tanh" else "tanh"
    x = 3 * image(4, 1, 12, 9)
    with torch.no_grad():
        model = network(CONFIGS[attention], other)
        sites = gate_sites(model)
        assert list(sites) == SITES[attention]
        before = model(x)
        for name, scale in sites.items():
            former = scale.gate
            scale.gate = GATES.get(gate).build().double()
            assert (model(x) - before).abs().max() > 1e-7, name
            scale.gate = former
        torch.testing.assert_close(model(x), before, rtol=0, atol=0)
        for scale in sites.values():
            scale.gate = GATES.get(gate).build().double()
        torch.testing.assert_close(model(x), network(CONFIGS[attention], gate)(x), rtol=0, atol=0)


@pytest.mark.parametrize("attention", CONFIGS)
def test_each_site_calls_the_gate_that_it_was_given_and_no_other(attention: str) -> None:
    """A default gate that stayed behind somewhere would show: with the gate g = 0 every residual site is 1."""
    config = CONFIGS[attention]
    model = network(config, "none")
    x = image(4, 1, 8, 8)
    seen = {}
    for name, scale in gate_sites(model).items():
        scale.register_forward_hook(lambda _, inputs, s, name=name: seen.update({name: s.detach()}))
    model(x)
    assert list(seen) == SITES[attention]
    for s in seen.values():
        assert (s == (1 if config.residual else 0)).all()


class Recorder(nn.Module):
    """A gate that notes the dtype of its logits."""

    dtypes: list[torch.dtype]

    def __init__(self) -> None:
        super().__init__()
        self.dtypes = []

    def forward(self, z: Tensor) -> Tensor:
        self.dtypes.append(z.dtype)
        return torch.tanh(z)


def recorders(module: nn.Module) -> Iterator[Recorder]:
    return (part for part in module.modules() if isinstance(part, Recorder))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gates_compute_in_fp32_and_the_output_keeps_its_dtype(name: str, autocast: bool, dtype: torch.dtype) -> None:
    module = MODULES[name](8, gate=Recorder, reduction=4)
    if not autocast:
        module = module.to(dtype)
    x = image(4, 8, 6, 5).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = module(x)
    assert y.dtype == dtype
    found = [dtype for recorder in recorders(module) for dtype in recorder.dtypes]
    assert found == [torch.float32] * (2 if name == "cbam" else 1)
    y.float().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype


class MatrixGate(nn.Module):
    """A gate with an operation that autocast would take to half precision."""

    def forward(self, z: Tensor) -> Tensor:
        return (z[..., None] @ torch.full((1, 1), 0.75, dtype=z.dtype))[..., 0]


@pytest.mark.parametrize("name", MODULES)
def test_autocast_reaches_no_operation_inside_a_gate(name: str) -> None:
    module = MODULES[name](8, gate=MatrixGate, reduction=4)
    seen: list[tuple[Tensor, Tensor]] = []
    for part in module.modules():
        if isinstance(part, MatrixGate):
            part.register_forward_hook(lambda _, inputs, g: seen.append((inputs[0].detach(), g.detach())))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        module(image(4, 8, 6, 5).float())
    assert len(seen) == (2 if name == "cbam" else 1)
    for z, g in seen:  # bfloat16 would be off by 1e-3
        torch.testing.assert_close(g, 0.75 * z, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", MODULES)
def test_float64_stays_float64(name: str) -> None:
    module = MODULES[name](8, gate=Recorder, reduction=4).double()
    assert module(image(2, 8, 3, 3)).dtype == torch.float64
    assert {dtype for recorder in recorders(module) for dtype in recorder.dtypes} == {torch.float64}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    "shape", [(2, 8, 24, 32), (2, 8, 1, 1), (1, 8, 7, 5), (1, 8, 1, 1), (2, 3, 4, 6), (2, 1, 5, 5)]
)
def test_any_map_size_in_evaluation(name: str, shape: tuple[int, ...]) -> None:
    module = shaken(MODULES[name](shape[1], gate=GATES.get("tanh").build).eval())  # reduction 16: more than channels
    x = image(*shape)
    y: Tensor = module(x)
    assert y.shape == x.shape
    by_hand = {"se": se_by_hand, "cbam": cbam_by_hand}
    if name == "bam":
        expected = x * (1 + torch.tanh(bam_logits(module, x, "both", "sum", "paper", 4)))
    else:
        expected = by_hand[name](module, x, torch.tanh, 0)
    torch.testing.assert_close(y, expected)


def test_hidden_layers_have_c_over_r_channels_and_at_least_one() -> None:
    widths = {c: BAM(c, gate=nn.Tanh).channel.reduce.out_features for c in (1, 8, 16, 31, 32, 256)}  # type: ignore[union-attr]
    assert widths == {1: 1, 8: 1, 16: 1, 31: 1, 32: 2, 256: 16}
    assert SqueezeExcitation(64, gate=nn.Tanh, reduction=8).mlp.reduce.out_features == 8
    assert CBAM(64, gate=nn.Tanh).channel.mlp.reduce.out_features == 4
    hidden = BAM(64, gate=nn.Tanh).spatial.hidden  # type: ignore[union-attr]
    shapes = [tuple(part.weight.shape) for part in hidden if isinstance(part, nn.Conv2d)]
    assert shapes == [(4, 64, 1, 1), (4, 4, 3, 3), (4, 4, 3, 3)]


def test_channel_attention_pools_the_whole_of_a_wide_map() -> None:
    """The released code pools an H x H window: on 8 x 12 it never sees the last four columns."""
    module: Any = shaken(BAM(8, gate=nn.Tanh, branches="channel", reduction=2).eval())
    x = image(1, 8, 8, 12)
    for columns in (slice(8, 12), slice(0, 4)):
        changed = x.clone()
        changed[..., columns] += 3
        # 4 of 12 columns raised by 3 raise the mean by 1, as the whole map raised by 1 does.
        torch.testing.assert_close(module.logits(changed), module.logits(x + 1))
        assert (module.logits(changed) - module.logits(x)).abs().max() > 1e-3
    tall = x.transpose(2, 3)
    torch.testing.assert_close(module.logits(tall), module.logits(x))


def test_the_spatial_branch_sees_as_far_as_its_dilation_and_no_farther() -> None:
    """Two 3x3 convolutions dilated by d reach 2 d positions in each direction."""
    for dilation in (1, 3):
        module: Any = shaken(BAM(4, gate=nn.Tanh, branches="spatial", reduction=1, dilation=dilation).eval())
        # positive weights and inputs: no ReLU can hide a path
        for parameter in module.parameters():
            parameter.data.abs_()
        x = torch.ones(1, 4, 17, 17, dtype=torch.float64)
        dot = x.clone()
        dot[0, :, 8, 8] += 5
        touched = ((module.logits(dot) - module.logits(x)).abs() > 1e-9)[0, 0]
        steps = {8 + dilation * i for i in range(-2, 3)}
        expected = torch.tensor([[i in steps and j in steps for j in range(17)] for i in range(17)])
        assert torch.equal(touched, expected)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("branches", "combine"), WAYS)
def test_gate_init_zero_starts_every_logit_of_bam_at_zero_and_can_learn(
    branches: str, combine: str, layout: str, training: bool
) -> None:
    module = BAM(
        8,
        gate=nn.Tanh,
        reduction=2,
        branches=branches,
        combine=combine,
        layout=layout,
        gate_init="zero",
    ).train(training)
    x = image(4, 8, 5, 6).float()
    assert (module.logits(x) == 0).all()
    y = module(x)
    assert torch.equal(y, x)
    (y * image(4, 8, 5, 6, seed=9).float()).sum().backward()
    largest = [float(p.grad.abs().max()) for p in module.parameters() if p.grad is not None]
    assert max(largest) > 1e-4


@pytest.mark.parametrize("name", ["se", "cbam"])
def test_gate_init_zero_of_se_and_cbam(name: str) -> None:
    module = MODULES[name](8, gate=nn.Sigmoid, reduction=2, gate_init="zero")
    x = image(4, 8, 5, 6).float()
    torch.testing.assert_close(module(x), x * (0.5 if name == "se" else 0.25))
    module(x).square().sum().backward()
    assert max(float(p.grad.abs().max()) for p in module.parameters() if p.grad is not None) > 1e-4


def test_the_default_start_is_not_zero() -> None:
    x = image(4, 8, 5, 6).float()
    for name, make in MODULES.items():
        assert (make(8, gate=nn.Tanh, reduction=2)(x) - x).abs().max() > 1e-3, name


def test_released_layout_starts_its_convolutions_he_normal_by_fan_out() -> None:
    released, paper = (BAM(512, gate=nn.Tanh, reduction=4, layout=layout) for layout in ("released", "paper"))
    for module, expected in ((released, (2 / (9 * 128)) ** 0.5), (paper, (1 / (3 * 9 * 128)) ** 0.5)):
        conv: Any = module.spatial.hidden[3]  # type: ignore[union-attr]
        assert conv.weight.numel() == 128 * 128 * 9
        # torch's own start is uniform within 1 / sqrt(fan_in): standard deviation 1 / sqrt(3 fan_in).
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("branches", "combine"), WAYS)
def test_gradients_reach_the_input_and_all_parameters_of_bam(branches: str, combine: str, layout: str) -> None:
    module = shaken(
        BAM(8, gate=GATES.get("learned-depth").build, reduction=2, branches=branches, combine=combine, layout=layout)
    )
    assert_gradients_reach_everything(module)


@pytest.mark.parametrize("name", ["se", "cbam"])
@pytest.mark.parametrize("gate", ["tanh", "learned-depth"])
def test_gradients_reach_the_input_and_all_parameters_of_se_and_cbam(name: str, gate: str) -> None:
    assert_gradients_reach_everything(shaken(MODULES[name](8, gate=GATES.get(gate).build, reduction=2)))


def assert_gradients_reach_everything(module: nn.Module) -> None:
    x = image(4, 8, 6, 7).requires_grad_()
    (module(x) * image(4, 8, 6, 7, seed=5)).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        followed_by_norm = name.endswith("bias") and not _is_last_or_norm(name, module)
        if not followed_by_norm:  # a shift before a batch norm has no effect in training
            assert parameter.grad.abs().max() > 1e-9, name


def _is_last_or_norm(name: str, module: nn.Module) -> bool:
    owner = module.get_submodule(name.rpartition(".")[0])
    if isinstance(owner, nn.BatchNorm1d | nn.BatchNorm2d):
        return True
    branch: Any = module.get_submodule(name.split(".")[0])
    last = getattr(branch, "final", getattr(branch, "expand", None))
    return isinstance(owner, nn.Linear | nn.Conv2d) and owner is last and getattr(branch, "final_norm", None) is None


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("combine", COMBINES)
def test_gradcheck(combine: str, training: bool) -> None:
    module = shaken(BAM(4, gate=GATES.get("tanh").build, reduction=2, dilation=1, combine=combine), seed=3).train(
        training
    )
    names = [name for name, _ in module.named_parameters()]
    parameters = [parameter.detach().clone().requires_grad_() for parameter in module.parameters()]

    def run(x: Tensor, *values: Tensor) -> Any:
        return functional_call(module, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (image(3, 4, 2, 3).requires_grad_(), *parameters))


@pytest.mark.slow
def test_torch_compile_equals_eager() -> None:
    module = shaken(BAM(8, gate=GATES.get("tanh").build, reduction=2)).float().train()
    compiled = torch.compile(module)
    x = image(4, 8, 6, 9).float().requires_grad_()
    y = compiled(x)
    y.square().sum().backward()
    assert x.grad is not None
    compiled_gradient, x.grad = x.grad.clone(), None
    expected = x * (1 + torch.tanh(bam_logits(module, x, "both", "sum", "paper", 4)))
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    expected.square().sum().backward()
    torch.testing.assert_close(compiled_gradient, x.grad, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"branches": "chanel"},
            "unknown branches 'chanel'; did you mean 'channel'? (allowed: both, channel, spatial, full)",
        ),
        (
            {"layout": "realeased"},
            "unknown layout 'realeased'; did you mean 'released'? (allowed: paper, counted, released)",
        ),
        ({"gate_init": "zeros"}, "unknown gate_init 'zeros'; did you mean 'zero'? (allowed: default, zero)"),
        ({"combine": "add"}, "unknown combine 'add' (allowed: sum, product, max)"),
        (
            {"branches": "spatial", "combine": "max"},
            "combine='max' would have no effect: branches='spatial' leaves nothing to combine",
        ),
        (
            {"branches": "channel", "dilation": 2},
            "dilation=2 would have no effect: the channel branch has no convolution",
        ),
    ],
)
def test_an_option_that_is_unknown_or_idle_is_refused_in_python_too(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        BAM(8, gate=nn.Tanh, **options)
    assert str(caught.value) == message


class Fixed(nn.Module):
    """Features, and logits for each of them: F * s(z) as every attention module multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale(nn.Sigmoid, residual=True)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return multiply(x, self.scale(z))


def test_the_product_is_rounded_once_to_bf16() -> None:
    """4,096 scales from 1 to 2 on the same 64 features: rounded to bf16 beforehand they would be 129."""
    x = torch.linspace(0.5, 1, 64).bfloat16()[None].expand(4096, 64)
    z = torch.linspace(-8, 8, 4096)[:, None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = Fixed()(x, z.expand(4096, 64))
    assert y.dtype == torch.bfloat16
    exact = x.double() * (1 + torch.sigmoid(z.double()))
    assert (y == exact.bfloat16()).double().mean() > 0.999  # fp32 in between may break a tie
    assert len({tuple(row) for row in y.tolist()}) > 1500
    twice = x * (1 + torch.sigmoid(z)).bfloat16()
    assert len({tuple(row) for row in twice.tolist()}) <= 129


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_full_precision_the_product_is_the_plain_one(dtype: torch.dtype) -> None:
    x, s = image(2, 3, 4, 5).to(dtype), image(2, 3, 1, 1).to(dtype)
    assert torch.equal(multiply(x, s), x * s)
