import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.gates import GATES, Gate, examine, fingerprint
from bamgate.gates.check import require_usable, tanh_form_error
from bamgate.gates.gate import Elementwise, values_and_slopes
from bamgate.registry import Registry

# g(z) by the math module alone, written down from the definitions and not from the source.
REFERENCE: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": lambda z: (math.exp(2 * z) - 1) / (math.exp(2 * z) + 1),
    "hard-sigmoid": lambda z: min(max(z / 6 + 0.5, 0), 1),
    "hard-sigmoid-keras": lambda z: min(max(0.2 * z + 0.5, 0), 1),
    "softsign": lambda z: z / (1 + abs(z)),
    "none": lambda z: 0.0,
    "constant-half": lambda z: 0.5,
    "centred-sigmoid": lambda z: (1 + 1 / (1 + math.exp(-z))) / 1.5 - 1,
    "half-sigmoid": lambda z: 1 / (1 + math.exp(-z)) - 0.5,
    "tanh-quarter": lambda z: (math.exp(z / 2) - 1) / (math.exp(z / 2) + 1),
    "tanh-half": lambda z: 2 / (1 + math.exp(-z)) - 1,
    "hardtanh": lambda z: min(max(z, -1), 1),
    "clip-sigmoid": lambda z: min(max(z / 4 + 0.5, 0), 1),
    "arctan": lambda z: 2 / math.pi * math.atan2(math.pi * z / 2, 1),
    "learned-depth": lambda z: 1 / (1 + math.exp(-z)),
}

# s(0), s'(0), inf s, sup s, by hand from section 4 of the facts on BAM.
AT_ORIGIN = {
    "sigmoid": (1.5, 1 / 4, 1, 2),
    "tanh": (1, 1, 0, 2),
    "hard-sigmoid": (1.5, 1 / 6, 1, 2),
    "hard-sigmoid-keras": (1.5, 1 / 5, 1, 2),
    "softsign": (1, 1, 0, 2),
    "none": (1, 0, 1, 1),
    "constant-half": (1.5, 0, 1.5, 1.5),
    "centred-sigmoid": (1, 1 / 6, 2 / 3, 4 / 3),
    "half-sigmoid": (1, 1 / 4, 0.5, 1.5),
    "tanh-quarter": (1, 1 / 4, 0, 2),
    "tanh-half": (1, 1 / 2, 0, 2),
    "hardtanh": (1, 1, 0, 2),
    "clip-sigmoid": (1.5, 1 / 4, 1, 2),
    "arctan": (1, 1, 0, 2),
    "learned-depth": (1.5, 1 / 4, 1, 2),
}

EFFECTS = {
    "only amplifies": {"sigmoid", "hard-sigmoid", "hard-sigmoid-keras", "constant-half", "clip-sigmoid"}
    | {"learned-depth"},
    "changes nothing": {"none"},
    "attenuates and amplifies": {"tanh", "softsign", "centred-sigmoid", "half-sigmoid", "tanh-quarter", "tanh-half"}
    | {"hardtanh", "arctan"},
}

# Off the kinks of the hard gates (1, 2, 2.5, 3), so that a central difference may cross none.
POINTS = [-20.0, -7.3, -3.4, -2.7, -1.6, -0.7, -0.3, 0.05, 0.4, 0.9, 1.7, 2.2, 2.8, 3.3, 6.1, 20.0]


def gate_of(function: Callable[[Tensor], object], name: str = "mine") -> Gate:
    return Gate(name=name, build=lambda: Elementwise(function), source="")  # type: ignore[arg-type]


def test_the_built_in_names_in_the_order_in_which_they_are_listed() -> None:
    assert GATES.names() == list(REFERENCE)


@pytest.mark.parametrize("name", REFERENCE)
def test_values_follow_the_definition(name: str) -> None:
    g = GATES.get(name).build().double()(torch.tensor(POINTS, dtype=torch.float64))
    np.testing.assert_allclose(g.detach().numpy(), [REFERENCE[name](z) for z in POINTS], atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", REFERENCE)
def test_slopes_follow_a_central_difference_of_the_definition(name: str) -> None:
    _, slopes = values_and_slopes(GATES.get(name).build().double(), torch.tensor(POINTS, dtype=torch.float64))
    by_difference = [(REFERENCE[name](z + 1e-5) - REFERENCE[name](z - 1e-5)) / 2e-5 for z in POINTS]
    np.testing.assert_allclose(slopes.numpy(), by_difference, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", REFERENCE)
def test_centre_and_slope_at_the_origin_and_stated_range(name: str) -> None:
    centre, slope, low, high = AT_ORIGIN[name]
    gate = GATES.get(name)
    g, slopes = values_and_slopes(gate.build(), torch.zeros(2, 3, 1, 1))
    torch.testing.assert_close(1 + g, torch.full((2, 3, 1, 1), float(centre)))
    torch.testing.assert_close(slopes, torch.full((2, 3, 1, 1), float(slope)))
    if name == "learned-depth":
        assert (gate.low, gate.high) == (None, None)
    else:
        assert (gate.low, gate.high) == pytest.approx((low - 1, high - 1))


@pytest.mark.parametrize("name", REFERENCE)
def test_the_measured_scale_stays_in_the_range_and_comes_near_its_ends(name: str) -> None:
    _, _, low, high = AT_ORIGIN[name]
    report = examine(GATES.get(name))
    # softsign is the slowest: 1 / (1 + 50) is left to its bounds at |z| = 50.
    assert low - 1e-7 <= report.low <= low + 1 / 51 + 1e-9
    assert high - 1 / 51 - 1e-9 <= report.high <= high + 1e-7


def test_softsign_has_algebraic_tails() -> None:
    report = examine(GATES.get("softsign"))
    assert report.low == pytest.approx(1 - 50 / 51)
    assert report.high == pytest.approx(1 + 50 / 51)


def test_the_gates_that_state_a_tanh_form() -> None:
    stated = {gate.name: (gate.form.c, gate.form.depth, gate.form.k) for gate in GATES if gate.form is not None}
    assert stated == {
        "sigmoid": (1.5, 1 / 3, 0.5),
        "tanh": (1, 1, 1),
        "none": (1, 0, 1),
        "constant-half": (1.5, 0, 1),
        "centred-sigmoid": (1, 1 / 3, 0.5),
        "half-sigmoid": (1, 0.5, 0.5),
        "tanh-quarter": (1, 1, 0.25),
        "tanh-half": (1, 1, 0.5),
        "learned-depth": (1.5, 1 / 3, 0.5),
    }


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate.form is not None], ids=lambda gate: gate.name)
def test_a_stated_tanh_form_is_the_definition(gate: Gate) -> None:
    assert gate.form is not None
    by_form = [gate.form.c * (1 + gate.form.depth * math.tanh(gate.form.k * z)) for z in POINTS]
    assert by_form == pytest.approx([1 + REFERENCE[gate.name](z) for z in POINTS], abs=1e-12)
    assert tanh_form_error(gate) < 1e-7


def test_a_wrong_tanh_form_shows_its_largest_error() -> None:
    wrong = Gate(**{**vars(GATES.get("tanh")), "form": GATES.get("none").form})  # states s = 1; s is 1 + tanh(z)
    assert tanh_form_error(wrong) == pytest.approx(1)
    assert math.isnan(tanh_form_error(GATES.get("softsign")))


def test_the_identities_of_sigmoid_and_tanh() -> None:
    z = torch.linspace(-15, 15, 601, dtype=torch.float64)
    sigmoid, tanh = GATES.get("sigmoid").build(), GATES.get("tanh").build()
    torch.testing.assert_close(1 + sigmoid(z), 1.5 * (1 + tanh(z / 2) / 3), atol=1e-15, rtol=0)
    torch.testing.assert_close(1 + tanh(z), 2 * sigmoid(2 * z), atol=1e-15, rtol=0)


def test_sigmoid_gate_has_two_thirds_and_four_thirds_of_its_centre() -> None:
    z = torch.tensor([-40.0, 0.0, 40.0], dtype=torch.float64)
    s = 1 + GATES.get("sigmoid").build()(z)
    torch.testing.assert_close(s / 1.5, torch.tensor([2 / 3, 1, 4 / 3], dtype=torch.float64))
    torch.testing.assert_close(1 + GATES.get("centred-sigmoid").build()(z), s / 1.5)


def test_no_two_gates_share_a_fingerprint() -> None:
    assert len({fingerprint(gate) for gate in GATES}) == len(REFERENCE)


def test_a_fingerprint_follows_the_function_and_not_its_name_or_code() -> None:
    by_exp = gate_of(lambda z: 1 - 2 / (torch.exp(2 * z) + 1), "another")
    assert fingerprint(by_exp) == fingerprint(GATES.get("tanh"))
    assert fingerprint(gate_of(lambda z: 1.001 * torch.tanh(z), "tanh")) != fingerprint(GATES.get("tanh"))
    assert by_exp.source_sha256 != GATES.get("tanh").source_sha256


def test_a_fingerprint_sees_slopes_too() -> None:
    detached = gate_of(lambda z: torch.tanh(z).detach())
    assert fingerprint(detached) != fingerprint(GATES.get("tanh"))


def test_fingerprints_stay_what_runs_on_disk_were_stored_with() -> None:
    assert fingerprint(GATES.get("sigmoid")) == "c95bcfdb0e11d84e"
    assert fingerprint(GATES.get("tanh")) == "8bc77277a94d805a"


def test_learned_depth_starts_as_sigmoid_and_learns() -> None:
    module = GATES.get("learned-depth").build()
    assert [tuple(p.shape) for p in module.parameters()] == [()]
    z = torch.linspace(-5, 5, 30)
    g = module(z)
    torch.testing.assert_close(g, 1 / (1 + torch.exp(-z)))
    (g * torch.sign(z)).sum().backward()
    # d/dA of 1.5 (1 + A tanh(z/2)) is 1.5 tanh(z/2).
    expected = sum(1.5 * math.tanh(abs(x) / 2) for x in z.tolist())
    assert float(next(module.parameters()).grad) == pytest.approx(expected, rel=1e-5)  # type: ignore[arg-type]


def test_each_build_of_a_learned_gate_has_a_parameter_of_its_own() -> None:
    first, second = GATES.get("learned-depth").build(), GATES.get("learned-depth").build()
    next(first.parameters()).data.fill_(1.0)
    assert next(second.parameters()).item() == pytest.approx(1 / 3)
    z = torch.tensor([-40.0, 40.0])
    torch.testing.assert_close(first(z), torch.tensor([-1.0, 2.0]))  # s from 0 to 3


def test_a_hard_gate_has_exactly_no_gradient_beyond_its_kink() -> None:
    z = torch.tensor([-9.0, -3.001, -2.999, 2.999, 3.001, 9.0])
    _, slopes = values_and_slopes(GATES.get("hard-sigmoid").build(), z)
    torch.testing.assert_close(slopes, torch.tensor([0, 0, 1 / 6, 1 / 6, 0, 0]))
    assert slopes[[0, 1, 4, 5]].tolist() == [0, 0, 0, 0]
    _, slopes = values_and_slopes(GATES.get("hard-sigmoid-keras").build(), z)
    assert slopes.tolist() == [0] * 6
    _, slopes = values_and_slopes(GATES.get("sigmoid").build(), z)
    assert (slopes > 0).all()


@pytest.mark.parametrize("name", REFERENCE)
def test_bf16_and_fp16_keep_dtype_and_agree_with_the_definition_to_their_precision(name: str) -> None:
    for dtype, tolerance in ((torch.bfloat16, 2**-7), (torch.float16, 2**-9)):
        z = torch.tensor([-3.5, -1.25, 0.0, 0.5, 2.75], dtype=dtype)
        g = GATES.get(name).build().to(dtype)(z)
        assert g.dtype == dtype
        expected = [REFERENCE[name](x) for x in z.tolist()]
        np.testing.assert_allclose(g.detach().double().numpy(), expected, atol=tolerance, rtol=0)


def test_a_name_that_is_taken_is_refused_and_the_first_part_stays() -> None:
    parts: Registry[int] = Registry("gate")
    parts.register("a", 1)
    with pytest.raises(UsageError) as caught:
        parts.register("a", 2)
    assert str(caught.value) == "gate 'a' is already registered; choose another name"
    assert (parts.get("a"), parts.names(), "a" in parts, "b" in parts, list(parts)) == (1, ["a"], True, False, [1])


def test_an_unknown_gate_is_one_line_with_the_nearest_name_and_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        GATES.get("Tahn")
    assert str(caught.value) == (
        "unknown gate 'Tahn'; did you mean 'tanh'? (allowed: sigmoid, tanh, hard-sigmoid, hard-sigmoid-keras, "
        "softsign, none, constant-half, centred-sigmoid, half-sigmoid, tanh-quarter, tanh-half, hardtanh, "
        "clip-sigmoid, arctan, learned-depth)"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", REFERENCE)
def test_examine_finds_the_effect_and_that_a_built_in_gate_is_sound(name: str) -> None:
    report = examine(GATES.get(name))
    assert name in EFFECTS[report.effect]
    assert report.name == name
    assert (report.monotone, report.finite, report.bf16, report.autocast, report.deterministic) == (True,) * 5
    assert report.compiles is None
    assert report.passed
    assert report.parameters == (1 if name == "learned-depth" else 0)
    centre, slope, _, _ = AT_ORIGIN[name]
    assert (report.centre, report.slope) == pytest.approx((centre, slope), abs=1e-7)
    assert report.max_slope == pytest.approx(slope, abs=1e-7)  # every built-in gate is steepest at 0


def test_examine_of_gates_that_flip_signs_only_attenuate_or_are_not_monotone() -> None:
    assert examine(gate_of(lambda z: 2 * torch.tanh(z))).effect == "attenuates and amplifies, and flips signs"
    assert examine(gate_of(lambda z: -torch.sigmoid(z))).effect == "only attenuates"
    assert examine(gate_of(lambda z: torch.sigmoid(z) - 2)).effect == "only attenuates, and flips signs"
    wave = examine(gate_of(torch.sin))
    assert (wave.monotone, wave.passed) == (False, True)
    assert wave.max_slope == pytest.approx(1)
    assert examine(gate_of(lambda z: -torch.tanh(z))).monotone


def test_examine_finds_values_and_gradients_that_are_not_finite() -> None:
    # 1 / z at 0; the slope of sqrt|z| at 0; exp overflows at 50^2.
    for function in (lambda z: 1 / z, lambda z: torch.sqrt(torch.abs(z)), lambda z: torch.exp(z * z)):
        report = examine(gate_of(function))
        assert (report.finite, report.passed) == (False, False)


def test_examine_finds_what_overflows_in_fp32_beyond_88() -> None:
    naive = examine(gate_of(lambda z: 1 / (1 + torch.exp(-z))))  # its gradient is inf / inf at -100
    assert (naive.finite, naive.passed) == (False, False)
    assert require_usable(gate_of(lambda z: 1 / (1 + torch.exp(-z))))  # a logit of -30 is far out already
    assert not examine(gate_of(torch.exp)).finite
    assert examine(gate_of(lambda z: z**8)).finite


def test_examine_finds_a_gate_that_breaks_in_bf16_or_is_random() -> None:
    def only_float(z: Tensor) -> Tensor:
        assert z.dtype != torch.bfloat16
        return torch.tanh(z)

    report = examine(gate_of(only_float))
    assert (report.bf16, report.finite, report.passed) == (False, True, False)
    report = examine(gate_of(lambda z: torch.tanh(z) * torch.rand(())))
    assert (report.deterministic, report.passed) == (False, False)


def test_a_usable_gate_comes_back_as_it_is() -> None:
    for gate in GATES:
        assert require_usable(gate) is gate


class NeedsArgument(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()


def raising(z: Tensor) -> Tensor:
    raise KeyError("lost")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z.mean(dim=1), "gate 'mine' must keep the shape: got (2, 4, 5) for (2, 3, 4, 5)"),
        (lambda z: z.sum(), "gate 'mine' must keep the shape: got () for (2, 3, 4, 5)"),
        (torch.Tensor.double, "gate 'mine' must keep the dtype: got torch.float64 for torch.float32"),
        (lambda z: z > 0, "gate 'mine' must keep the dtype: got torch.bool for torch.float32"),
        (lambda z: 1.0, "gate 'mine' must return a tensor, got float"),
        (lambda z: (z, z), "gate 'mine' must return a tensor, got tuple"),
        (lambda z: None, "gate 'mine' must return a tensor, got NoneType"),
        (raising, "gate 'mine' fails on a (2, 3, 4, 5) tensor: KeyError: 'lost'"),
        (torch.log, "gate 'mine' gives a value that is not finite at z = -30"),
        (lambda z: torch.where(z < -29.9, math.nan, z), "gate 'mine' gives a value that is not finite at z = -30"),
        (lambda z: torch.exp(z * z), "gate 'mine' gives a value that is not finite at z = -30"),
        # The slope of sqrt|x| at x = 0 is not finite, its value is.
        (lambda z: (z + 30).abs().sqrt(), "gate 'mine' gives a gradient that is not finite at z = -30"),
    ],
    ids=["shape", "scalar", "float64", "bool", "float", "tuple", "none", "raises", "log", "nan", "overflow", "slope"],
)
def test_what_is_no_gate_is_refused_with_one_line(function: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_usable(gate_of(function))
    assert str(caught.value) == message


def test_a_module_class_that_needs_arguments_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^gate 'mine' fails on .*: TypeError: .*missing 1 required .*'width'$"):
        require_usable(Gate(name="mine", build=NeedsArgument, source=""))  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [lambda z: 1 / z, lambda z: torch.sqrt(torch.abs(z))], ids=["value", "slope"])
def test_a_gate_that_is_not_finite_at_the_origin_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    # z = 0 is no rare logit: gate_init "zero" starts every site there.
    with pytest.raises(UsageError, match=r"not finite at z = -?0$"):
        require_usable(gate_of(function))


@pytest.mark.parametrize(
    "function",
    [lambda z: torch.from_numpy(np.tanh(z.numpy())), torch.Tensor.tanh_],
    ids=["by numpy", "in place"],
)
def test_a_gate_that_works_on_numbers_but_not_under_autograd_is_a_usage_error(
    function: Callable[[Tensor], Tensor],
) -> None:
    with pytest.raises(UsageError, match=r"^gate 'mine' fails"):
        require_usable(gate_of(function))


def test_source_hash_is_the_sha256_of_the_source() -> None:
    # printf abc | sha256sum
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Gate(name="x", build=nn.Identity, source="abc").source_sha256 == known
    assert len({gate.source_sha256 for gate in GATES}) == len(REFERENCE)


def test_values_and_slopes_leave_no_graph_and_no_gradient_behind() -> None:
    module = GATES.get("learned-depth").build()
    z = torch.zeros(3, requires_grad=True)
    with torch.no_grad():
        g, slopes = values_and_slopes(module, z)
    assert not g.requires_grad
    assert not slopes.requires_grad
    assert z.grad is None
    assert next(module.parameters()).grad is None
    torch.testing.assert_close(slopes, torch.full((3,), 0.25))


@pytest.mark.slow
def test_examine_with_torch_compile() -> None:
    report = examine(GATES.get("tanh"), try_compile=True)
    assert report.compiles is True
    assert report.passed
