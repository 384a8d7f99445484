"""Where the letters of points stand that lie too near each other to have them beside themselves."""

from __future__ import annotations

from collections.abc import Sequence

LETTER_POINTS = 7.5
"""From the middle of a letter to that of the next."""


def letters_at(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where the letters of points stand, as offsets from them: below, those of near points side by side in their order.

    Args:
        points: where they lie, in printer's points, from left to right.
    """
    rows: list[list[tuple[float, float]]] = []
    for point in points:
        rows.append([point])
        while len(rows) > 1 and _ends(rows[-2])[1] + LETTER_POINTS > _ends(rows[-1])[0]:
            rows[-2:] = [rows[-2] + rows[-1]]
    offsets = []
    for row in rows:
        left, low = _ends(row)[0], min(up for _, up in row)
        drop = LETTER_POINTS * (1 if len(row) == 1 else 2)
        offsets += [(left + LETTER_POINTS * at - across, low - drop - up) for at, (across, up) in enumerate(row)]
    return offsets


def _ends(row: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the first and the last letter of a row stand whose middle is that of its points."""
    middle, half = sum(across for across, _ in row) / len(row), LETTER_POINTS * (len(row) - 1) / 2
    return middle - half, middle + half
