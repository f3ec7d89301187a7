"""What networks learn: tasks by name, and how the classes that a network names are ranked."""

from bamgate.tasks.classification import CLASSIFICATION as CLASSIFICATION
from bamgate.tasks.task import TASKS as TASKS
from bamgate.tasks.task import Evaluated as Evaluated
from bamgate.tasks.task import Forward as Forward
from bamgate.tasks.task import Loss as Loss
from bamgate.tasks.task import Task as Task

__all__ = ["CLASSIFICATION", "TASKS", "Evaluated", "Forward", "Loss", "Task"]
