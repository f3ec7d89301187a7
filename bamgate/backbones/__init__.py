"""Networks by name. To add a family: one file that registers its builders, and one import line here."""

from bamgate.backbones import densenet as densenet
from bamgate.backbones import mobilenet as mobilenet
from bamgate.backbones import plain as plain
from bamgate.backbones import preresnet as preresnet
from bamgate.backbones import resnet as resnet
from bamgate.backbones import resnet_cifar as resnet_cifar
from bamgate.backbones import resnext as resnext
from bamgate.backbones import wide_resnet as wide_resnet
from bamgate.backbones.backbone import BACKBONES as BACKBONES
from bamgate.backbones.backbone import AttentionFactory as AttentionFactory
from bamgate.backbones.backbone import Backbone as Backbone
from bamgate.backbones.backbone import OwnBlock as OwnBlock
from bamgate.backbones.backbone import Sites as Sites
from bamgate.backbones.backbone import Size as Size
from bamgate.backbones.foreign import find_backbone as find_backbone

__all__ = ["BACKBONES", "AttentionFactory", "Backbone", "OwnBlock", "Sites", "Size", "find_backbone"]
