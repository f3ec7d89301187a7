"""Data sets by name: those whose images are in memory (`memory`) and those of image files (`files`)."""

from bamgate.data import memory as memory
from bamgate.data.batches import Batches as Batches
from bamgate.data.batches import make_loader as make_loader
from bamgate.data.dataset import DATASETS as DATASETS
from bamgate.data.dataset import DataSet as DataSet
from bamgate.data.dataset import FileSplit as FileSplit
from bamgate.data.dataset import Split as Split
from bamgate.data.dataset import Splits as Splits
from bamgate.data.dataset import check_augment as check_augment
from bamgate.data.dataset import default_root as default_root
from bamgate.data.files.folder import IMAGE_SIZE as IMAGE_SIZE
from bamgate.data.files.folder import find_dataset as find_dataset
from bamgate.data.files.loader import MEAN as MEAN
from bamgate.data.files.loader import STD as STD
from bamgate.data.files.loader import FileLoader as FileLoader
from bamgate.data.files.processes import dead_workers_named as dead_workers_named
from bamgate.data.files.processes import default_workers as default_workers
from bamgate.data.memory.loader import ImageLoader as ImageLoader
from bamgate.data.memory.loader import Normalisation as Normalisation
from bamgate.data.memory.loader import augmented as augmented

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
