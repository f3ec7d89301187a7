"""Compare speeds: every contender runs once per round; ratios are taken within a round, medians over rounds."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from bamgate.benchmark.contenders import Contender, contenders
from bamgate.benchmark.photographs import IMAGE_FOLDER, PHOTOGRAPHS, SIZE, decoders, make_photographs
from bamgate.devices import cpu_threads, describe_device
from bamgate.record.tables import Columns

BENCH: Columns = {
    "schema": int,
    "model": str,
    "task": str,
    "contender": str,
    "images_per_s": float,
    "ratio": float,
    "ratio_low": float,
    "ratio_high": float,
    "rounds": int,
    "image_size": int,
    "batch_size": int,
    "threads": int,
    "workers": int,
    "compile": str,
    "device": str,
    "device_name": str,
    "torch": str,
    "git_commit": str,
}


def compare(
    model: str,
    *,
    rounds: int,
    image_size: int,
    batch_size: int,
    threads: int,
    workers: int,
    device: torch.device,
    compile: str,
    tell: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Rows of BENCH for one network: median images per second, and the ratio to the plain loop of the same task.

    Ratios are taken within a round, so that other work on the machine slows both sides. For "bamgate bf16 without BAM"
    the ratio is to bamgate with BAM.
    """
    with cpu_threads(threads):
        rivals = contenders(
            model, image_size=image_size, batch_size=batch_size, workers=workers, device=device, compile=compile
        )
        batches = _batches(rivals[0])
        # Loading alone takes so little time that it is always measured over 20 batches.
        seconds = _in_turns(model, rivals, rounds, {"input": 20}, batches, tell)
    shared: dict[str, Any] = {"rounds": rounds, "image_size": image_size, "batch_size": batch_size}
    shared |= {"workers": workers, "compile": compile}
    shared |= {k: v for k, v in describe_device(device, threads).items() if k in BENCH}
    for (task, name), times in seconds.items():
        reference = seconds[task, "bamgate bf16" if name.endswith("without BAM") else "plain"]
        yield {"model": model, "task": task, "contender": name, **_figures(times, reference, batch_size), **shared}


def compare_decoding(*, rounds: int, tell: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Rows of BENCH for photographs at 224 pixels: images per second on one core, and the ratio to torchvision."""
    with cpu_threads(1), tempfile.TemporaryDirectory() as folder:
        rivals = decoders(make_photographs(Path(folder) / "photographs"))
        seconds = _in_turns(IMAGE_FOLDER, rivals, rounds, {}, 1, tell)
    shared: dict[str, Any] = {"rounds": rounds, "image_size": SIZE, "batch_size": PHOTOGRAPHS}
    shared |= {"workers": 0, "compile": "off"}
    shared |= {k: v for k, v in describe_device(torch.device("cpu"), 1).items() if k in BENCH}
    for (task, name), times in seconds.items():
        figures = _figures(times, seconds[task, rivals[0].name], PHOTOGRAPHS)
        yield {"model": IMAGE_FOLDER, "task": task, "contender": name, **figures, **shared}


def _in_turns(
    model: str,
    rivals: list[Contender],
    rounds: int,
    counts: dict[str, int],
    batches: int,
    tell: Callable[[str], None],
) -> dict[tuple[str, str], list[float]]:
    """Seconds per batch of each (task, contender), one figure per round, over `counts[task]` batches or `batches`."""
    seconds: dict[tuple[str, str], list[float]] = {(rival.task, rival.name): [] for rival in rivals}
    for rival in rivals:
        rival.run(min(3, batches))  # warm-up: compilation and first allocations are not counted
    for number in range(rounds):
        for rival in rivals:
            tell(f"{model}, round {number + 1} of {rounds}: {rival.task}, {rival.name}")
            count = counts.get(rival.task, batches)
            seconds[rival.task, rival.name].append(rival.run(count) / count)
    return seconds


def _figures(times: list[float], reference: list[float], batch_size: int) -> dict[str, float]:
    """Median speed from seconds per batch, and the ratio to `reference`, taken round by round."""
    # Seconds of the reference over ours, so that above 1 is faster.
    ratios = [theirs / ours for theirs, ours in zip(reference, times, strict=True)]
    return {
        "images_per_s": round(batch_size / statistics.median(times), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_low": round(min(ratios), 3),
        "ratio_high": round(max(ratios), 3),
    }


def _batches(plain: Contender) -> int:
    """Batches per round: as many as the plain loop does in about four seconds, at most 30."""
    plain.run(1)  # warm-up
    return max(1, min(30, round(4 / plain.run(1))))
