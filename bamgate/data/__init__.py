"""Data sets by name. To add one: one file that registers it, and one import line here."""

from bamgate.data import cifar as cifar
from bamgate.data import cluttered as cluttered
from bamgate.data import digits as digits
from bamgate.data import fashion as fashion
from bamgate.data import folder as folder
from bamgate.data.batches import Batches as Batches
from bamgate.data.batches import make_loader as make_loader
from bamgate.data.dataset import DATASETS as DATASETS
from bamgate.data.dataset import DataSet as DataSet
from bamgate.data.dataset import FileSplit as FileSplit
from bamgate.data.dataset import Split as Split
from bamgate.data.dataset import Splits as Splits
from bamgate.data.dataset import check_augment as check_augment
from bamgate.data.dataset import default_root as default_root
from bamgate.data.file_loader import MEAN as MEAN
from bamgate.data.file_loader import STD as STD
from bamgate.data.file_loader import FileLoader as FileLoader
from bamgate.data.folder import IMAGE_SIZE as IMAGE_SIZE
from bamgate.data.folder import find_dataset as find_dataset
from bamgate.data.loader import ImageLoader as ImageLoader
from bamgate.data.loader import Normalisation as Normalisation
from bamgate.data.loader import augmented as augmented
from bamgate.data.processes import dead_workers_named as dead_workers_named
from bamgate.data.processes import default_workers as default_workers

__all__ = [
    "DATASETS",
    "IMAGE_SIZE",
    "MEAN",
    "STD",
    "Batches",
    "DataSet",
    "FileLoader",
    "FileSplit",
    "ImageLoader",
    "Normalisation",
    "Split",
    "Splits",
    "augmented",
    "check_augment",
    "dead_workers_named",
    "default_root",
    "default_workers",
    "find_dataset",
    "make_loader",
]
