"""Ratios as people read them, by one convention.

A ratio of times, bytes or work is what the stack takes over what the other takes, so that below 1 is better; the axis or the
column that it stands on names both ("time over out of the box"). Where a word tells the direction, the number is by how much,
and never below 1: ``1.52x faster``, not ``0.658x faster``. Only what was published as a speed-up stays one beside ours.
"""

from __future__ import annotations

from suite.units import NONE, TIMES, is_number, ratio, with_interval


def factor_words(over: float | None, low: float | None = None, high: float | None = None) -> str:
    """``1.45x [1.40-1.51]`` with a multiplication sign and an en dash; without ends that are not known."""
    if over is None or not is_number(over):
        return NONE
    if not (is_number(low) and is_number(high)):
        return ratio(over)
    median, ends = with_interval(over, low, high).split(" ", 1)
    return f"{median}{TIMES} {ends}"


def pace(over: float | None, low: float | None = None, high: float | None = None) -> str:
    """A ratio of times in words: ``1.52x faster``, ``1.51x slower``, or ``as fast`` where rounding leaves nothing.

    Args:
        over: time over the other's.
        low: lower end of its interval, if it is told.
        high: upper end.
    """
    return _directed(over, (low, high), ("faster", "slower", "as fast"))


def amount(over: float | None) -> str:
    """A ratio of bytes, or of whatever else there can be less of, in words: ``2.00x less``, ``1.25x more``, ``as much``."""
    return _directed(over, (None, None), ("less", "more", "as much"))


def judged_pace(over: float | None, verdict: str | None) -> str:
    """A ratio of times with its verdict in a few letters; one that decides nothing is told as it is: ``0.987x same``."""
    return f"{ratio(over)} {verdict.lower()}" if verdict in ("SAME", "UNCLEAR") else pace(over)


def _directed(over: float | None, ends: tuple[float | None, float | None], words: tuple[str, str, str]) -> str:
    if over is None or not is_number(over) or over <= 0:
        return NONE
    less, more, even = words
    if ratio(max(over, 1 / over)) == ratio(1.0):
        return even
    low, high = ends
    if over > 1:
        return f"{factor_words(over, low, high)} {more}"
    inverted = (1 / end if end is not None and is_number(end) else None for end in (high, low))
    return f"{factor_words(1 / over, *inverted)} {less}"
