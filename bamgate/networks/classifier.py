"""The last layer of a network computes in fp32 under any autocast.

In bf16 the numbers next to 10 lie 1/16 apart: two classes would tie for the first place in some hundredths of all
images, and how many are right would depend on the rule for ties.
"""

from torch import Tensor, nn
from torch.fx import Proxy

from bamgate.devices import without_autocast


def _is_traced(x: object) -> bool:
    """Whether torch.fx records what is done."""
    return isinstance(x, Proxy)


class _InItsOwnPrecision(nn.Module):
    """Computes in the dtype of its weights."""

    weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if _is_traced(x):  # a graph knows neither dtype nor autocast
            return super().forward(x)  # type: ignore[no-any-return]
        with without_autocast(x.device.type):
            return super().forward(x.to(self.weight.dtype))  # type: ignore[no-any-return]


class Classifier(_InItsOwnPrecision, nn.Linear):
    """B, C -> B, num_classes."""


class ConvClassifier(_InItsOwnPrecision, nn.Conv2d):
    """B, C, H, W -> B, num_classes, H, W, to be pooled."""


_EXACT: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: Classifier, nn.Conv2d: ConvClassifier}


def exact_classifier(net: nn.Module) -> nn.Module:
    """The network, whose last linear layer or convolution is from now on one that computes in fp32.

    Names, weights and what they were drawn from stay as they are.
    """
    layers = [module for module in net.modules() if type(module) in _EXACT]
    if layers:
        # In place: a head of another library may hold its layer by more than one name.
        layers[-1].__class__ = _EXACT[type(layers[-1])]
    return net
