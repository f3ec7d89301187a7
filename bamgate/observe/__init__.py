"""What the gates of a network do: figures by site, and what changes if a gate does."""
