"""Data sets whose images are files, decoded while training goes on."""
