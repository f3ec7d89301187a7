"""The networks, one file per family. To add one, write a file that registers its builders, and import it here."""

from bamgate.networks.families import densenet as densenet
from bamgate.networks.families import mobilenet as mobilenet
from bamgate.networks.families import plain as plain
from bamgate.networks.families import preresnet as preresnet
from bamgate.networks.families import resnet as resnet
from bamgate.networks.families import resnet_cifar as resnet_cifar
from bamgate.networks.families import resnext as resnext
from bamgate.networks.families import wide_resnet as wide_resnet
