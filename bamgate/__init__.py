"""bamgate: BAM and its relatives with a gate of your choice, trained and compared honestly."""

__version__ = "0.1.0"
