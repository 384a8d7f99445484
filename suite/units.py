"""Numbers as people read them. Everything else computes in SI units; only here are they scaled and rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_high

EN_DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO}"
NONE = EN_DASH
"""What stands where there is no number."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit and how many base units it holds."""

    symbol: str
    size: float


_LADDERS = {
    "s": (Unit("µs", 1e-6), Unit("ms", 1e-3), Unit("s", 1.0)),
    "bytes": (Unit("KiB", 1024.0), Unit("MiB", 1024.0**2), Unit("GiB", 1024.0**3)),
    "flops": (Unit("MFLOP", 1e6), Unit("GFLOP", 1e9), Unit("TFLOP", 1e12)),
    "flops_per_s": (Unit("MFLOP/s", 1e6), Unit("GFLOP/s", 1e9), Unit("TFLOP/s", 1e12)),
    "hz": (Unit("MHz", 1e6), Unit("GHz", 1e9)),
    "j": (Unit("mJ", 1e-3), Unit("J", 1.0), Unit("kJ", 1e3)),
}


def unit_for(values: Iterable[float], base: str) -> Unit:
    """The unit in which these values are easiest to read: the largest that leaves their median at 1 or more.

    Seconds stay seconds down to 0.5 s, so that a column of runs is not written as 1200 ms beside 0.9 s.
    """
    ladder = _LADDERS[base]
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    if not sizes:
        return ladder[-1]
    middle = median_high(sizes)
    fitting = [unit for unit in ladder if middle >= unit.size * (0.5 if unit.symbol == "s" else 1.0)]
    return fitting[-1] if fitting else ladder[0]


def is_number(value: float | None) -> bool:
    """Whether there is a finite number to print."""
    return value is not None and math.isfinite(value)


def rounded(value: float | None, digits: int = 3) -> str:
    """`value` to `digits` significant digits without an exponent: 1234.5 -> 1234, 0.012345 -> 0.0123."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{_decimals(value, digits)}f}"


def quantity(value: float | None, base: str) -> str:
    """A single value with its own unit, e.g. ``1.23 s`` or ``512 MiB``."""
    if value is None or not math.isfinite(value):
        return NONE
    unit = unit_for([value], base)
    return f"{rounded(value / unit.size)} {unit.symbol}"


def with_interval(median: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """``1.23 [1.20 - 1.27]`` with an en dash; all three to the same decimals, enough of them to tell the ends apart."""
    if median is None or not math.isfinite(median):
        return NONE
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return rounded(median, digits)
    decimals = _decimals(median, digits)
    if high > low:
        decimals = max(decimals, min(_decimals(high - low, 1), 4))
    return f"{median:,.{decimals}f} [{low:,.{decimals}f}{EN_DASH}{high:,.{decimals}f}]"


def ratio(value: float | None) -> str:
    """A factor, e.g. ``1.45x`` with a multiplication sign."""
    return NONE if value is None or not math.isfinite(value) else f"{rounded(value)}{TIMES}"


def percent(share: float | None) -> str:
    """A share of 1 as a percentage; small ones keep a digit."""
    if share is None or not math.isfinite(share):
        return NONE
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 9.95 or value == 0 else f"{value:.1f} %"


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return 0
    return max(digits - 1 - math.floor(math.log10(abs(value))), 0)
