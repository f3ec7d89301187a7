"""Two gates on the same test images: how much the choice of test images alone may change the difference."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bamgate.errors import UsageError
from bamgate.stats.result import Result
from bamgate.stats.status import IMAGES_AGREE, IMAGES_ALIKE, NO_IMAGES


@dataclass(frozen=True, kw_only=True)
class McNemar(Result):
    """Two runs on the same images: how many images only one of them gets right, and the exact two-sided p."""

    call: ClassVar[str] = "scipy.stats.binomtest(only_treatment, only_treatment + only_control)"
    only_treatment: int
    only_control: int
    p: float | None = None


def mcnemar(treatment: NDArray[np.bool_], control: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test.

    Args:
        treatment, control: (images,), true for images that are classified correctly.
    """
    from scipy import stats

    a, b = _answers(treatment, control, dimensions=1)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return McNemar(only_treatment=0, only_control=0, status=IMAGES_ALIKE)
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue)
    return McNemar(only_treatment=only_a, only_control=only_b, p=p)


@dataclass(frozen=True, kw_only=True)
class ImageBootstrap(Result):
    """Mean difference over seeds, in points, and its 95 % percentile interval over test images, for the same seeds."""

    call: ClassVar[str] = "images resampled, all seeds together, by numpy.random.default_rng(seed).multinomial"
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    resamples: int = 0


def image_bootstrap(
    treatment: NDArray[np.bool_], control: NDArray[np.bool_], resamples: int = 2000, seed: int = 0
) -> ImageBootstrap:
    """How much another sample of test images alone would change the difference.

    Args:
        treatment, control: (seeds, images), true for images that are classified correctly.
    """
    a, b = _answers(treatment, control, dimensions=2)
    seeds, images = a.shape
    if a.size == 0:
        return ImageBootstrap(resamples=resamples, status=NO_IMAGES)
    per_image = a.sum(axis=0) - b.sum(axis=0, dtype=np.int64)
    # Images with the same value are interchangeable. So draw how often each value occurs, which is one multinomial
    # draw, instead of 10,000 images.
    values, counts = np.unique(per_image, return_counts=True)
    points = 100 / (seeds * images)
    mean = float(per_image.sum()) * points
    if len(values) == 1:
        return ImageBootstrap(mean=mean, resamples=resamples, status=IMAGES_AGREE)
    draws = np.random.default_rng(seed).multinomial(images, counts / images, size=resamples) @ values
    low, high = np.quantile(draws, [0.025, 0.975]) * points
    return ImageBootstrap(mean=mean, low=float(low), high=float(high), resamples=resamples)


def _answers(treatment: Any, control: Any, *, dimensions: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Both as bool arrays; UsageError if a value is not 0 or 1, or if the shapes differ."""
    a, b = np.asarray(treatment), np.asarray(control)
    axes = "(images,)" if dimensions == 1 else "(seeds, images)"
    if a.shape != b.shape or a.ndim != dimensions:
        raise UsageError(f"both arms need the same shape {axes}, got {a.shape} and {b.shape}")
    for array in (a, b):
        if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
            raise UsageError("whether an image is correct must be true or false, got other values")
    return a.astype(np.bool_), b.astype(np.bool_)
