"""One colour for each operator class, attention kind, stack and memory part, the same in every figure.

Hues are Okabe & Ito's and Paul Tol's, which readers with any colour vision can tell apart; neighbours in a stacked
bar differ in lightness as well, so a bar still reads in grey.
"""

from __future__ import annotations

from collections.abc import Sequence

INK = "#1a1a1a"
FAINT = "#767676"
RULE = "#d0d0d0"
BAND = "#ececec"

CLASS_COLOURS = {
    "attention core": "#c44e00",
    "attention projection": "#f2b27a",
    "convolution": "#0a5a8f",
    "linear": "#43b592",
    "normalization": "#f2e279",
    "elementwise": "#7fc1ea",
    "data_movement": "#a8487f",
    "embedding": "#d9b3cf",
    "quantization": "#5c4b8a",
    "communication": "#f0c4bc",
    "other": "#b5b5b5",
}
"""Segments of a stacked bar, in the order in which they are stacked."""

KIND_COLOURS = {
    "spatial": "#0a5a8f",
    "temporal": "#e0701a",
    "cross": "#1f9e89",
    "joint": "#a8487f",
    "causal": "#5c4b8a",
    "unknown": "#8a8a8a",
}

WEIGHTS = "#9a9a9a"

VERDICT_COLOURS = {"FASTER": "#0a5a8f", "SLOWER": "#c44e00", "SAME": "#555555", "UNCLEAR": "#9a9a9a"}

_BASELINE = "#4d4d4d"
_STACKS = ("#0a7abf", "#e0701a", "#1f9e89", "#a8487f", "#b8a000", "#5c4b8a", "#c23b3b", "#6b8e23", "#8c564b", "#17a2b8")


def stack_colours(stacks: Sequence[str], baseline: str | None) -> dict[str, str]:
    """A colour for each stack: dark grey for the baseline, hues in order for the rest (repeating after ten)."""
    others = [stack for stack in stacks if stack != baseline]
    colours = {stack: _STACKS[index % len(_STACKS)] for index, stack in enumerate(others)}
    return {stack: colours.get(stack, _BASELINE) for stack in stacks}


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on `colour` (relative luminance, WCAG 2)."""
    return INK if luminance(colour) > 0.3 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance of a ``#rrggbb`` colour, 0 for black and 1 for white (WCAG 2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
