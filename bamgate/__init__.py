"""bamgate: BAM and its relatives with a gate of your choice, trained and compared honestly."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bamgate.attention import BAM as BAM
    from bamgate.attention import CBAM as CBAM
    from bamgate.attention import SqueezeExcitation as SqueezeExcitation
    from bamgate.config import AttentionConfig as AttentionConfig
    from bamgate.gates import load_gate as load_gate
    from bamgate.networks.build import build_model as build_model
    from bamgate.networks.build import insert_attention as insert_attention
    from bamgate.networks.build import remove_attention as remove_attention
    from bamgate.weights import load_model as load_model

from bamgate._version import __version__

# Where the public parts live; loaded when first asked for, so that `bamgate --help` waits for none of them.
_HOMES = {
    "BAM": "bamgate.attention",
    "CBAM": "bamgate.attention",
    "SqueezeExcitation": "bamgate.attention",
    "AttentionConfig": "bamgate.config",
    "load_gate": "bamgate.gates",
    "load_model": "bamgate.weights",
    "build_model": "bamgate.networks.build",
    "insert_attention": "bamgate.networks.build",
    "remove_attention": "bamgate.networks.build",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bamgate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
