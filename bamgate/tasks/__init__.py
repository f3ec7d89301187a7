"""What a network is trained for, and how its answers are measured."""
