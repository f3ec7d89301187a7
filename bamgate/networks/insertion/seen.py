"""That a network compiled before notices a hook.

torch.compile does not look at a module's hooks again, but at its class it looks at every call. So a module that gets a
hook becomes of a class of its own kind and name, which changes nothing else. To forget all that was compiled in the
process would do as well, and would cost everybody else's networks their compilation.
"""

from typing import Any

from torch import nn

# One for each kind, or every insertion would be compiled anew.
_made: dict[type[nn.Module], type[nn.Module]] = {}


def _like(kind: type[nn.Module]) -> type[nn.Module]:
    def reduce(self: nn.Module, protocol: Any) -> Any:
        """Copies and pickles name the class that is known by import."""
        reduced: Any = kind.__reduce_ex__(self, protocol)
        made, arguments, *state = reduced
        return (_remade, (made, tuple(kind if a is alike else a for a in arguments)), *state)

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    alike = type(kind.__name__, (kind,), {**names, "__reduce_ex__": reduce, _KIND: kind})
    return alike


_KIND = "_kind_before_attention"


def _remade(made: Any, arguments: tuple[Any, ...]) -> nn.Module:
    module: nn.Module = made(*arguments)
    noticed(module)
    return module


def noticed(module: nn.Module) -> None:
    """From now on the module is of another class than when it was compiled."""
    if _KIND not in vars(type(module)):
        kind = type(module)
        module.__class__ = _made[kind] = _made.get(kind) or _like(kind)


def as_it_was(module: nn.Module) -> None:
    """Undo `noticed`."""
    kind = vars(type(module)).get(_KIND)
    if kind is not None:
        module.__class__ = kind
