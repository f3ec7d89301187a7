"""Data sets by name. To add one: one file that registers it, and one import line here."""

from bamgate.data import cifar as cifar
from bamgate.data import cluttered as cluttered
from bamgate.data import digits as digits
from bamgate.data.dataset import DATASETS as DATASETS
from bamgate.data.dataset import DataSet as DataSet
from bamgate.data.dataset import Split as Split
from bamgate.data.dataset import default_root as default_root
from bamgate.data.loader import ImageLoader as ImageLoader
from bamgate.data.loader import Normalisation as Normalisation
from bamgate.data.loader import augmented as augmented

__all__ = ["DATASETS", "DataSet", "ImageLoader", "Normalisation", "Split", "augmented", "default_root"]
