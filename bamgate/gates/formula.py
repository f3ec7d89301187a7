"""Gates as formulas: `expr:2*sigmoid(2*z)-1`. Python parses the text, a whitelist reads the tree; nothing is executed.

The language: numbers, z, pi, e, + - * / **, parentheses, and the functions in FUNCTIONS. An exponent is a
plain number of at most 8, so that a formula cannot stack powers until it runs out of memory.
"""

import ast
import math
import re
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bamgate.errors import UsageError, unknown

# Python's parser is recursive and may run out of stack on deep nesting; these bounds keep every text far from that.
MAX_LENGTH = 300
MAX_DEPTH = 24
MAX_EXPONENT = 8

Value = Tensor | float
Node = Callable[[Tensor], Value]


def _tensor(function: Callable[[Tensor], Tensor]) -> Callable[..., Value]:
    """Extend `function` from tensors to plain numbers, such as in tanh(1)*z; they are computed in float64."""

    def apply(x: Value) -> Value:
        if isinstance(x, Tensor):
            return function(x)
        return float(function(torch.tensor(x, dtype=torch.float64)))

    return apply


# torch.minimum takes two tensors, clamp a tensor and a number; which of the arguments are tensors shows only here.
def _minimum(x: Value, y: Value) -> Value:
    if isinstance(x, Tensor):
        return torch.minimum(x, y) if isinstance(y, Tensor) else x.clamp(max=y)
    return y.clamp(max=x) if isinstance(y, Tensor) else min(x, y)


def _maximum(x: Value, y: Value) -> Value:
    if isinstance(x, Tensor):
        return torch.maximum(x, y) if isinstance(y, Tensor) else x.clamp(min=y)
    return y.clamp(min=x) if isinstance(y, Tensor) else max(x, y)


# name -> (number of arguments, function)
FUNCTIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    "sigmoid": (1, _tensor(torch.sigmoid)),
    "tanh": (1, _tensor(torch.tanh)),
    "softsign": (1, _tensor(F.softsign)),
    "softplus": (1, _tensor(F.softplus)),
    "relu": (1, _tensor(F.relu)),
    "exp": (1, _tensor(torch.exp)),
    "log": (1, _tensor(torch.log)),
    "sqrt": (1, _tensor(torch.sqrt)),
    "abs": (1, _tensor(torch.abs)),
    "sin": (1, _tensor(torch.sin)),
    "cos": (1, _tensor(torch.cos)),
    "arctan": (1, _tensor(torch.atan)),
    "erf": (1, _tensor(torch.erf)),
    "min": (2, _minimum),
    "max": (2, _maximum),
    "clip": (3, lambda x, low, high: _minimum(_maximum(x, low), high)),
}
CONSTANTS = {"pi": math.pi, "e": math.e}
OPERATORS: dict[type, Callable[[Value, Value], Value]] = {
    ast.Add: lambda x, y: x + y,
    ast.Sub: lambda x, y: x - y,
    ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: x / y,
}


def parse_formula(text: str) -> tuple[str, Callable[[Tensor], Tensor]]:
    """The formula in normal form, and its function z -> g(z).

    Raises:
        UsageError: the text is not in the language. None of it is executed.
    """
    shown = text if len(text) <= 60 else text[:57] + "..."
    if len(text) > MAX_LENGTH:
        raise UsageError(f"formula {shown!r} has {len(text)} characters (at most {MAX_LENGTH})")
    # Python normalises identifiers: a full-width z would become z, and what is shown would not be what is read.
    if not text.isascii():
        raise UsageError(f"formula {shown!r} contains characters other than plain ASCII")
    # A row of signs nests as well, without parentheses.
    if _nesting(text) > MAX_DEPTH or re.search(r"[-+~]{9}", re.sub(r"\s", "", text)):
        raise UsageError(f"formula {shown!r} is nested too deeply (at most {MAX_DEPTH} levels)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "1if z", which is refused below with a message of our own
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"formula {shown!r} cannot be read; write it as in expr:2*sigmoid(2*z)-1") from None
    if not any(isinstance(node, ast.Name) and node.id == "z" for node in ast.walk(tree)):
        raise UsageError(f"formula {shown!r} does not contain z, the logit")
    try:
        return ast.unparse(tree), _as_gate(_read(tree, shown, 0))
    except RecursionError:
        raise UsageError(f"formula {shown!r} is nested too deeply") from None


def _as_gate(node: Node) -> Callable[[Tensor], Tensor]:
    def formula(z: Tensor) -> Tensor:
        value = node(z)
        return value if isinstance(value, Tensor) else torch.full_like(z, value)

    return formula


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _read(node: ast.expr, shown: str, depth: int) -> Node:
    """The function for one node of the tree; UsageError for a node that is not on the whitelist."""
    if depth > MAX_LENGTH // 2:
        raise UsageError(f"formula {shown!r} is nested too deeply")
    # bool is a subclass of int: True would pass as 1.
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _number(node.value, shown)
    if isinstance(node, ast.Name):
        return _name(node.id, shown)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner, sign = _read(node.operand, shown, depth + 1), -1 if isinstance(node.op, ast.USub) else 1
        return lambda z: sign * inner(z)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(node, shown, depth)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        apply = OPERATORS[type(node.op)]
        left, right = _read(node.left, shown, depth + 1), _read(node.right, shown, depth + 1)
        return lambda z: apply(left(z), right(z))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _call(node.func.id, node.args, shown, depth)
    raise UsageError(f"formula {shown!r}: {ast.unparse(node)!r} is not allowed (only {_language()})")


def _number(value: float, shown: str) -> Node:
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not math.isfinite(number) or abs(number) > 1e6:
        raise UsageError(f"formula {shown!r}: a number may be at most 1e6")
    return lambda z: number


def _name(name: str, shown: str) -> Node:
    if name == "z":
        return lambda z: z
    if name in CONSTANTS:
        value = CONSTANTS[name]
        return lambda z: value
    raise UsageError(f"formula {shown!r}: {unknown('name', name, ['z', *CONSTANTS, *FUNCTIONS])}")


def _power(node: ast.BinOp, shown: str, depth: int) -> Node:
    exponent = node.right
    sign = 1
    if isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub):
        exponent, sign = exponent.operand, -1
    number = exponent.value if isinstance(exponent, ast.Constant) else None
    if not isinstance(number, int | float) or isinstance(number, bool) or abs(number) > MAX_EXPONENT:
        raise UsageError(f"formula {shown!r}: an exponent must be a plain number of at most {MAX_EXPONENT}")
    base, power = _read(node.left, shown, depth + 1), sign * number
    return lambda z: base(z) ** power


def _call(name: str, arguments: list[ast.expr], shown: str, depth: int) -> Node:
    if name not in FUNCTIONS:
        raise UsageError(f"formula {shown!r}: {unknown('function', name, FUNCTIONS)}")
    count, function = FUNCTIONS[name]
    if len(arguments) != count:
        raise UsageError(f"formula {shown!r}: {name} takes {count} argument{'s'[: count > 1]}, got {len(arguments)}")
    parts = [_read(argument, shown, depth + 1) for argument in arguments]
    if name == "clip":
        _check_bounds(parts[1:], arguments, shown)
    return lambda z: function(*(part(z) for part in parts))


def _check_bounds(bounds: list[Node], arguments: list[ast.expr], shown: str) -> None:
    """UsageError if the bounds of clip are constant and swapped: the lower one would have no effect."""
    if any(isinstance(node, ast.Name) and node.id == "z" for bound in arguments[1:] for node in ast.walk(bound)):
        return
    try:
        low, high = (float(bound(torch.zeros(()))) for bound in bounds)
    except (ArithmeticError, ValueError):
        return  # the trial of the gate reports it
    if low > high:
        clip = ", ".join(map(ast.unparse, arguments))
        raise UsageError(
            f"formula {shown!r}: in clip({clip}) the lower bound {low:g} is above the upper bound {high:g}"
        )


def _language() -> str:
    return f"numbers, z, pi, e, + - * / **, parentheses and {', '.join(FUNCTIONS)}"
