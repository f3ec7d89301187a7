"""Decoding and augmentation of JPEGs on one core: bamgate's, and torchvision's reference transforms."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from bamgate.benchmark.contenders import Contender, timed
from bamgate.data import FileLoader, FileSplit, find_dataset
from bamgate.data.files.loader import MEAN, STD, Decoder, Request

IMAGE_FOLDER = "image-folder"
SIZE = 224
PHOTOGRAPHS = 64
HEIGHT, WIDTH = 375, 500  # the most common size in ImageNet


def make_photographs(root: Path) -> Path:
    """Make an image folder of smooth random pictures with some grain: JPEGs of ImageNet's usual size, about 70 kB each.

    Decoding time depends on how much detail a JPEG holds, so plain noise or plain colour would mislead.
    """
    made = torch.Generator().manual_seed(0)
    for split, count in (("train", PHOTOGRAPHS), ("val", 2)):
        for number in range(count):
            folder = root / split / f"class-{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = _picture(made).permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=90)
    return root


def _picture(made: torch.Generator) -> Tensor:
    """uint8 3, H, W: noise on all scales, weaker on finer ones, as in photographs."""
    total = torch.full((1, 3, HEIGHT, WIDTH), 128.0)
    for cells in (2, 4, 8, 16, 32, 64, 128):
        noise = torch.randn(1, 3, cells, cells, generator=made)
        total += 60 / cells**0.5 * F.interpolate(noise, (HEIGHT, WIDTH), mode="bicubic")
    grain = 7 * torch.randn(1, 1, HEIGHT, WIDTH, generator=made)
    return (total + grain).clamp(0, 255).to(torch.uint8)[0]


def decoders(root: Path) -> list[Contender]:
    """The reference; bamgate; and bamgate up to the bytes, a decoder's part. A batch is all training images."""
    train, test = find_dataset(f"folder:{root.name}", root.parent).load(root.parent)
    assert isinstance(train, FileSplit)
    assert isinstance(test, FileSplit)
    ours = FileLoader(
        train,
        test,
        size=SIZE,
        batch_size=len(train),
        augment="resized-crop-flip",
        channels_last=True,
        seed=0,
        workers=0,
    )
    worker, numbers = Decoder(train.root, SIZE), list(range(len(train)))
    return [
        Contender(
            task=f"input-{SIZE}",
            name="torchvision reference",
            run=lambda batches: timed(lambda: [reference_batch(root) for _ in range(batches)]),
        ),
        Contender(
            task=f"input-{SIZE}",
            name="bamgate",
            run=lambda batches: timed(lambda: [next(ours.training_batches(epoch)) for epoch in range(batches)]),
        ),
        Contender(
            task=f"input-{SIZE}",
            name="bamgate to bytes",
            run=lambda batches: timed(lambda: [worker[Request(train.paths, numbers, k)] for k in range(batches)]),
        ),
    ]


def reference_batch(root: Path) -> Tensor:
    """All training images of `root` as torchvision's references/classification transforms them: float B, 3, S, S."""
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(MEAN, STD),
        ]
    )
    images = datasets.ImageFolder(str(root / "train"), transform)
    return torch.stack([images[i][0] for i in range(len(images))])
