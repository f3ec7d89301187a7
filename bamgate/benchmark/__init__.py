"""How fast training is, beside a plain loop, in one run on one machine."""

from bamgate.benchmark.compare import BENCH as BENCH
from bamgate.benchmark.compare import compare as compare

__all__ = ["BENCH", "compare"]
