"""The version of bamgate, below everything else."""

__version__ = "0.1.0"
