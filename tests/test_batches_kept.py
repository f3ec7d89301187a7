"""Batches of images in memory are the ones they have always been, and cost few operations each."""

import hashlib
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bamgate.data import ImageLoader, Split

VIEWS = ("slice", "unsqueeze", "expand", "permute", "view")  # these launch nothing on a device


def _split(images: int) -> Split:
    made = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (images, 12, 12, 3), generator=made, dtype=torch.uint8)
    return Split(images=pixels, labels=torch.arange(images) % 10)


def _loader(augment: str, channels_last: bool) -> ImageLoader:
    settings: dict[str, Any] = {"batch_size": 16, "padding": 4, "seed": 11}
    return ImageLoader(_split(64), _split(20), augment=augment, channels_last=channels_last, **settings)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(
    ("augment", "sha256"),
    [("none", "8b0fe82f146f5ccf"), ("crop", "6ddbe2da519f0bea"), ("crop-flip", "a35ce4f79c08763a")],
)
def test_the_bytes_are_those_of_the_first_release(augment: str, sha256: str, channels_last: bool) -> None:
    """Steps 1 to 3 of epochs 0 and 3, and the test images. The hashes are of the time when each batch drew its own."""
    loader, digest = _loader(augment, channels_last), hashlib.sha256()
    for epoch in (0, 3):
        for x, labels in loader.training_batches(epoch, 1):
            digest.update(x.permute(0, 2, 3, 1).contiguous().numpy().tobytes() + labels.numpy().tobytes())
    for x, _ in loader.evaluation_batches():
        digest.update(x.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == sha256


class Counted(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.launched: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not any(view in func.name() for view in VIEWS):
            self.launched.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("augment", "most"), [("none", 6), ("crop", 10), ("crop-flip", 10)])
def test_a_batch_launches_few_operations(augment: str, most: int, channels_last: bool) -> None:
    batches = _loader(augment, channels_last).training_batches(0)
    next(batches)
    with Counted() as counted:
        next(batches)
    assert len(counted.launched) <= most, counted.launched
