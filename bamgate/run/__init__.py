"""One cell: from settings to parts, and from a configuration to a finished record."""
