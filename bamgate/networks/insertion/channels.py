"""Which dimension of a site's output holds the channels: found by evidence, not by its position.

Networks that keep their maps as B, H, W, C have outputs of four dimensions too. Two kinds of evidence tell the layouts
apart. First, with a less high image the map B, C, H, W gets less high, and C and W stay: a dimension that follows the
image's size does not hold channels. Second, for a network that takes images of one size only, its layers: a convolution
works on the second dimension, a linear layer on the last.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.networks.insertion.dry_run import Call, calls, dry_run

Shape = tuple[int, ...]
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
# Height and width of other images to try, as parts of the first. Height alone comes first, as it says most; 6/7 of 224
# is 192, which networks with windows or patches of fixed size often take. Then both, for networks that need square
# images.
_SIZES = (("6/7", "1"), ("1/2", "1"), ("2", "1"), ("6/7", "6/7"), ("1/2", "1/2"), ("2", "2"))


def of_sites(model: nn.Module, names: dict[str, str], x: Tensor) -> dict[str, int]:
    """The number of output channels of each site.

    Args:
        names: the name of a site, for errors -> the first name of its module in the network.
        x: an input of the network.

    Raises:
        UsageError: a site is not called exactly once in a forward pass, or its output is not a map B, C, H, W.
    """
    root = dry_run(model, x)
    sites = {name: _only_call(name, first, root) for name, first in names.items()}
    others, found = _Remembered(_of_another_size(model, x)), {}
    for name, site in sites.items():
        shape = _map_of(name, site, len(x))
        by_size = (_by_size(site, shape, other) for other in others)
        is_second = next((verdict for verdict in by_size if verdict is not None), None)
        if is_second is None:
            is_second = _by_layers(site, shape, root)
        if not is_second:
            raise _refusal(name, shape, is_second)
        found[name] = shape[1]
    return found


class _Remembered:
    """Dry runs that are made on demand, each at most once, since each costs a forward pass."""

    def __init__(self, runs: Iterator[tuple[Call, bool]]) -> None:
        self._runs, self._made = runs, list[tuple[Call, bool]]()

    def __iter__(self) -> Iterator[tuple[Call, bool]]:
        yield from self._made
        for run in self._runs:
            self._made.append(run)
            yield run


def _only_call(name: str, first: str, root: Call) -> Call:
    made = [call for call in calls(root) if call.name == first]
    if len(made) != 1:
        times = f"called {len(made)} times" if made else "never called"
        raise UsageError(f"site {name!r} is {times} in a forward pass; a site must be called exactly once")
    return made[0]


def _map_of(name: str, site: Call, images: int) -> Shape:
    if site.after is None or site.after[0] != images:
        raise UsageError(f"the output of site {name!r} is not a map of shape B, C, H, W; choose a module that has one")
    return site.after


def _of_another_size(model: nn.Module, x: Tensor) -> Iterator[tuple[Call, bool]]:
    """Dry runs with images of other sizes, as far as the network takes them, and whether the width is the same."""
    if x.dim() != 4:
        return
    height, width = x.shape[2:]
    for rows, columns in _SIZES:
        h, w = _part(height, rows), _part(width, columns)
        if (h, w) == (height, width):
            continue
        # Larger images are tiles of the example, so values stay in the range that the network expects.
        larger = x.repeat(1, 1, 1 + (h > height), 1 + (w > width))
        try:
            yield dry_run(model, larger[:, :, :h, :w].contiguous()), w == width
        except UsageError:  # the network does not take images of this size
            continue


def _part(pixels: int, part: str) -> int:
    over, _, under = part.partition("/")
    return max(1, pixels * int(over) // int(under or 1))


def _by_size(site: Call, shape: Shape, other_run: tuple[Call, bool]) -> bool | None:
    """Whether the second dimension holds channels; None if the output has the same shape for both images."""
    root, same_width = other_run
    other = next((call.after for call in calls(root) if call.name == site.name), None)
    if other is None or other == shape:
        return None
    # If only the height of the image changed, the width of a map stays. Otherwise these are no positions: the matrix of
    # pairs that self-attention compares, for instance, changes in both dimensions.
    return other[1] == shape[1] and (other[3] == shape[3] or not same_width)


def _by_layers(site: Call, shape: Shape, root: Call) -> bool | None:
    """The same, judged by the nearest layer with as many channels as the output: before the end of the site, or after
    it.

    None if there is no such layer.
    """
    # By the end of each call: what ended just before the site, or inside it, made its output.
    order = sorted(calls(root), key=lambda call: call.ended)
    place = order.index(site)
    before = (_by_layer(call.module, shape, _PUTS_OUT) for call in reversed(order[: place + 1]))
    after = (_by_layer(call.module, shape, _TAKES) for call in order[place + 1 :])
    return next((verdict for verdict in (*before, *after) if verdict is not None), None)


_PUTS_OUT = ("out_channels", "out_features")
_TAKES = ("in_channels", "in_features")


def _by_layer(layer: nn.Module, shape: Shape, widths: tuple[str, str]) -> bool | None:
    of_convolutions, of_linear_layers = widths
    if isinstance(layer, nn.modules.conv._ConvNd):
        return True if getattr(layer, of_convolutions) == shape[1] else None
    if isinstance(layer, _NORMS):
        return True if layer.num_features == shape[1] else None
    if isinstance(layer, nn.GroupNorm):
        return True if layer.num_channels == shape[1] else None
    if isinstance(layer, nn.Linear):
        return False if getattr(layer, of_linear_layers) == shape[3] else None
    if isinstance(layer, nn.LayerNorm):
        # Subclasses called LayerNorm2d, as in timm, work on the second dimension.
        verdicts = {shape[1]: True, shape[3]: type(layer).__name__.endswith("2d") and shape[1] == shape[3]}
        return verdicts.get(layer.normalized_shape[-1])
    return None


def _refusal(name: str, shape: Shape, is_second: bool | None) -> UsageError:
    shown = "x".join(map(str, shape))
    if is_second is None:
        return UsageError(
            f"the output of site {name!r} is {shown}, and neither images of another size nor the layers around it show "
            f"that the {shape[1]} are channels; name a convolution, or a block that ends with one"
        )
    return UsageError(
        f"the output of site {name!r} is {shown}, and the {shape[1]} are not its channels, as in B, H, W, C; attention "
        "needs maps of shape B, C, H, W"
    )
