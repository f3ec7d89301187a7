"""Networks by name, built with or without attention at their sites, and sites in networks of other libraries."""

from bamgate.networks import families as families
from bamgate.networks.backbone import BACKBONES as BACKBONES
from bamgate.networks.backbone import AttentionFactory as AttentionFactory
from bamgate.networks.backbone import Backbone as Backbone
from bamgate.networks.backbone import OwnBlock as OwnBlock
from bamgate.networks.backbone import Sites as Sites
from bamgate.networks.backbone import Size as Size
from bamgate.networks.foreign import find_backbone as find_backbone

__all__ = ["BACKBONES", "AttentionFactory", "Backbone", "OwnBlock", "Sites", "Size", "find_backbone"]
