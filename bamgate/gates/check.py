"""Measurements of a gate, as `bamgate gates check` shows them, and whether it can be used at all."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.gates.elementwise import require_elementwise
from bamgate.gates.gate import Gate, values_and_slopes
from bamgate.gates.identity import fingerprint

# Logits from -50 to 50 as a map of one image and one channel. From integers, so that 0 is among them exactly.
_WIDE = torch.arange(-2000, 2001, dtype=torch.float64).view(1, 1, 1, -1) / 40


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """Measured facts of a gate.

    Args:
        low, high: smallest and largest s = 1 + g over z in [-50, 50].
        centre, slope: s(0) and s'(0).
        max_slope: largest |s'| on the same grid.
        finite: values and slopes, in fp64 on the grid and in fp32 up to |z| = 100.
        learns: some slope is not 0, or the gate is constant.
        bf16, autocast: it computes in bf16, and under bf16 autocast.
        compiles: torch.compile gives the same values; None if that was not tried.
        parameters: how many numbers it learns.
    """

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
        """Whether F' = F * s can attenuate, amplify, or both, in words."""
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
    """Return the gate; UsageError unless it is elementwise, pure and, up to |z| = 30, finite with a finite gradient."""
    require_elementwise(gate.build, gate.name)
    z = torch.arange(-60, 61).div(2)
    for what, numbers in zip(("value", "gradient"), values_and_slopes(gate.sample(), z), strict=True):
        if not numbers.isfinite().all():
            worst = float(z[int((~numbers.isfinite()).nonzero()[0])])
            raise UsageError(f"gate {gate.name!r} gives a {what} that is not finite at z = {worst:.3g}")
    return gate


def examine(gate: Gate, *, try_compile: bool = False) -> GateReport:
    """Measure a gate; `try_compile` also runs torch.compile, which takes seconds."""
    module = gate.sample()
    g, slopes = values_and_slopes(module.double(), _WIDE)
    origin = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    g0, slope0 = values_and_slopes(module, origin)
    module = module.float()
    steps = g.flatten().diff()
    return GateReport(
        name=gate.name,
        low=1 + float(g.min()),
        high=1 + float(g.max()),
        centre=1 + float(g0),
        slope=float(slope0),
        max_slope=float(slopes.abs().max()),
        # Saturated tails step up and down by rounding.
        monotone=bool((steps >= -1e-12).all() or (steps <= 1e-12).all()),
        finite=bool(g.isfinite().all() and slopes.isfinite().all()) and _finite_far_out(module),
        # A value that changes without a slope, as of round(z), would leave the attention module untrained.
        learns=bool((slopes != 0).any() or (g == g.flatten()[0]).all()),
        bf16=_survives(lambda: _low_precision(gate)),
        autocast=_survives(lambda: _under_autocast(module)),
        compiles=_survives(lambda: _compiled(module)) if try_compile else None,
        deterministic=bool(torch.equal(module(_WIDE.float()), module(_WIDE.float()))),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        fingerprint=fingerprint(gate),
    )


def _finite_far_out(module: nn.Module) -> bool:
    """Whether values and slopes are finite in fp32, in which exp overflows beyond 88.

    The logits of a network may grow that large while it diverges.
    """
    return all(bool(numbers.isfinite().all()) for numbers in values_and_slopes(module, torch.linspace(-100, 100, 401)))


def _survives(trial: Callable[[], bool]) -> bool:
    try:
        return trial()
    except Exception:  # the gate is a user's code and may raise anything; the answer is "no" in each case
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
    """Largest |s(z) - c (1 + depth tanh(k z))| over z in [-50, 50]; NaN if the gate states no such form."""
    if gate.form is None:
        return math.nan
    g, _ = values_and_slopes(gate.sample().double(), _WIDE)
    form = gate.form
    return float((1 + g - form.c * (1 + form.depth * torch.tanh(form.k * _WIDE))).abs().max())
