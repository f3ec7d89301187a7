"""The plain loop that a careful user would write first: fp32, NCHW, eager, a DataLoader with PIL transforms.

It exists to be measured against; nothing else uses it.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images as in torchvision's CIFAR classes: PIL images, transformed one by one.

    Args:
        images: uint8 N, H, W, 3.
        labels: N labels.
    """

    def __init__(self, images: NDArray[np.uint8], labels: list[int]) -> None:
        self.images, self.labels = images, labels
        size = images.shape[1]
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def plain_batches(
    images: NDArray[np.uint8], labels: list[int], batch_size: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a shuffled epoch; the workers live as long as the iterator."""
    loader = DataLoader(
        PilImages(images, labels), batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True
    )
    return iter(loader)


class PlainLoop:
    """Forward, loss, backward, SGD with Nesterov momentum, one step at a time."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()
        self.device = next(model.parameters()).device
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step(self, x: Tensor, labels: Tensor) -> float:
        x, labels = x.to(self.device), labels.to(self.device)
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # As most loops do, for a progress bar. On a GPU it waits for the step, which is part of what is measured.
        return loss.item()
