"""Texts that several figures share."""

from collections.abc import Iterable, Sequence

from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import NBSP, listed

EPOCH = "epoch"
ALL_SITES = "mean over sites"
T_BANDS = "95 % t interval"
NO_GATE = "no gate, no finished run, or no room"


def rope_text(rope: float, measure: Measure) -> str:
    """What the band around zero means."""
    return f"{measure.margin(rope)}: too small to matter".replace(NBSP, " ")  # it may be folded there


def reference_label(arm: str) -> str:
    """How a legend names the reference."""
    return f"{arm} (reference)"


def at_context(context: str) -> str:
    """at model=resnet20; nothing if there is one context."""
    return f" at {context}" if context else ""


def one_seed_note(ns: Iterable[float]) -> str:
    """What a caption adds if a mean is of one run."""
    return " One seed has no interval." if any(n == 1 for n in ns) else ""


def not_shown(missing: Sequence[str], why: str) -> str:
    """What a caption adds about what is not in the picture."""
    return f" Not shown ({why}): {listed(missing)}." if missing else ""


def sites_note(shown: int, there: int) -> str:
    """What a caption adds if not all sites are in the picture."""
    return f" {shown} of {there} sites are shown, evenly from first to last." if there > shown else ""
