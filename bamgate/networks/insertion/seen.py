"""Make a network that is already compiled notice a new hook.

torch.compile guards on the class of a module at every call, but not on its hooks. So a module that gets a hook is given
a subclass of its class with the same name, which changes nothing else. torch.compiler.reset() would work too, but it
would discard all that was compiled in this process, other networks included.
"""

from typing import Any

from torch import nn

# One subclass per class. With a new one for each insertion, every insertion would be compiled again.
_made: dict[type[nn.Module], type[nn.Module]] = {}


def _like(kind: type[nn.Module]) -> type[nn.Module]:
    def reduce(self: nn.Module, protocol: Any) -> Any:
        """Pickle and copy by the original class, since the subclass cannot be imported by its name."""
        reduced: Any = kind.__reduce_ex__(self, protocol)
        made, arguments, *state = reduced
        return (_remade, (made, tuple(kind if a is alike else a for a in arguments)), *state)

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    alike = type(kind.__name__, (kind,), {**names, "__reduce_ex__": reduce, _KIND: kind})
    return alike


_KIND = "_kind_before_attention"


def _remade(made: Any, arguments: tuple[Any, ...]) -> nn.Module:
    """Rebuild an unpickled or copied module, and give it the subclass again."""
    module: nn.Module = made(*arguments)
    noticed(module)
    return module


def noticed(module: nn.Module) -> None:
    """Give the module another class than the one it was compiled with."""
    if _KIND not in vars(type(module)):
        kind = type(module)
        module.__class__ = _made[kind] = _made.get(kind) or _like(kind)


def as_it_was(module: nn.Module) -> None:
    """Undo `noticed`."""
    kind = vars(type(module)).get(_KIND)
    if kind is not None:
        module.__class__ = kind
