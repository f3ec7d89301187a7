"""From answers to counts: how the classes that a network names are ranked."""
