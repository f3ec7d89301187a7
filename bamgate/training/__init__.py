"""Training: the loop, its learning rates and its checkpoints."""

from bamgate.training.checkpoint import CheckpointStore as CheckpointStore
from bamgate.training.loop import Evaluation as Evaluation
from bamgate.training.loop import Position as Position
from bamgate.training.loop import Trainer as Trainer
from bamgate.training.schedule import learning_rate as learning_rate

__all__ = ["CheckpointStore", "Evaluation", "Position", "Trainer", "learning_rate"]
