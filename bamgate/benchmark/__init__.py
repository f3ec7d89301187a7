"""How fast training is, compared with a plain loop in the same run on the same machine."""

from bamgate.benchmark.compare import BENCH as BENCH
from bamgate.benchmark.compare import compare as compare
from bamgate.benchmark.compare import compare_decoding as compare_decoding
from bamgate.benchmark.photographs import IMAGE_FOLDER as IMAGE_FOLDER

__all__ = ["BENCH", "IMAGE_FOLDER", "compare", "compare_decoding"]
