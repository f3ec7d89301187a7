"""The seam between a study and the places where its cells are trained.

Whoever has a cluster writes an executor: a class with a name and `start`, and a job that can be asked whether it has
ended. It is registered in `EXECUTORS`, or brought by an installed package in the entry-point group `bamgate.executors`.
"""

from collections.abc import Callable
from typing import Protocol

from bamgate.registry import Registry
from bamgate.study.work import End, Message, Work


class Job(Protocol):
    """Work that has been started.

    Args:
        pid: of its process, if it has one of its own on this machine, so that its memory can be measured.
    """

    @property
    def pid(self) -> int | None: ...

    def has_ended(self) -> bool:
        """Asked again and again. All that the job has said is told before it answers yes."""
        ...

    def end(self) -> End:
        """How it ended; asked after `has_ended` has said so."""
        ...

    def skip(self, cell: str) -> None:
        """Leave a cell alone from now on."""
        ...

    def stop(self) -> None:
        """Save and end, as soon as possible; this call does not wait."""
        ...

    def wait(self) -> None:
        """Until it has ended."""
        ...

    def close(self) -> None:
        """Give back what it holds; it has ended."""
        ...


class Executor(Protocol):
    """Starts jobs.

    Args:
        name: for people, and for `EXECUTORS`.
        side_by_side: whether several jobs are at work at once; if not, a job trains while it is asked whether it has
            ended.
    """

    @property
    def name(self) -> str: ...

    @property
    def side_by_side(self) -> bool: ...

    def start(self, work: Work, tell: Callable[[Message], None]) -> Job:
        """A job that does this work.

        Args:
            tell: gets what the job says, in the thread that asks whether it has ended.

        Raises:
            OSError: there is no room for one more job just now.
        """
        ...


EXECUTORS: Registry[Executor] = Registry("executor", "bamgate.executors")
