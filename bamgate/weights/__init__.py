"""Trained weights: read from runs, our files and the authors' checkpoints; put into networks, written and converted."""

from bamgate.weights.files import read_safetensors as read_safetensors
from bamgate.weights.files import write_safetensors as write_safetensors
from bamgate.weights.layouts import convert_layout as convert_layout
from bamgate.weights.network import Network as Network
from bamgate.weights.network import build as build
from bamgate.weights.released import write_released as write_released
from bamgate.weights.source import load_model as load_model
from bamgate.weights.source import load_network as load_network
from bamgate.weights.strict import load_weights as load_weights

__all__ = [
    "Network",
    "build",
    "convert_layout",
    "load_model",
    "load_network",
    "load_weights",
    "read_safetensors",
    "write_released",
    "write_safetensors",
]
