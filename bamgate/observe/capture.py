"""What passes a network's sites in a forward pass: the one place that puts hooks on attention to look at it.

    with capture(model, want=("logits", "channel")) as seen:
        model(x)
    for site, passage in seen.items():
        passage.logits, passage.channel

Shapes: B images, C channels, H x W positions. The pass may be in training or evaluation mode and under autocast; what
is handed over is what the network computed, in the dtype that it has there.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args, overload

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bamgate.attention import BAM, SqueezeExcitation
from bamgate.attention.cbam import ChannelAttention, SpatialAttention
from bamgate.errors import UsageError, unknown
from bamgate.networks.sites import Site, find_sites

Part = Literal["logits", "scales", "channel", "spatial", "branches", "before", "after"]
PARTS: tuple[Part, ...] = get_args(Part)
IN_GRAPH: tuple[Part, ...] = ("logits", "scales", "branches")  # what a loss depends on as it is handed over
_Kept = TypeVar("_Kept")


@dataclass(frozen=True, kw_only=True, eq=False)
class Passage:
    """One pass of a batch through one site. A part that was not wanted is an error.

    Args:
        site: the site, with its modules.
        parts: what was wanted.
    """

    site: Site
    parts: Mapping[Part, Any]

    @property
    def logits(self) -> Tensor:
        """z as the gate got it: B, C, H, W; B, C, 1, 1 for a channel vector alone; B, 1, H, W for a plane alone.

        Under bf16 autocast it is bf16 if the layer before it computes in that.
        """
        return self._part("logits")  # type: ignore[no-any-return]

    @property
    def scales(self) -> Tensor:
        """s, in the shape of z: fp32 under any autocast, fp64 if z is."""
        return self._part("scales")  # type: ignore[no-any-return]

    @property
    def channel(self) -> Tensor | None:
        """The channel vector: B, C; None if the module has none.

        Of a BAM it is Mc, of an SE and of the channel half of a CBAM z.
        """
        return self._part("channel")  # type: ignore[no-any-return]

    @property
    def spatial(self) -> Tensor | None:
        """The spatial plane: B, H, W; None if the module has none. Of a BAM it is Ms, of a CBAM's spatial half z.

        BAM's layout "counted" gives each channel a scale and a shift of the one plane: it is the mean of them. A BAM
        with branches "full" has a map for each channel, and no plane.
        """
        return self._part("spatial")  # type: ignore[no-any-return]

    @property
    def branches(self) -> dict[str, Tensor]:
        """What the branches of a BAM put out, "channel" B, C, 1, 1 and "spatial" B, n, H, W; empty for all others."""
        return self._part("branches")  # type: ignore[no-any-return]

    @property
    def before(self) -> Tensor:
        """The features that went into the module around the gate: B, C, H, W, a copy."""
        return self._part("before")  # type: ignore[no-any-return]

    @property
    def after(self) -> Tensor:
        """The features that it put out: B, C, H, W, a copy, since a network may go on in place."""
        return self._part("after")  # type: ignore[no-any-return]

    def _part(self, name: Part) -> Any:
        if name not in self.parts:
            raise UsageError(f"{name} of site {self.site.name!r} was not captured (wanted: {', '.join(self.parts)})")
        return self.parts[name]


class Seen(Generic[_Kept]):
    """What was kept of each passage, by site and in the network's order; it outlives the capture."""

    def __init__(self, names: Sequence[str]) -> None:
        self._kept: dict[str, list[_Kept]] = {name: [] for name in names}

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def passages(self, site: str) -> list[_Kept]:
        """All passages of a site in their order: none if it was not reached, several if it is called several times."""
        if site not in self._kept:
            raise unknown("site", site, self._kept)
        return self._kept[site]

    def __getitem__(self, site: str) -> _Kept:
        """The only passage of a site; UsageError if there were none or several."""
        passages = self.passages(site)
        if len(passages) != 1:
            times = f"passed {len(passages)} times" if passages else "never passed"
            raise UsageError(f"site {site!r} was {times}; one passage was expected")
        return passages[0]

    def items(self) -> Iterator[tuple[str, _Kept]]:
        """(site, its only passage), as `[]` gives it."""
        return ((site, self[site]) for site in self)

    def _add(self, site: str, kept: _Kept) -> None:
        self._kept[site].append(kept)


@overload
def capture(
    model: nn.Module, want: Sequence[Part], *, gradients: bool = False
) -> AbstractContextManager[Seen[Passage]]: ...


@overload
def capture(
    model: nn.Module, want: Sequence[Part], *, keep: Callable[[Passage], _Kept], gradients: bool = False
) -> AbstractContextManager[Seen[_Kept]]: ...


@contextlib.contextmanager
def capture(
    model: nn.Module,
    want: Sequence[Part],
    *,
    keep: Callable[[Passage], Any] = lambda passage: passage,
    gradients: bool = False,
) -> Iterator[Seen[Any]]:
    """Watch every site in the forward passes that are made inside; the hooks are gone afterwards, whatever happens.

    A network that was compiled runs as it is written inside, since compiled code calls no hook that came later; its
    compiled code serves again afterwards. Captures may be nested.

    Args:
        want: the parts of a passage; nothing else is kept.
        keep: called at the site with each passage, gives what is kept in its place: a figure instead of a map.
        gradients: logits, scales and branches belong to the graph of the pass and have a `grad` after its `backward`;
            otherwise all parts are detached.

    Raises:
        UsageError: there is no such part, or it is none that a gradient goes through.
    """
    for part in want:
        if part not in (IN_GRAPH if gradients else PARTS):
            raise unknown("part with a gradient" if gradients else "part", part, IN_GRAPH if gradients else PARTS)
    sites = find_sites(model)
    seen: Seen[Any] = Seen([site.name for site in sites])
    handles: list[RemovableHandle] = []
    try:
        for site in sites:
            _Watch(site, want, gradients, lambda passage: seen._add(passage.site.name, keep(passage))).begin(handles)
        with _as_written():
            yield seen
    finally:
        for handle in handles:
            handle.remove()


def _as_written() -> AbstractContextManager[Any]:
    """Inside, torch runs without its compiled code; before its compiler is loaded there is none."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]


class _Watch:
    """The hooks of one site, and what they have found in a pass that has not left it yet."""

    def __init__(self, site: Site, want: Sequence[Part], gradients: bool, give: Callable[[Passage], None]) -> None:
        self.site, self.want, self.gradients, self.give = site, want, gradients, give
        self.found: dict[str, Tensor] = {}
        self.branches: dict[str, Tensor] = {}

    def begin(self, handles: list[RemovableHandle]) -> None:
        """Place the hooks that the wanted parts need: the scale's, and some around it."""
        scale, around = self.site.scale, self.site.around
        if set(self.want) - {"logits", "scales"}:
            handles.append(around.register_forward_pre_hook(self._enter, with_kwargs=True))
        if isinstance(around, BAM) and {"channel", "spatial", "branches"} & set(self.want):
            for name, branch in (("channel", around.channel), ("spatial", around.spatial)):
                if branch is not None:
                    handles.append(branch.register_forward_hook(self._of_branch(name)))
        handles.append(scale.register_forward_hook(self._scaled, with_kwargs=True))
        if "after" in self.want:
            handles.append(around.register_forward_hook(self._leave))

    def _enter(self, module: nn.Module, inputs: Any, named: Any) -> None:
        self._forget()
        if "before" in self.want:
            self.found["before"] = _first(inputs, named).detach().clone()

    def _of_branch(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.branches[name] = output

        return hook

    def _scaled(self, module: nn.Module, inputs: Any, named: Any, output: Tensor) -> None:
        self.found |= {"logits": _first(inputs, named), "scales": output}
        if "after" not in self.want:
            self._hand_over()

    def _leave(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if "scales" in self.found:  # else its gate was passed by
            self.found["after"] = output.detach().clone()
            self._hand_over()

    def _forget(self) -> None:
        self.found, self.branches = {}, {}

    def _hand_over(self) -> None:
        parts = {part: self._part(part) for part in self.want}
        self._forget()
        self.give(Passage(site=self.site, parts=parts))

    def _part(self, part: Part) -> Any:
        if part == "branches":
            return {name: self._as_wanted(branch) for name, branch in self.branches.items()}
        made = {"channel": self._channel, "spatial": self._spatial}
        tensor = made[part]() if part in made else self.found[part]
        return None if tensor is None else self._as_wanted(tensor)

    def _as_wanted(self, tensor: Tensor) -> Tensor:
        if not self.gradients:
            return tensor.detach()
        if tensor.requires_grad:
            tensor.retain_grad()
        return tensor

    def _channel(self) -> Tensor | None:
        around = self.site.around
        if isinstance(around, BAM):
            branch = self.branches.get("channel")
            return None if branch is None else branch.flatten(1)
        return self.found["logits"].flatten(1) if isinstance(around, SqueezeExcitation | ChannelAttention) else None

    def _spatial(self) -> Tensor | None:
        around = self.site.around
        if isinstance(around, BAM):
            branch = self.branches.get("spatial")
            if around.spatial is None or branch is None or around.spatial.final.out_channels > 1:
                return None
            return branch[:, 0] if branch.shape[1] == 1 else branch.mean(dim=1)
        return self.found["logits"][:, 0] if isinstance(around, SpatialAttention) else None


def _first(inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor:
    """What a module was called with, by place or by name."""
    first: Tensor = inputs[0] if inputs else next(iter(named.values()))
    return first
