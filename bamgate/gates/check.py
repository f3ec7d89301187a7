"""What a gate does, measured: `bamgate gates check`. Also the door that a user's gate has to pass."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bamgate.errors import UsageError, one_line
from bamgate.gates.gate import Gate, values_and_slopes
from bamgate.gates.identity import fingerprint

_WIDE = torch.arange(-2000, 2001, dtype=torch.float64) / 40  # 0 among them, exactly


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """Measured facts of a gate. `low` and `high` bound s = 1 + g over z in [-50, 50]."""

    name: str
    low: float
    high: float
    centre: float
    slope: float
    max_slope: float
    monotone: bool
    finite: bool
    learns: bool
    bf16: bool
    autocast: bool
    compiles: bool | None
    deterministic: bool
    parameters: int
    fingerprint: str

    @property
    def effect(self) -> str:
        """Whether F' = F * s can attenuate, amplify, or both."""
        can_attenuate, can_amplify = self.low < 1 - 1e-6, self.high > 1 + 1e-6
        flips = ", and flips signs" if self.low < -1e-6 else ""
        words = {(True, True): "attenuates and amplifies", (True, False): "only attenuates"}
        words |= {(False, True): "only amplifies", (False, False): "changes nothing"}
        return words[can_attenuate, can_amplify] + flips

    @property
    def passed(self) -> bool:
        return (
            self.finite
            and self.learns
            and self.bf16
            and self.autocast
            and self.deterministic
            and self.compiles is not False
        )


def require_usable(gate: Gate) -> Gate:
    """Try the gate on a small feature map; UsageError where shape, dtype or values are not a gate's."""
    z = torch.arange(-60, 60).div(2).reshape(2, 3, 4, 5)
    try:
        module = gate.sample()
        g = module(z)
        values, slopes = values_and_slopes(module, z) if isinstance(g, Tensor) else (z, z)
    except (Exception, SystemExit) as error:  # whatever a user's code raises is one line here
        raise UsageError(f"gate {gate.name!r} fails on a (2, 3, 4, 5) tensor: {one_line(error)}") from error
    if not isinstance(g, Tensor):
        raise UsageError(f"gate {gate.name!r} must return a tensor, got {type(g).__name__}")
    if g.shape != z.shape:
        raise UsageError(f"gate {gate.name!r} must keep the shape: got {tuple(g.shape)} for {tuple(z.shape)}")
    if g.dtype != z.dtype:
        raise UsageError(f"gate {gate.name!r} must keep the dtype: got {g.dtype} for {z.dtype}")
    if not torch.equal(g.detach(), values) and bool(g.isfinite().all()):
        raise UsageError(f"gate {gate.name!r} gives different values for the same input; a run could not be repeated")
    for what, numbers in (("value", values), ("gradient", slopes)):
        if not numbers.isfinite().all():
            worst = float(z.flatten()[int((~numbers.isfinite()).flatten().nonzero()[0])])
            raise UsageError(f"gate {gate.name!r} gives a {what} that is not finite at z = {worst:.3g}")
    return gate


def examine(gate: Gate, *, try_compile: bool = False) -> GateReport:
    """Measure a gate; `try_compile` also runs torch.compile, which takes seconds."""
    module = gate.sample()
    g, slopes = values_and_slopes(module.double(), _WIDE)
    origin = torch.zeros(1, dtype=torch.float64)
    g0, slope0 = values_and_slopes(module, origin)
    module = module.float()
    steps = g.diff()
    return GateReport(
        name=gate.name,
        low=1 + float(g.min()),
        high=1 + float(g.max()),
        centre=1 + float(g0),
        slope=float(slope0),
        max_slope=float(slopes.abs().max()),
        monotone=bool((steps >= -1e-12).all() or (steps <= 1e-12).all()),
        finite=bool(g.isfinite().all() and slopes.isfinite().all()),
        learns=bool((slopes != 0).any() or (g == g[0]).all()),
        bf16=_survives(lambda: _low_precision(gate)),
        autocast=_survives(lambda: _under_autocast(module)),
        compiles=_survives(lambda: _compiled(module)) if try_compile else None,
        deterministic=bool(torch.equal(module(_WIDE.float()), module(_WIDE.float()))),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        fingerprint=fingerprint(gate),
    )


def _survives(trial: Callable[[], bool]) -> bool:
    try:
        return trial()
    except Exception:  # the answer is "no", whatever the reason
        return False


def _low_precision(gate: Gate) -> bool:
    z = _WIDE.to(torch.bfloat16)
    g = gate.sample().to(torch.bfloat16)(z)
    return g.dtype == torch.bfloat16 and bool(g.isfinite().all())


def _under_autocast(module: nn.Module) -> bool:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return bool(module(_WIDE.float()).isfinite().all())


def _compiled(module: nn.Module) -> bool:
    z = _WIDE.float()
    compiled: Tensor = torch.compile(module)(z)
    return torch.allclose(compiled, module(z), atol=1e-5)


def tanh_form_error(gate: Gate) -> float:
    """Largest |s(z) - c (1 + depth tanh(k z))| over the grid; NaN where the gate states no form."""
    if gate.form is None:
        return math.nan
    g, _ = values_and_slopes(gate.sample().double(), _WIDE)
    form = gate.form
    return float((1 + g - form.c * (1 + form.depth * torch.tanh(form.k * _WIDE))).abs().max())
