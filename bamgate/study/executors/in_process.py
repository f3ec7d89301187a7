"""The executor `in-process`: cells are trained here, one after the other, without a process of their own."""

from collections.abc import Callable

from bamgate.study.executors.executor import EXECUTORS
from bamgate.study.trainer import Orders, end_of, trained
from bamgate.study.work import End, Message, Work


class InProcess:
    """Trains in this process. A gate that ends its process ends the study with it."""

    name = "in-process"
    side_by_side = False

    def start(self, work: Work, tell: Callable[[Message], None]) -> "InProcessJob":
        """See `bamgate.study.executors.executor.Executor`."""
        return InProcessJob(work, tell)


class InProcessJob:
    """Trains one cell each time that it is asked whether it has ended."""

    pid = None

    def __init__(self, work: Work, tell: Callable[[Message], None]) -> None:
        self._skipped, self._stops = set(work.skipped), False
        self._end: End | None = None

        def should_stop() -> bool:
            return self._stops or work.should_stop()

        self._cells = trained(work, Orders(skipped=lambda: self._skipped, tell=tell), should_stop)

    def has_ended(self) -> bool:
        """After one more cell."""
        if self._end is None:
            try:
                next(self._cells)
            except StopIteration:
                self._end = End()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a SystemExit of the user's code would end as if all were well
                self._end = end_of(error)
        return self._end is not None

    def end(self) -> End:
        """How it ended."""
        return self._end or End(0, stopped=True)

    def skip(self, cell: str) -> None:
        """Before the next cell."""
        self._skipped.add(cell)

    def stop(self) -> None:
        """At the next step, if it is asked from a signal's handler; otherwise it stands still anyway."""
        self._stops = True

    def wait(self) -> None:
        """It works only while it is asked."""

    def close(self) -> None:
        """What it began is saved."""
        self._cells = iter(())


EXECUTORS.register(InProcess.name, InProcess())
