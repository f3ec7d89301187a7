"""A study: a declared set of cells, run by whoever has room, and where it stands."""
