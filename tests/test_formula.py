import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bamgate.errors import UsageError
from bamgate.gates import fingerprint, load_gate, parse_formula
from bamgate.gates.formula import CONSTANTS, FUNCTIONS

LANGUAGE = (
    "numbers, z, pi, e, + - * / **, parentheses and sigmoid, tanh, softsign, softplus, relu, exp, log, sqrt, abs, "
    "sin, cos, arctan, erf, min, max, clip"
)
Z = np.linspace(-3, 3, 61)
POSITIVE = np.linspace(0.1, 3, 30)


def value(text: str, z: np.ndarray = Z) -> np.ndarray:
    _, function = parse_formula(text)
    return function(torch.from_numpy(z)).numpy()


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_formula(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z": lambda z: z,
    "+z": lambda z: z,
    "-z": lambda z: -z,
    "--z": lambda z: z,
    "2*sigmoid(2*z)-1": np.tanh,
    "-z**2": lambda z: -(z * z),
    "(-z)**2": lambda z: z * z,
    "2-z-1": lambda z: 1 - z,
    "8/(2+z*z)/2": lambda z: 4 / (2 + z * z),
    "1+2*z": lambda z: 1 + 2 * z,
    "(1+2)*z": lambda z: 3 * z,
    "z**3": lambda z: z * z * z,
    "(z*z+1)**-2": lambda z: 1 / (z * z + 1) ** 2,
    "(z*z+1)**0.5": lambda z: np.sqrt(z * z + 1),
    "z**0": np.ones_like,
    "1e-3*z + .5": lambda z: z / 1000 + 0.5,
    "1000000*z": lambda z: 1e6 * z,
    "pi*z": lambda z: 3.141592653589793 * z,
    "e*z": lambda z: 2.718281828459045 * z,
    "0*z+sin(pi/2)": np.ones_like,
    "z*max(2, 3)*min(2, 3)*clip(9, 0, 1)": lambda z: 6 * z,
    "  tanh( z )  ": np.tanh,
}

ONE_ARGUMENT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "relu": lambda z: np.maximum(z, 0),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "arctan": np.arctan,
    "erf": np.vectorize(math.erf),
}

SEVERAL_ARGUMENTS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "min": ("min(z, 0.5)", lambda z: np.minimum(z, 0.5)),
    "max": ("max(-1, z)", lambda z: np.maximum(z, -1)),
    "clip": ("clip(z/6+1/2, 0, 1)", lambda z: np.clip(z / 6 + 0.5, 0, 1)),
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_equals_numpy(text: str) -> None:
    np.testing.assert_allclose(value(text), FORMULAS[text](Z), rtol=1e-12, atol=1e-12)


def test_every_allowed_function_has_its_reference_here() -> None:
    assert set(FUNCTIONS) == {*ONE_ARGUMENT, *SEVERAL_ARGUMENTS}
    assert CONSTANTS == {"pi": math.pi, "e": math.e}


@pytest.mark.parametrize("name", ONE_ARGUMENT)
def test_a_function_of_one_argument_equals_numpy_for_tensors_and_numbers(name: str) -> None:
    z = POSITIVE if name in ("log", "sqrt") else Z
    np.testing.assert_allclose(value(f"{name}(z)", z), ONE_ARGUMENT[name](z), rtol=1e-9, atol=1e-12)
    by_number = value(f"0*z+{name}(0.7)")
    np.testing.assert_allclose(by_number, np.full_like(Z, ONE_ARGUMENT[name](np.array(0.7))), rtol=1e-9)


@pytest.mark.parametrize("name", SEVERAL_ARGUMENTS)
def test_a_function_of_several_arguments_equals_numpy(name: str) -> None:
    text, reference = SEVERAL_ARGUMENTS[name]
    np.testing.assert_allclose(value(text), reference(Z), rtol=1e-12)


def test_bounds_may_be_tensors_too() -> None:
    np.testing.assert_allclose(value("min(z, -z)"), -np.abs(Z))
    np.testing.assert_allclose(value("clip(2*z, -abs(z), abs(z))"), Z)


def test_a_formula_keeps_dtype_and_shape_also_where_z_cancels() -> None:
    for text in ("z**0", "tanh(z)*pi", "max(z, 2)", "clip(z, 0, 1)", "0*z+sqrt(2)"):
        _, function = parse_formula(text)
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            g = function(torch.zeros(2, 3, 4, 5, dtype=dtype))
            assert (g.dtype, tuple(g.shape)) == (dtype, (2, 3, 4, 5))


def test_gradients_flow_through_a_formula() -> None:
    _, function = parse_formula("clip(z**3, -1, 1) + exp(-z*z)")
    z = torch.tensor([-2.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    function(z).sum().backward()
    by_hand = [4 * math.exp(-4), 3 * 0.25 - math.exp(-0.25), -4 * math.exp(-4)]
    np.testing.assert_allclose(z.grad, by_hand, rtol=1e-12)


def test_the_name_of_a_formula_is_its_normal_form() -> None:
    assert load_gate("expr: 2 * sigmoid( 2*z ) - 1").name == "expr:2*sigmoid(2*z)-1"
    assert load_gate("expr:2*sigmoid(2*z)-1").source_sha256 == load_gate("expr: 2*sigmoid( 2*z)- 1").source_sha256
    assert load_gate("expr:((z))").name == "expr:z"


def test_a_formula_of_a_built_in_gate_has_its_fingerprint_and_another_source() -> None:
    tanh, formula = load_gate("tanh"), load_gate("expr:2*sigmoid(2*z)-1")
    assert fingerprint(formula) == fingerprint(tanh)
    assert formula.source_sha256 != tanh.source_sha256


NOT_ALLOWED = [
    ("z.real", "z.real"),
    ("z.__class__", "z.__class__"),
    ("z[0]", "z[0]"),
    ("(lambda: z)()", None),
    ("lambda z: z", "lambda z: z"),
    ("[z for z in (1, 2)]", "[z for z in (1, 2)]"),
    ("sum(x for x in z)", None),
    ("(z, z)", "(z, z)"),
    ("{z}", "{z}"),
    ("z + 'a'", "'a'"),
    ("f'{z}'", "f'{z}'"),
    ("b'z'*z", "b'z'"),
    ("tanh(*z)", "*z"),
    ("(y := z)", "(y := z)"),
    ("z < 1", "z < 1"),
    ("z == z", "z == z"),
    ("z and 1", "z and 1"),
    ("not z", "not z"),
    ("~z", "~z"),
    ("z if z else 1", "z if z else 1"),
    ("z // 2", "z // 2"),
    ("z % 2", "z % 2"),
    ("z @ z", "z @ z"),
    ("z << 2", "z << 2"),
    ("z | 1", "z | 1"),
    ("True*z", "True"),
    ("None*z", "None"),
    ("...*z", "..."),
    ("1j*z", "1j"),
    ("await z", "await z"),
    ("tanh(z, x=1)", "tanh(z, x=1)"),
    ("tanh(**z)", "tanh(**z)"),
    ("z(z)", None),
    ("tanh(z)(z)", "tanh(z)(z)"),
    ("z.tanh()", "z.tanh()"),
]


@pytest.mark.parametrize(("text", "part"), NOT_ALLOWED, ids=[text for text, _ in NOT_ALLOWED])
def test_syntax_outside_the_language_is_refused(text: str, part: str | None) -> None:
    message = refusal(text)
    if part is not None:
        assert message == f"formula {text!r}: {part!r} is not allowed (only {LANGUAGE})"


@pytest.mark.parametrize(
    "text", ["", " ", "z z", "z=1", "z := 1", "z;z", "import os", "2z", "z +", "tanh z", "(z", "z\n+ 1", "z)", "\0z"]
)
def test_what_is_no_expression_is_refused_with_an_example(text: str) -> None:
    assert refusal(text) == f"formula {text!r} cannot be read; write it as in expr:2*sigmoid(2*z)-1"


def test_unknown_names_and_functions_get_the_nearest_guess() -> None:
    names = "z, pi, e, sigmoid, tanh, softsign, softplus, relu, exp, log, sqrt, abs, sin, cos, arctan, erf, min, max"
    assert refusal("2*z+pie") == f"formula '2*z+pie': unknown name 'pie'; did you mean 'pi'? (allowed: {names}, clip)"
    functions = names.removeprefix("z, pi, e, ")
    assert refusal("tahn(z)") == (
        f"formula 'tahn(z)': unknown function 'tahn'; did you mean 'tanh'? (allowed: {functions}, clip)"
    )
    assert refusal("Sigmoid(z)").startswith("formula 'Sigmoid(z)': unknown function 'Sigmoid'; did you mean 'sigmoid'?")
    assert refusal("z*qqq") == f"formula 'z*qqq': unknown name 'qqq' (allowed: {names}, clip)"
    assert refusal("tanh*z").startswith("formula 'tanh*z': unknown name 'tanh'")


def test_a_formula_without_z_or_with_the_wrong_number_of_arguments_is_refused() -> None:
    assert refusal("1+1") == "formula '1+1' does not contain z, the logit"
    assert refusal("tanh(Z)") == "formula 'tanh(Z)' does not contain z, the logit"
    assert refusal("tanh(z, z)") == "formula 'tanh(z, z)': tanh takes 1 argument, got 2"
    assert refusal("z*tanh()") == "formula 'z*tanh()': tanh takes 1 argument, got 0"
    assert refusal("clip(z)") == "formula 'clip(z)': clip takes 3 arguments, got 1"
    assert refusal("max(z)") == "formula 'max(z)': max takes 2 arguments, got 1"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {file}') + z",
        "__import__('pathlib').Path('{file}').touch() or z",
        "open('{file}', 'w') and z",
        "exec(\"open('{file}', 'w')\") + z",
        "eval(\"open('{file}', 'w')\") + z",
        "[z for x in [open('{file}', 'w')]]",
        "(lambda: open('{file}', 'w'))() + z",
        "z.__class__.__init__.__globals__['__builtins__']['open']('{file}', 'w')",
        "tanh(z, open('{file}', 'w'))",
        "tanh(open('{file}', 'w')) + z",
        "max(z, open('{file}', 'w'))",
        "print(z, file=open('{file}', 'w'))",
        "f\"{{open('{file}', 'w')}}\" + z",
        "(y := open('{file}', 'w')) + z",
        "z ** open('{file}', 'w').fileno()",
        "z if open('{file}', 'w') else z",
    ],
)
def test_nothing_of_a_refused_text_is_executed(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(text.format(file="X"))
    with pytest.raises(UsageError):
        load_gate("expr:" + text.format(file="X"))
    assert list(tmp_path.iterdir()) == []


def test_too_long_or_not_ascii() -> None:
    assert refusal("z" * 10_000) == f"formula {'z' * 57 + '...'!r} has 10000 characters (at most 300)"
    assert refusal("z" + " " * 300) == f"formula {'z' + ' ' * 56 + '...'!r} has 301 characters (at most 300)"
    assert (
        refusal("ｚ") == "formula 'ｚ' contains characters other than plain ASCII"
    )  # would become z in Python's parser
    assert refusal("z−1") == "formula 'z−1' contains characters other than plain ASCII"


@pytest.mark.parametrize(
    "text", ["z**9**9**9", "9**z", "z**9", "z**-9", "2**z", "z**(1+1)", "z**z", "z**pi", "z**True", "z**1j", "z**-(-2)"]
)
def test_an_exponent_is_a_small_plain_number(text: str) -> None:
    begin = time.perf_counter()
    assert refusal(text) == f"formula {text!r}: an exponent must be a plain number of at most 8"
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("number", ["1e999", "1000001", "-1000001", "9" * 200, "1e308*10"])
def test_a_number_is_at_most_a_million(number: str) -> None:
    assert refusal(f"{number}*z").endswith("a number may be at most 1e6")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100 + "z" + ")" * 100,
        "(" * 149 + "z" + ")" * 149,
        "(" * 299 + "z",
        "[" * 299 + "z",
        "tanh(" * 40 + "z" + ")" * 40,
        "-" * 299 + "z",
        "- " * 149 + "z",
        "+-" * 149 + "z",
        "~" * 299 + "z",
        "not " * 74 + "z",
        "z" + ".a" * 149,
        "z" + "[0]" * 99,
        "z" + "()" * 149,
        "z**" * 99 + "z",
        "lambda:" * 42 + "z",
        "z if z else " * 24 + "z",
        "z<" * 149 + "z",
    ],
    ids=lambda text: text[:12],
)
def test_deep_nests_are_refused_quickly_also_from_deep_in_a_program(text: str) -> None:
    def at_depth(frames: int) -> str:
        return at_depth(frames - 1) if frames else refusal(text)

    begin = time.perf_counter()
    # Python stops at 1000 frames; a command line or a test runner takes some before we are called.
    for frames in range(0, 301, 50):
        at_depth(frames)
    assert time.perf_counter() - begin < 1


def test_parentheses_as_deep_as_allowed_work() -> None:
    np.testing.assert_allclose(value("(" * 24 + "z" + ")" * 24), Z)
    message = "is nested too deeply (at most 24 levels)"
    assert refusal("(" * 25 + "z" + ")" * 25).endswith(message)


def test_a_long_chain_works_up_to_the_greatest_length() -> None:
    text = "+".join("z" * 150)  # 299 characters
    np.testing.assert_allclose(value(text), 150 * Z, rtol=1e-12)
    np.testing.assert_allclose(value("z" + "-1" * 149), Z - 149, rtol=1e-12)
    # A product of 150 factors at z = 1 and -1.
    np.testing.assert_allclose(value("*".join("z" * 150), np.array([1.0, -1.0])), [1.0, 1.0])


@pytest.mark.parametrize("text", ["1if z else 2", "'\\d'+z", "1and z", "1or z", "0x1for z in z"])
def test_a_refused_formula_is_one_line_and_no_warning_of_pythons_parser(text: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refusal(text)
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("text", ["1/0*z", "(-8)**0.5*z", "sqrt(-1)*z", "(1e6**8)**8*z", "abs((-1)**0.5)*z", "log(z)"])
def test_a_formula_without_finite_real_values_is_no_gate(text: str) -> None:
    parse_formula(text)
    with pytest.raises(UsageError, match=r"^gate 'expr:"):
        load_gate(f"expr:{text}")


alphabet = st.sampled_from(list("z019.+-*/()[]{},=:;'\"_ eijx<>!&|^~%@#\\\n\t") + list(FUNCTIONS) + ["**", "lambda "])
soup = st.lists(alphabet, max_size=120).map("".join) | st.text(max_size=320) | st.text(alphabet="(-z)*", max_size=300)


@settings(max_examples=400, deadline=2000)
@given(soup)
def test_random_text_is_a_formula_or_a_usage_error(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            name = load_gate("expr:" + text).name
        except UsageError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert "z" in name


numbers = st.integers(0, 1000).map(str) | st.floats(0, 1000, allow_nan=False).map(lambda x: f"{x:.3f}")
expressions = st.recursive(
    st.just("z") | numbers,
    lambda inner: (
        st.builds("({}{}{})".format, inner, st.sampled_from("+-*"), inner)
        | st.builds("{}{}{}".format, inner, st.sampled_from("+-*"), inner)
        | st.builds("-{}".format, inner.filter(lambda text: not text.startswith("-")))
    ),
    max_leaves=12,
).filter(lambda text: "z" in text and len(text) <= 300)


@settings(max_examples=200, deadline=2000)
@given(expressions)
def test_random_expressions_agree_with_numpy(text: str) -> None:
    # Python's own evaluation of a text that was put together here, of z, digits and + - * ( ) alone.
    with np.errstate(over="ignore", invalid="ignore"):
        expected = eval(text, {"__builtins__": {}}, {"z": Z}) * np.ones_like(Z)
    np.testing.assert_allclose(value(text), expected, rtol=1e-9, atol=1e-6 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip(z,1,0)", "formula 'clip(z,1,0)': in clip(z, 1, 0) the lower bound 1 is above the upper bound 0"),
        (
            "2*clip(z/2,pi,-e)+1",
            "formula '2*clip(z/2,pi,-e)+1': in clip(z / 2, pi, -e) the lower bound 3.14159 is above the upper bound "
            "-2.71828",
        ),
        ("clip(z, sqrt(4), 1/2)", None),
        ("clip(clip(z, 2, 1), -1, 1)", None),
    ],
)
def test_bounds_of_clip_the_wrong_way_round_are_refused(text: str, message: str | None) -> None:
    with pytest.raises(UsageError, match="lower bound") as caught:
        parse_formula(text)
    assert message is None or str(caught.value) == message


@pytest.mark.parametrize("text", ["clip(z,0,1)", "clip(z,1,1)", "clip(z,-z,z)", "clip(1,0,z)", "clip(z, -pi, 1e6)"])
def test_other_bounds_of_clip_are_read(text: str) -> None:
    assert parse_formula(text)[1](torch.zeros(3)).shape == (3,)
