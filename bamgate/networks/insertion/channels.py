"""Which dimension of a site's output holds channels: found by evidence, never taken from its place.

Networks that keep their maps as B, H, W, C put out four dimensions too. Two kinds of evidence tell the forms apart. A
lower image gives a map B, C, H, W that is lower and as wide: what follows the image's size is no number of channels. A
network that takes images of one size alone is judged by its layers: a convolution works on the second dimension, a
linear layer on the last.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from bamgate.errors import UsageError
from bamgate.networks.insertion.dry_run import Call, calls, dry_run

Shape = tuple[int, ...]
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
_SIZES = (("6/7", "1"), ("1/2", "1"), ("2", "1"), ("6/7", "6/7"), ("1/2", "1/2"), ("2", "2"))  # height, width


def of_sites(model: nn.Module, names: dict[str, str], x: Tensor) -> dict[str, int]:
    """Channels that each site puts out.

    Args:
        names: what a site is called in errors, and the first name of its module in the network.
        x: what the network takes.

    Raises:
        UsageError: one is not called exactly once in a forward pass, or puts out no map of shape B, C, H, W.
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
    """Dry runs that are made when they are asked for, and once."""

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
        raise UsageError(f"site {name!r} is {times} in a forward pass; a site is called once")
    return made[0]


def _map_of(name: str, site: Call, images: int) -> Shape:
    if site.after is None or site.after[0] != images:
        raise UsageError(f"site {name!r} puts out no map of shape B, C, H, W; choose a module that does")
    return site.after


def _of_another_size(model: nn.Module, x: Tensor) -> Iterator[tuple[Call, bool]]:
    """Dry runs with images of other sizes, as far as the network takes them; whether the width is as before."""
    if x.dim() != 4:
        return
    height, width = x.shape[2:]
    for rows, columns in _SIZES:
        h, w = _part(height, rows), _part(width, columns)
        if (h, w) == (height, width):
            continue
        larger = x.repeat(1, 1, 1 + (h > height), 1 + (w > width))
        try:
            yield dry_run(model, larger[:, :, :h, :w].contiguous()), w == width
        except UsageError:  # it takes no such images
            continue


def _part(pixels: int, part: str) -> int:
    over, _, under = part.partition("/")
    return max(1, pixels * int(over) // int(under or 1))


def _by_size(site: Call, shape: Shape, other_run: tuple[Call, bool]) -> bool | None:
    """Whether the second dimension holds channels; None where the output is of the same size."""
    root, same_width = other_run
    other = next((call.after for call in calls(root) if call.name == site.name), None)
    if other is None or other == shape:
        return None
    # Where height and width follow the height alone they are no map's: the pairs that attention compares are such.
    return other[1] == shape[1] and (other[3] == shape[3] or not same_width)


def _by_layers(site: Call, shape: Shape, root: Call) -> bool | None:
    """The same, judged by the nearest layer that has the output's width: one before the site's end, or else after it.

    None where there is none.
    """
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
        # LayerNorm2d, as other libraries call theirs, works on the second dimension.
        verdicts = {shape[1]: True, shape[3]: type(layer).__name__.endswith("2d") and shape[1] == shape[3]}
        return verdicts.get(layer.normalized_shape[-1])
    return None


def _refusal(name: str, shape: Shape, is_second: bool | None) -> UsageError:
    shown = "x".join(map(str, shape))
    if is_second is None:
        return UsageError(
            f"site {name!r} puts out {shown}, and neither images of another size nor the layers around it show that "
            f"the {shape[1]} are channels; name a convolution, or a block that ends with one"
        )
    return UsageError(
        f"site {name!r} puts out {shown}, and the {shape[1]} are not its channels, as in B, H, W, C; attention is for "
        "maps of shape B, C, H, W"
    )
