"""Learning rate as a function of the step: nothing to save, nothing to restore."""

import math

from bamgate.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of the step with this number, counted from 0 over the whole run.

    Every schedule first rises in a straight line over `warmup_epochs`. Then: constant; step: times gamma at each
    milestone; cosine: half a cosine to 0 (Loshchilov, Hutter 2017); one-cycle: a straight line to 0 (Smith 2018).
    """
    warmup = config.warmup_epochs * steps_per_epoch
    if step + 1 < warmup:
        return config.lr * (step + 1) / warmup
    left = (config.epochs * steps_per_epoch - step) / (config.epochs * steps_per_epoch - warmup)
    left = min(left, 1.0)
    if config.schedule == "step":
        passed = sum(step >= milestone * steps_per_epoch for milestone in config.milestones)
        return config.lr * float(config.gamma**passed)
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * (1 - left)))
    return config.lr * left if config.schedule == "one-cycle" else config.lr
