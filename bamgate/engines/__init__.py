"""How cells are trained: the loop, its learning rates and checkpoints, a cell's session, and the engines by name."""

from bamgate.engines import single as single
from bamgate.engines.checkpoint import CheckpointStore as CheckpointStore
from bamgate.engines.engine import ENGINES as ENGINES
from bamgate.engines.engine import Engine as Engine
from bamgate.engines.engine import Execution as Execution
from bamgate.engines.engine import StoppedError as StoppedError
from bamgate.engines.schedule import learning_rate as learning_rate
from bamgate.engines.session import Listener as Listener
from bamgate.engines.session import Session as Session
from bamgate.engines.trainer import Position as Position
from bamgate.engines.trainer import Trainer as Trainer

__all__ = [
    "ENGINES",
    "CheckpointStore",
    "Engine",
    "Execution",
    "Listener",
    "Position",
    "Session",
    "StoppedError",
    "Trainer",
    "learning_rate",
]
