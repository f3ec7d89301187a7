"""What a job is told to train, what it says meanwhile, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Message = dict[str, Any]
"""What a job says, each with one of these keys and what stands beside it:

cell     id of a cell that it begins
at       where that cell stands: [whole epochs, steps of the next one, steps an epoch]; now and then
epoch    the row of epochs.csv that has just been written for that cell
left     id of the cell that it was at; `ended`: whether it has a result now
failed   id of the cell that it was at, whose gate failed; `why`
note     a text for people
"""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job has to do: train cells of a study until none that is missing is free.

    Args:
        out: the folder of the study.
        threads: of the CPU, for each cell.
        decoders: processes that decode image files for each cell; None if nothing is decoded.
        allow_code: whether gates that are code may be run.
        skipped: ids of cells that are to be left alone.
        gpu: what CUDA_VISIBLE_DEVICES has to be; empty for what it is.
        should_stop: for jobs that train while they are asked whether they have ended; others are told by `stop`.
    """

    out: Path
    device: str = "cpu"
    threads: int = 1
    data_root: Path | None = None
    decoders: int | None = None
    allow_code: bool = False
    skipped: frozenset[str] = frozenset()
    gpu: str = ""
    should_stop: Callable[[], bool] = lambda: False


class End(NamedTuple):
    """How a job ended.

    Args:
        code: the exit code that it gave itself, 0 if nothing was left to train; None if it died.
        why: in words.
        stopped: whether it was asked to.
        traceback: of an exception that nobody foresaw.
    """

    code: int | None = 0
    why: str = ""
    stopped: bool = False
    traceback: str = ""
