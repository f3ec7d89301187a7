"""Accuracy and calibration from logits: arrays in, numbers out."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bamgate.errors import DataError
from bamgate.tasks.ranking import ranked

BINS = 15  # Guo et al. 2017, Section 5


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Images whose confidence (their largest probability) is in (low, high].

    Args:
        total, correct: counts.
        confidence: mean over the images; None if there are none.
    """

    low: float
    high: float
    total: int
    correct: int
    confidence: float | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures over a set of images.

    Args:
        total, correct, top5_correct: counts; with only K < 5 classes top 5 is top K.
        loss: mean negative log-likelihood, in nats.
        brier: mean over images of the squared distance between probabilities and truth, 0 to 2 (Brier 1950).
        ece: expected calibration error, 0 to 1 (Guo, Pleiss, Sun, Weinberger; ICML 2017, Eq. 3), over `bins`.
        class_total, class_correct: counts by true class.
    """

    total: int
    correct: int
    top5_correct: int
    loss: float
    brier: float
    ece: float
    class_total: list[int]
    class_correct: list[int]
    bins: list[Bin]


def score(logits_NK: Tensor, labels_N: Tensor) -> Scores:
    """Scores of N images over K classes; DataError if a logit is not finite."""
    # In fp64: sums over 50,000 images then do not depend on the order in which they are added, to the printed digits.
    logits = logits_NK.double()
    broken = int((~logits.isfinite()).any(dim=1).sum())
    if broken:
        raise DataError(f"the network's outputs are not finite for {broken} of {len(logits)} images: it has diverged")
    classes = logits.shape[1]
    found = ranked(logits, labels_N)
    hits = found.predicted == labels_N
    probabilities = logits.softmax(dim=1)
    truth = F.one_hot(labels_N, classes)
    bins = _bins(probabilities.max(dim=1).values, hits)
    return Scores(
        total=len(logits),
        correct=int(hits.sum()),
        top5_correct=int(found.top5.sum()),
        loss=float(F.cross_entropy(logits, labels_N)),
        brier=float(((probabilities - truth) ** 2).sum(dim=1).mean()),
        # |accuracy - confidence| of each bin, weighted by its share of the images, so the total of the bin cancels.
        ece=sum(abs(b.correct - b.total * (b.confidence or 0.0)) for b in bins) / len(logits),
        class_total=torch.bincount(labels_N, minlength=classes).tolist(),
        class_correct=torch.bincount(labels_N[hits], minlength=classes).tolist(),
        bins=bins,
    )


def _bins(confidence_N: Tensor, hits_N: Tensor) -> list[Bin]:
    # Bins are open below and closed above, as in the paper, so ceil. A confidence of 0 would fall below the first.
    place = ((confidence_N * BINS).ceil().long() - 1).clamp(0, BINS - 1)
    bins = []
    for i in range(BINS):
        inside = place == i
        total = int(inside.sum())
        bins.append(
            Bin(
                low=i / BINS,
                high=(i + 1) / BINS,
                total=total,
                correct=int(hits_N[inside].sum()),
                confidence=float(confidence_N[inside].mean()) if total else None,
            )
        )
    return bins
