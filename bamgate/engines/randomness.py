"""Whether a training step may draw random numbers."""

from torch import nn

from bamgate.attention import Scale

_DRAWING = (nn.modules.dropout._DropoutNd, nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
_KNOWN = ("torch.nn.modules.", "bamgate.")  # code that draws in modules of _DRAWING only, or has a number `dropout`


def may_draw(model: nn.Module) -> bool:
    """False where the network certainly draws nothing in training mode: it is made of torch's and our own modules,
    none of which drops anything. A gate is known not to draw; what other code does is not known."""
    gates = {part for scale in model.modules() if isinstance(scale, Scale) for part in scale.gate.modules()}
    return any(_may_draw(module) for module in model.modules() if module not in gates)


def _may_draw(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    known = type(module).__module__.startswith(_KNOWN)
    return not known or isinstance(module, _DRAWING) or bool(getattr(module, "dropout", 0))
