"""The engine `single`: one cell after the other, each on one device."""

from collections.abc import Callable, Sequence

from bamgate.engines.engine import ENGINES, StoppedError
from bamgate.engines.session import Session
from bamgate.engines.trainer import Position


class Single:
    """Trains a cell to its end before it begins the next."""

    name = "single"

    def train(self, sessions: Sequence[Session], should_stop: Callable[[], bool]) -> None:
        """See `bamgate.engines.engine.Engine`."""
        for session in sessions:
            _train(session, should_stop)


def _train(session: Session, should_stop: Callable[[], bool]) -> None:
    def pause(position: Position) -> bool:
        session.stepped()
        return should_stop() or session.is_due

    while not session.is_trained:
        position = session.position
        if session.trainer.train_epoch(position, pause):
            session.end_epoch()
            continue
        session.save()
        if should_stop():
            raise StoppedError(f"stopped in epoch {position.epoch + 1}, step {position.step}; it is saved")
    session.finish()


ENGINES.register(Single.name, Single())
