"""Data sets whose images are files, decoded during training."""
