"""Text that LaTeX prints as it stands, whatever it holds; what comes out is plain ASCII and needs no package."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from suite.units import EN_DASH, TIMES

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"{\char34}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}",  # braced, since one after a line's end would be read as its option
}  # fmt: skip
_SYMBOLS = {
    EN_DASH: r"\textendash{}", "\N{EM DASH}": r"\textemdash{}", "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    TIMES: r"$\times$", "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MINUS SIGN}": "$-$", "\N{MICRO SIGN}": r"$\mu$",
    "\N{GREEK SMALL LETTER MU}": r"$\mu$", "\N{MIDDLE DOT}": r"$\cdot$", "\N{DEGREE SIGN}": r"$^{\circ}$",
    "\N{SUPERSCRIPT TWO}": "$^2$", "\N{SUPERSCRIPT THREE}": "$^3$", "\N{LESS-THAN OR EQUAL TO}": r"$\le$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\ge$", "\N{ALMOST EQUAL TO}": r"$\approx$", "\N{RIGHTWARDS ARROW}": r"$\to$",
    "\N{MODIFIER LETTER CAPITAL T}": r"$^{\mathsf{T}}$",
    "\N{LATIN SMALL LETTER SHARP S}": r"\ss{}", "\N{LATIN SMALL LETTER O WITH STROKE}": r"\o{}",
    "\N{LATIN CAPITAL LETTER O WITH STROKE}": r"\O{}", "\N{LATIN SMALL LETTER AE}": r"\ae{}",
    "\N{LATIN CAPITAL LETTER AE}": r"\AE{}", "\N{LATIN SMALL LETTER L WITH STROKE}": r"\l{}",
    "\N{LEFT SINGLE QUOTATION MARK}": "`{}", "\N{RIGHT SINGLE QUOTATION MARK}": "'{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``{}", "\N{RIGHT DOUBLE QUOTATION MARK}": "''{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".", "\u0308": '"',
    "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip


@lru_cache(maxsize=1 << 15)
def escaped(text: str) -> str:
    """`text` on one line. A letter that plain LaTeX has no name for is told by its number, such as U+4E2D."""
    letters = "".join(map(_letter, one_line(text)))
    return re.sub("-(?=-)", "-{}", letters)  # two hyphens are an option, not a dash


def one_line(text: str) -> str:
    """No line breaks and no control characters: both would end a row or hide text."""
    spaced = " ".join(text.split())
    if spaced.isprintable():
        return spaced
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in spaced)


@cache
def _letter(letter: str) -> str:
    known = _SPECIAL.get(letter) or _SYMBOLS.get(letter)
    if known is not None:
        return known
    if letter.isascii():
        return letter
    base, *marks = unicodedata.normalize("NFD", letter)
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"U+{ord(letter):04X}"
