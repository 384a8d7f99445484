"""Numbers as text."""

# ruff: noqa: RUF001 - en dashes and multiplication signs are what is tested
from __future__ import annotations

import math

import pytest

from suite.units import percent, quantity, ratio, rounded, unit_for, with_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,234"),
        (0.012345, "0.0123"),
        (0, "0"),
        (9.996, "10.00"),
        (-2.5, "-2.50"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_rounded(value: float | None, text: str) -> None:
    assert rounded(value) == text


def test_units_fit_the_middle_of_a_column() -> None:
    assert unit_for([0.002, 0.003, 1.2], "s").symbol == "ms"
    assert unit_for([0.6], "s").symbol == "s"
    assert unit_for([3 * 2**30, 5 * 2**20, 4 * 2**30], "bytes").symbol == "GiB"
    assert unit_for([7e9], "flops_per_s").symbol == "GFLOP/s"
    assert unit_for([], "s").symbol == "s"
    assert unit_for([0.0, math.nan], "bytes").symbol == "GiB"


def test_intervals_keep_their_ends_apart() -> None:
    assert with_interval(1.2792, 1.2771, 1.2821) == "1.279 [1.277–1.282]"
    assert with_interval(5.81, 5.68, 5.89) == "5.81 [5.68–5.89]"
    assert with_interval(2.0, math.nan, math.nan) == "2.00"
    assert with_interval(2.0, 2.0, 2.0) == "2.00 [2.00–2.00]"
    assert with_interval(math.nan, 1, 2) == "–"


def test_the_rest() -> None:
    assert quantity(512 * 2**20, "bytes") == "512 MiB"
    assert quantity(0.0005, "s") == "500 µs"
    assert ratio(1.456) == "1.46×"
    assert [percent(share) for share in (0.0, 0.004, 0.0994, 0.0996, 1.0)] == ["0 %", "0.4 %", "9.9 %", "10 %", "100 %"]
