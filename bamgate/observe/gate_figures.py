"""What the gates of a network do: figures by site, taken on a fixed batch of test images.

Read where the gate is applied, so a figure cannot disagree with what the network computes. A map of more than
MAX_VALUES logits is read at hashed places, one in each block of k, and the row says how many of how many were read
and how far the figures may be off for it.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bamgate.attention import AttentionModule, Scale
from bamgate.errors import GateError
from bamgate.gates.elementwise import RULE
from bamgate.gates.gate import applied, values_and_slopes
from bamgate.networks.insertion import in_evaluation, same_draws
from bamgate.networks.sites import Site, find_sites
from bamgate.observe.capture import Passage, capture
from bamgate.record.tables import SCALE_EDGES
from bamgate.seeding import hashed_integers, stream_key

MAX_VALUES = 1 << 20
ALONE = 8  # values of a site that are computed once more, each of them alone
SATURATED_BELOW = 0.05  # of the gate's steepest slope
QUANTILES = {"q01": 0.01, "q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95, "q99": 0.99}
_SLOPE_GRID = torch.linspace(-12, 12, 2401)

Figures = dict[str, Any]


def probe_gates(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    masks: Tensor | None,
    *,
    autocast: AbstractContextManager[Any],
    batch_statistics: bool = False,
    loss: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None = None,
) -> list[Figures]:
    """One dictionary of figures a site, in the network's order; weights and buffers are left as they were,
    gradients are cleared, also if something fails.

    Args:
        x, labels: B, C, H, W and B.
        masks: bool B, H, W, true on the object, or None.
        autocast: the precision that the network is trained in.
        batch_statistics: batch norms use this batch's statistics, for a network that has not seen any yet.
        loss: of the network, x and labels, whose gradient is taken; cross-entropy by default.

    Raises:
        GateError: a gate gives other scales in the network than for a few of its logits alone.
        UsageError: a forward pass does not pass each site once.
    """
    with _undisturbed(model):
        with in_evaluation(model):
            # Norms alone: dropout would make the figures random.
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.train(batch_statistics)
            # Figures are made at each site as it is passed, so that no two maps are kept.
            with capture(model, ("logits", "scales", "branches"), keep=partial(_figures, masks)) as seen:
                value = (loss or _cross_entropy)(_answering(model, autocast), x, labels)
            value.backward()  # type: ignore[no-untyped-call]
        sites, trunk = find_sites(model), _trunk_gradient(model)
        found = _fetched([seen[site.name] | _gradients(site, trunk) for site in sites])
        for row in found:
            if row.pop("apart"):
                raise GateError(f"the gate at {row['site']} gives other values in the network than alone; {RULE}")
        return [_with_texts(row, site.scale) for row, site in zip(found, sites, strict=True)]


@contextlib.contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Buffers and generators of random numbers are as before afterwards, and gradients cleared, whatever happens."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        model.zero_grad(set_to_none=True)  # the last training step's are still there
        with same_draws(model):
            yield
    finally:
        model.zero_grad(set_to_none=True)
        for buffer, before in buffers:
            buffer.copy_(before)


def _answering(model: nn.Module, autocast: AbstractContextManager[Any]) -> Callable[[Tensor], Tensor]:
    def answers(x: Tensor) -> Tensor:
        with autocast:
            found: Tensor = model(x).float()
        return found

    return answers


def _cross_entropy(forward: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(forward(x), labels)


def _fetched(rows: list[Figures]) -> list[Figures]:
    """The rows with plain numbers for the tensors in them, which come from the device at once: each would be a wait."""
    held = [value for row in rows for value in row.values() if isinstance(value, Tensor)]
    if not held:
        return rows
    numbers = iter(torch.cat([value.double().flatten() for value in held]).tolist())

    def plain(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        found = [next(numbers) for _ in range(value.numel())]
        found = found if value.is_floating_point() else [int(number) for number in found]
        return found if value.ndim else found[0]

    return [{name: plain(value) for name, value in row.items()} for row in rows]


def _with_texts(row: Figures, scale: Scale) -> Figures:
    """The row with the texts that gates.csv has for lists of numbers."""
    names = [name for name, p in scale.gate.named_parameters() if p.numel() == 1]
    learned = ";".join(f"{name}={value:.6g}" for name, value in zip(names, row["learned"], strict=True))
    return {**row, "histogram": " ".join(map(str, row["histogram"])), "learned": learned}


def _figures(masks: Tensor | None, passage: Passage) -> Figures:
    z, s = passage.logits, passage.scales
    described = _describe(passage.site.scale, passage.site.name, z, s)
    sds = {f"{name}_sd": branch.float().std(correction=0) for name, branch in passage.branches.items()}
    shape = {"channels": z.shape[1], "height": z.shape[2], "width": z.shape[3]}
    return {"site": passage.site.name, **shape, **described, **sds, **_on_object(s, masks)}


def read_places(site: str, count: int, device: torch.device | None = None) -> Tensor:
    """Where a map of `count` values is read, as rising places in its order B, C, H, W; all of it where it is small.

    Else one place in each block of k neighbours, hashed from the site's name and the block's number: every value has
    the same chance, no period of the map can fall in step with them, and they are the same everywhere.
    """
    block = -(-count // MAX_VALUES)
    blocks = torch.arange(-(-count // block), device=device)
    if block == 1:
        return blocks
    key = stream_key(0, f"probe of {site}")
    last = int(hashed_integers(key, torch.tensor(len(blocks) - 1), block))  # the last block may be cut short
    if (len(blocks) - 1) * block + last >= count:
        blocks = blocks[:-1]
    return blocks * block + hashed_integers(key, blocks, block)


def _read(site: str, values: Tensor) -> Tensor:
    """The values at `read_places`, in fp32 at least; the map may lie in memory in any order and is not copied."""
    places = read_places(site, values.numel(), values.device)
    read = values[torch.unravel_index(places, values.shape)]
    return read if read.dtype == torch.float64 else read.float()


def _standard_error(read: Tensor, count: int) -> Tensor | float:
    """Of the mean over `read` as an estimate of the mean over all `count` values; 0 where all were read.

    One value a block: the variance comes from differences of neighbouring blocks, which can only make it larger
    (collapsed strata; Cochran 1977, Sampling Techniques, 5A.12).
    """
    if len(read) == count:
        return 0.0
    pairs = read[: len(read) // 2 * 2].double().view(-1, 2)
    return (pairs[:, 0] - pairs[:, 1]).square().sum().sqrt() / len(read)


def _describe(scale: Scale, site: str, z: Tensor, s: Tensor) -> Figures:
    count, z, s = s.numel(), _read(site, z), _read(site, s)
    mean = s.mean()
    _, slopes = values_and_slopes(scale.gate, z)
    _, steepest = values_and_slopes(scale.gate, _SLOPE_GRID.to(z.device))
    ordered = s.sort().values
    learned = [p.detach().reshape(()) for p in scale.gate.parameters() if p.numel() == 1]
    return {
        "values": s.numel(),
        "mean": mean,
        "sd": s.std(correction=0),
        "min": ordered[0],
        **{name: _quantile(ordered, q) for name, q in QUANTILES.items()},
        "max": ordered[-1],
        "histogram": _histogram(ordered),
        "attenuated": (s < 1).sum(),
        "relatively_attenuated": (s < mean).sum(),
        "saturated": (slopes.abs() < SATURATED_BELOW * steepest.abs().max()).sum(),
        "mean_slope": slopes.mean(),
        "logit_mean": z.mean(),
        "logit_sd": z.std(correction=0),
        "map_values": count,
        "mean_se": _standard_error(s, count),
        "attenuated_se": _standard_error(s < 1, count),
        "learned": torch.stack(learned) if learned else [],
        "apart": _apart(scale, z, s, slopes),
    }


def _apart(scale: Scale, z: Tensor, s: Tensor, slopes: Tensor) -> Tensor:
    """Whether the gate gives other values for some logits alone than it gave them in the network.

    Code can tell where it stands by what it was given before, or by the size of a map; no trial beforehand sees that.
    """
    some = slice(None, None, -(-len(z) // ALONE))
    with torch.no_grad():
        g = torch.cat([applied(scale.gate, value) for value in torch.split(z[some], 1)])
    alone = 1 + g if scale.residual else g
    room = 1e-4 * (1 + s[some].abs()) + 1e-5 * (z * slopes)[some].abs()
    return ((alone - s[some]).abs() > room).any()


def _histogram(ordered: Tensor) -> Tensor:
    """Counts of s in the bins of SCALE_EDGES, each from its lower edge on, with one bin below and one above."""
    edges = torch.tensor(SCALE_EDGES).to(ordered.device, non_blocking=True)
    return F.pad(F.pad(torch.searchsorted(ordered, edges), (1, 0)), (0, 1), value=len(ordered)).diff()


def _quantile(ordered: Tensor, q: float) -> Tensor:
    """Linear interpolation between order statistics (torch.quantile refuses large inputs)."""
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _on_object(s: Tensor, masks: Tensor | None) -> Figures:
    """Mean scale on and off the object, weighted by how much of each position the object covers."""
    if masks is None or s.shape[2] * s.shape[3] == 1:
        return {"on_object": None, "off_object": None}
    on = F.adaptive_avg_pool2d(masks[:, None].float(), (s.shape[2], s.shape[3]))
    plane = s.mean(dim=1, keepdim=True)
    return {
        "on_object": (plane * on).sum() / on.sum(),
        "off_object": (plane * (1 - on)).sum() / (1 - on).sum(),
    }


def _trunk_gradient(model: nn.Module) -> Tensor | float:
    """Norm of the loss's gradient in the trunk: all that is no attention."""
    attention = {
        id(p) for module in model.modules() if isinstance(module, AttentionModule) for p in module.parameters()
    }
    return _gradient_norm([p for p in model.parameters() if id(p) not in attention])


def _gradients(site: Site, trunk: Tensor | float) -> Figures:
    """Norm of the loss's gradient in the site's own parameters, and in the trunk."""
    return {"gradient_attention": _gradient_norm(list(site.around.parameters())), "gradient_trunk": trunk}


def _gradient_norm(parameters: list[nn.Parameter]) -> Tensor | float:
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).norm() if norms else 0.0
