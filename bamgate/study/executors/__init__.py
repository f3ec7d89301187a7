"""Where the cells of a study are trained: in this process, in processes of this machine, or where a plug-in says."""

from bamgate.study.executors import in_process as in_process
from bamgate.study.executors import local as local
from bamgate.study.executors.executor import EXECUTORS as EXECUTORS
from bamgate.study.executors.executor import Executor as Executor
from bamgate.study.executors.executor import Job as Job

__all__ = ["EXECUTORS", "Executor", "Job"]
