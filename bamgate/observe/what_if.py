"""The same weights under other gates: how much does a network lean on its gates?"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bamgate.errors import UsageError, unknown
from bamgate.gates import Gate
from bamgate.gates.elementwise import require_elementwise
from bamgate.networks.insertion import in_evaluation, same_draws
from bamgate.networks.sites import gate_sites
from bamgate.observe.capture import Passage, capture
from bamgate.seeding import drawing_from

PART = 1 << 22  # values that are in float64 at once


class Answers(NamedTuple):
    """Logits N, K and labels N on the CPU, and the mean scale at each site over all images."""

    logits: Tensor
    labels: Tensor
    mean_scales: dict[str, float]


class Constant(nn.Module):
    """A gate whose value does not depend on the logit."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, z: Tensor) -> Tensor:
        return torch.full_like(z, self.value)


@torch.no_grad()
def answers_of(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], autocast: AbstractContextManager[Any] | None = None
) -> Answers:
    """One pass in evaluation mode over batches of (x, labels).

    Raises:
        UsageError: a forward pass does not pass each site once.
    """
    sums: dict[str, list[Tensor]] = {name: [] for name in gate_sites(model)}
    logits, labels = [], []
    with in_evaluation(model), same_draws(model):
        for x, truth in batches:
            with capture(model, ("scales",), keep=_sum_of_means) as seen, autocast or contextlib.nullcontext():
                logits.append(model(x).float())
            labels.append(truth)
            for name, total in seen.items():
                sums[name].append(total)
    return Answers(torch.cat(logits).cpu(), torch.cat(labels).cpu(), _mean_scales(sums, sum(map(len, logits))))


def _sum_of_means(passage: Passage) -> Tensor:
    """The sum over images of each one's mean scale, on the device."""
    scales = passage.scales
    # Maps of one size a site, so the mean over images is the mean over values. In float64 a part at a time.
    images = max(1, PART // scales[0].numel())
    total = torch.stack([part.sum(dtype=torch.float64) for part in torch.split(scales, images)]).sum()
    return total / scales[0].numel()


def _mean_scales(sums: Mapping[str, list[Tensor]], images: int) -> dict[str, float]:
    """Over all images; the numbers come from the device at once."""
    if not sums:
        return {}
    means = torch.stack([torch.stack(of_site).sum() / images for of_site in sums.values()])
    return dict(zip(sums, means.tolist(), strict=True))


@contextlib.contextmanager
def _gates(model: nn.Module, replacements: Mapping[str, nn.Module]) -> Iterator[None]:
    sites = gate_sites(model)
    before = {name: sites[name].gate for name in replacements}
    try:
        for name, gate in replacements.items():
            sites[name].gate = gate
        yield
    finally:
        for name, gate in before.items():
            sites[name].gate = gate


def regated(model: nn.Module, gate: Gate) -> AbstractContextManager[None]:
    """Every site has `gate` meanwhile; UsageError where it is not elementwise, or keeps state."""
    require_elementwise(gate.build, gate.name)
    device = next(model.parameters()).device
    with drawing_from(0):  # what a gate draws at its start is the same each time
        gates = {name: gate.build().to(device) for name in gate_sites(model)}
    return _gates(model, gates)


def switched_off(model: nn.Module, sites: Iterable[str]) -> AbstractContextManager[None]:
    """s = 1 at the sites meanwhile: the map passes as it came."""
    return held(model, dict.fromkeys(sites, 1.0))


def held(model: nn.Module, scales: Mapping[str, float]) -> AbstractContextManager[None]:
    """s is one number at each of the sites meanwhile, whatever the image."""
    found = gate_sites(model)
    return _gates(model, {name: Constant(s - 1 if found[name].residual else s) for name, s in scales.items()})


def choose_sites(model: nn.Module, text: str) -> list[tuple[str, list[str]]]:
    """(name, sites) for "all", "each" (every one alone, then all) or names with commas; UsageError for others."""
    sites = list(gate_sites(model))
    if not sites:
        raise UsageError("this network has no gate to switch")
    everything = [("all sites", sites)] if len(sites) > 1 else []
    if text == "each":
        return [(site, [site]) for site in sites] + everything
    if text == "all":
        return everything or [(sites[0], sites)]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in sites:
            raise unknown("site", name, [*sites, "all", "each"])
    return [(", ".join(names), names)]
