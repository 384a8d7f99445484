"""Words of ratios: no number below 1 beside a word that tells the direction, and both ends where they belong."""

from __future__ import annotations

import math
import re

import pytest

from reports.ratios import amount, factor_words, judged_pace, pace
from suite.units import EN_DASH, TIMES


def plain(words: str) -> str:
    """In letters that a keyboard has."""
    return words.replace(TIMES, "x").replace(EN_DASH, "-")


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (0.658, "1.52x faster"),
        (1.51, "1.51x slower"),
        (0.5, "2.00x faster"),
        (25.0, "25.0x slower"),
        (1.0, "as fast"),
        (1.001, "as fast"),
        (1 / 1.001, "as fast"),
        (0.99, "1.01x faster"),
        (math.nan, "-"),
        (None, "-"),
        (0.0, "-"),
    ],
)
def test_a_pace_is_told_in_the_direction_of_its_word(over: float | None, words: str) -> None:
    assert plain(pace(over)) == words


def test_an_interval_is_turned_with_its_ratio() -> None:
    assert plain(pace(0.5, 0.4, 0.8)) == "2.00x [1.25-2.50] faster"
    assert plain(pace(2.0, 1.25, 2.5)) == "2.00x [1.25-2.50] slower"
    assert plain(pace(2.0, math.nan, math.nan)) == "2.00x slower"
    assert plain(factor_words(0.5, 0.4, 0.8)) == "0.500x [0.400-0.800]"
    assert plain(factor_words(0.5)) == "0.500x"


def test_an_amount_is_less_or_more() -> None:
    assert [plain(amount(over)) for over in (0.25, 1.25, 1.0)] == ["4.00x less", "1.25x more", "as much"]


@pytest.mark.parametrize(
    ("over", "verdict", "words"),
    [
        (0.658, "FASTER", "1.52x faster"),
        (1.51, "SLOWER", "1.51x slower"),
        (0.987, "SAME", "0.987x same"),
        (0.8, "UNCLEAR", "0.800x unclear"),
        (0.658, None, "1.52x faster"),  # an estimate
        (0.658, math.nan, "1.52x faster"),
    ],
)
def test_what_decides_nothing_is_told_as_it_is(over: float, verdict: str | None, words: str) -> None:
    assert plain(judged_pace(over, verdict)) == words


def test_no_ratio_below_one_stands_beside_a_word_of_direction() -> None:
    for hundredth in range(1, 400):
        for words in (pace(hundredth / 100), amount(hundredth / 100), pace(hundredth / 100, 0.01, 4.0)):
            found = re.match(r"([\d.,]+)x", plain(words))
            assert found is None or float(found[1].replace(",", "")) >= 1
