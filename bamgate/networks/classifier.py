"""The last layer of a network computes in fp32 under any autocast.

In bf16 the numbers near 10 are 1/16 apart. Two classes would tie for first place in some hundredths of all images, and
the accuracy would depend on the rule for ties.
"""

from torch import Tensor, nn
from torch.fx import Proxy

from bamgate.devices import without_autocast


def _is_traced(x: object) -> bool:
    """Whether torch.fx is tracing the network."""
    return isinstance(x, Proxy)


class _InItsOwnPrecision(nn.Module):
    """Computes in the dtype of its weights, whatever autocast says."""

    weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if _is_traced(x):  # a proxy of torch.fx has no dtype, and a graph cannot hold a context manager
            return super().forward(x)  # type: ignore[no-any-return]
        with without_autocast(x.device.type):
            return super().forward(x.to(self.weight.dtype))  # type: ignore[no-any-return]


class Classifier(_InItsOwnPrecision, nn.Linear):
    """B, C -> B, num_classes."""


class ConvClassifier(_InItsOwnPrecision, nn.Conv2d):
    """B, C, H, W -> B, num_classes, H, W, which is pooled afterwards."""


_EXACT: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: Classifier, nn.Conv2d: ConvClassifier}


def exact_classifier(net: nn.Module) -> nn.Module:
    """Make the last linear layer or convolution of a network compute in fp32, in place, and return the network.

    Names and weights stay as they are.
    """
    # Exact types alone: a subclass may have a forward pass of its own.
    layers = [module for module in net.modules() if type(module) in _EXACT]
    if layers:
        # Change its class rather than replace it: the head of another library's network may hold it under two names.
        layers[-1].__class__ = _EXACT[type(layers[-1])]
    return net
