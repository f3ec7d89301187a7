"""Named training recipes.

The BAM paper prints no recipe for CIFAR-100 and its released code has none; the recipes for it are our choice.
"""

from bamgate.config import TrainingConfig
from bamgate.registry import Registry

RECIPES: Registry[TrainingConfig] = Registry("recipe")

# Ours: a minute on a laptop. A one-cycle schedule converges in few epochs.
RECIPES.register(
    "quick",
    TrainingConfig(
        epochs=4,
        batch_size=64,
        lr=0.2,
        nesterov=True,
        schedule="one-cycle",
        warmup_epochs=1.0,
        augment="none",
    ),
)

# Zagoruyko and Komodakis 2016 (WRN): 200 epochs, lr 0.1 times 0.2 at 60, 120 and 160, weight decay 5e-4, Nesterov,
# crops with a padding of 4, and flips. The usual CIFAR-100 recipe, chosen because BAM's own is not printed.
RECIPES.register(
    "cifar", TrainingConfig(nesterov=True, schedule="step", milestones=(60, 120, 160), augment="crop-flip")
)

# The authors' released code (train_imagenet.py), as section 4.1 of its sister paper CBAM prints it: lr 0.1 times 0.1
# at epochs 30 and 60 of 90, weight decay 1e-4.
RECIPES.register(
    "imagenet",
    TrainingConfig(
        epochs=90,
        batch_size=256,
        weight_decay=1e-4,
        schedule="step",
        milestones=(30, 60),
        gamma=0.1,
        augment="resized-crop-flip",
    ),
)
