"""What a run is: its fields, their limits, and the hash that names the cell. Only the standard library."""

from bamgate.config.run import LARGEST_SEED as LARGEST_SEED
from bamgate.config.run import SCHEMA as SCHEMA
from bamgate.config.run import WITHOUT_GATE as WITHOUT_GATE
from bamgate.config.run import AttentionConfig as AttentionConfig
from bamgate.config.run import RunConfig as RunConfig
from bamgate.config.run import TrainingConfig as TrainingConfig
from bamgate.config.run import config_hash as config_hash

__all__ = [
    "LARGEST_SEED",
    "SCHEMA",
    "WITHOUT_GATE",
    "AttentionConfig",
    "RunConfig",
    "TrainingConfig",
    "config_hash",
]
