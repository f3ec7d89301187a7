"""Sets of cells: from options and files to configurations."""
