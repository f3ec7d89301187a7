"""matplotlib's SVG made fit to stand with others in one page: ids of its own, no rules for the page, fewer digits."""

import re
from collections.abc import Mapping

_ID = re.compile(r'(<[^<>]*?) id="([^"]+)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^)"]+)')
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_RULES = re.compile(r"\s*<defs>\s*<style[^>]*>\*\{([^}]*)\}</style>\s*</defs>")
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_PROLOGUE = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_NO_TURN = re.compile(r' transform="rotate\(-?0(?:\.0)? [^"]*\)"')


def tidy_svg(text: str, name: str) -> str:
    """The same picture. Only ids that something refers to stay, as NAME-..., so that two figures never share one."""
    rules = _RULES.search(text)
    assert rules, "matplotlib no longer writes its rule for all elements here"
    text = _METADATA.sub("", _COMMENT.sub("", text.replace(rules.group(0), "", 1)))
    text = _PROLOGUE.sub("", text).replace("<g ", f'<g style="{rules.group(1)}" ', 1)
    used = dict.fromkeys(match.group(2) for match in _REFERENCE.finditer(text))
    # Numbers: matplotlib's own ids depend on the last digits of the layout.
    numbers = {own: f"{name}-{number}" for number, own in enumerate(used)}
    text = _ID.sub(lambda found: _kept(found, numbers), text)
    text = _REFERENCE.sub(lambda found: f"{found.group(1)}{numbers[found.group(2)]}", text)
    text = _NO_TURN.sub("", text)
    text = re.sub(r' (?:d|x|y|transform|points)="[^"]*"', lambda found: _NUMBER.sub(_rounded, found.group(0)), text)
    # Verdana is as wide as DejaVu Sans, where that is missing.
    return text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def _kept(found: re.Match[str], numbers: Mapping[str, str]) -> str:
    own = numbers.get(found.group(2))
    return found.group(1) if own is None else f'{found.group(1)} id="{own}"'


def _rounded(found: re.Match[str]) -> str:
    """Two digits after the point: a hundredth of a point, 1/72 inch."""
    text = f"{float(found.group(0)):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
