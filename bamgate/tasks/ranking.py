"""From logits to answers, by one rule wherever answers are counted."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ranked(NamedTuple):
    """predicted: the class that comes first, int64 N. top5: bool N, whether the true class is among the first five."""

    predicted: Tensor
    top5: Tensor


def ranked(logits_NK: Tensor, labels_N: Tensor) -> Ranked:
    """Answers to N images over K classes: the highest logit first; of equal ones the class with the lower number."""
    truth = logits_NK.gather(1, labels_N[:, None])
    # torch.topk leaves the order of equal values open; argmax is documented to take the first.
    lower = torch.arange(logits_NK.shape[1], device=logits_NK.device) < labels_N[:, None]
    before = ~(logits_NK <= truth) | ((logits_NK == truth) & lower)
    return Ranked(logits_NK.argmax(dim=1), before.sum(dim=1) < 5)
