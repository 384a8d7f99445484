"""Letters below points: apart from each other, in the points' order, and no further off than need be."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reports.letters import LETTER_POINTS, letters_at

POINTS = st.lists(st.tuples(st.floats(0, 200), st.floats(0, 100)), max_size=12).map(sorted)


def test_a_point_by_itself_has_its_letter_right_below() -> None:
    assert letters_at([(10, 50), (100, 20)]) == [(0, -LETTER_POINTS), (0, -LETTER_POINTS)]


def test_near_points_have_theirs_in_a_row_around_their_middle() -> None:
    (left, under), (right, lower) = letters_at([(10, 50), (12, 40)])
    assert (10 + left, 12 + right) == (11 - LETTER_POINTS / 2, 11 + LETTER_POINTS / 2)
    assert 50 + under == 40 + lower == 40 - 2 * LETTER_POINTS


@given(POINTS)
def test_letters_keep_the_order_and_lie_apart(points: list[tuple[float, float]]) -> None:
    offsets = letters_at(points)
    across = [x + dx for (x, _), (dx, _) in zip(points, offsets, strict=True)]
    assert all(after - before >= LETTER_POINTS - 1e-6 for before, after in pairwise(across))
    assert all(dy <= -LETTER_POINTS + 1e-6 for _, dy in offsets), "below its own point"
