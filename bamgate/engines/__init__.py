"""Training: the loop, its learning rates and its checkpoints."""

from bamgate.engines.checkpoint import CheckpointStore as CheckpointStore
from bamgate.engines.schedule import learning_rate as learning_rate
from bamgate.engines.trainer import Evaluation as Evaluation
from bamgate.engines.trainer import Position as Position
from bamgate.engines.trainer import Trainer as Trainer

__all__ = ["CheckpointStore", "Evaluation", "Position", "Trainer", "learning_rate"]
