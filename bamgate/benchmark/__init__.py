"""How fast training is, beside a plain loop, in one run on one machine."""

from bamgate.benchmark.compare import BENCH as BENCH
from bamgate.benchmark.compare import compare as compare
from bamgate.benchmark.compare import compare_decoding as compare_decoding
from bamgate.benchmark.photographs import IMAGE_FOLDER as IMAGE_FOLDER

__all__ = ["BENCH", "IMAGE_FOLDER", "compare", "compare_decoding"]
