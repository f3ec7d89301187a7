"""Any text for LaTeX with pdflatex's own fonts: what they have as commands, the rest as a visible code."""

import re
import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_\allowbreak{}",
    "^": r"{\ttfamily\char94}",
    "~": r"{\ttfamily\char126}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"{\ttfamily\char34}",
    "`": r"{\ttfamily\char18}",
    "-": r"-{}",  # two hyphens are no dash
    "'": r"'{}",
    "[": "{[}",  # no optional argument after \\ or \item
    "]": "{]}",
    "*": "{*}",
    "=": r"=\allowbreak{}",
    ":": r":\allowbreak{}",
    "/": r"/\allowbreak{}",
    "!": "!{}",
    "?": "?{}",
}
_MATH = {
    "±": r"\pm",
    "−": "-",
    "×": r"\times",
    "·": r"\cdot",
    "÷": r"\div",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "≈": r"\approx",
    "≪": r"\ll",
    "≫": r"\gg",
    "∞": r"\infty",
    "√": r"\surd",
    "∑": r"\sum",
    "∏": r"\prod",
    "∂": r"\partial",
    "∈": r"\in",
    "∘": r"\circ",
    "⊙": r"\odot",
    "⊗": r"\otimes",
    "→": r"\rightarrow",
    "←": r"\leftarrow",
    "↑": r"\uparrow",
    "↓": r"\downarrow",
    "↔": r"\leftrightarrow",
    "⇒": r"\Rightarrow",
    "°": r"^{\circ}",
    "′": r"^{\prime}",
    "¬": r"\neg",
    "µ": r"\mu",
}
_TEXT = {
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "„": ",,",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "§": r"\S{}",
    "¶": r"\P{}",
    "©": r"\copyright{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "å": r"\aa{}",
    "Å": r"\AA{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "¡": "!`",
    "¿": "?`",
    "•": r"\textbullet{}",
}
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi "
    "psi omega"
).split()
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
}


def tex(text: str) -> str:
    """The text as LaTeX source in ASCII, on one line."""
    text = re.sub(r"[\x00-\x1f\x7f\u200b-\u200f\u2028\u2029\ufeff]+", " ", text)
    return "".join(_character(c) for c in unicodedata.normalize("NFC", text))


def _character(c: str) -> str:
    known = _SPECIAL.get(c) or _TEXT.get(c)
    if known:
        return known
    if c.isascii():
        return c
    if c in _MATH:
        return rf"\ensuremath{{{_MATH[c]}}}"
    return _greek(c) or _accented(c) or _raised(c) or rf"{{\ttfamily[U+{ord(c):04X}]}}"


def _greek(c: str) -> str:
    """A Greek letter by its name; capitals that look Latin are written Latin."""
    words = unicodedata.name(c, "").split()
    if words[:1] != ["GREEK"] or words[2:3] != ["LETTER"] or len(words) != 4:
        return ""
    name = words[3].lower().replace("lamda", "lambda")
    if name == "omicron":
        return "o" if c.islower() else "O"
    if name not in _GREEK:
        return ""
    if c.islower():
        return rf"\ensuremath{{\{name}}}"
    if name in ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"):
        return rf"\ensuremath{{\{name.capitalize()}}}"
    latin = {"eta": "H", "rho": "P", "chi": "X", "zeta": "Z", "mu": "M", "nu": "N"}
    return latin.get(name, name[0].upper())


def _accented(c: str) -> str:
    """A Latin letter with one accent."""
    parts = unicodedata.normalize("NFD", c)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        letter = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0]) if parts[1] not in "\u0323\u0327" else parts[0]
        return rf"\{_ACCENTS[parts[1]]}{{{letter}}}"
    return ""


def _raised(c: str) -> str:
    """Digits and signs above or below the line, and fractions."""
    kind, _, plain = unicodedata.decomposition(c).partition(" ")
    if kind not in ("<super>", "<sub>"):
        return ""
    letters = "".join(chr(int(code, 16)) for code in plain.split()).replace("−", "-")
    if not re.fullmatch(r"[\w+=()-]+", letters) or not letters.isascii():
        return ""
    return rf"\ensuremath{{{'^' if kind == '<super>' else '_'}{{\mathrm{{{letters}}}}}}}"
