"""What is said about runs beside a comparison: few of them, or executed in different ways."""

FEW_PAIRS = 6  # below, no exact test can reach p < 0.05: 2 / 2**5 = 0.0625
FEW = f"Fewer than {FEW_PAIRS} pairs: seed noise alone could be this large."


def not_compared(ways: str) -> str:
    """The ways as `torch 2.9.0, 2.10.0; device cpu, cuda`."""
    return f"not compared: the cells were executed in different ways ({ways})"
