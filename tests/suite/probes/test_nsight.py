"""Nsight Compute's CSV, written by hand in its layout, read into SI units."""

from __future__ import annotations

import pytest
from nsight_output import COLUMNS, GEMM, SOFTMAX, UNITS, counters, printed, quoted

from suite.probes.nsight import NsightError, kernels, number


def test_kernels_in_launch_order_in_si_units() -> None:
    first, second = kernels(
        printed(
            (GEMM, counters("12,416", ("1,048,576", "61.32"), ("524,288", "88.5"), "4,194,304")),
            (SOFTMAX, counters("3200", ("0", "0"), ("1,024", "n/a"), "65,536")),
        )
    )
    assert first == {
        "kernel": GEMM, "duration_s": pytest.approx(12.416e-6), "l1_sectors": 1048576, "l1_hit_rate": pytest.approx(0.6132),
        "l2_sectors": 524288, "l2_hit_rate": pytest.approx(0.885), "dram_bytes": 4194304,
    }  # fmt: skip
    assert second["kernel"] == SOFTMAX, "quotes and commas of a name stay"
    assert second["l2_hit_rate"] is None


@pytest.mark.parametrize(
    ("unit", "seconds"), [("ns", 2e-9), ("us", 2e-6), ("usecond", 2e-6), ("ms", 2e-3), ("second", 2), ("s", 2)]
)
def test_units_are_those_of_the_row_below_the_header(unit: str, seconds: float) -> None:
    units = UNITS | {"gpu__time_duration.sum": unit, "dram__bytes.sum": "Mbyte"}
    (row,) = kernels(printed((GEMM, counters("2", ("1", "1"), ("1", "1"), "1.5")), units=units))
    assert row["duration_s"] == pytest.approx(seconds)
    assert row["dram_bytes"] == pytest.approx(1.5e6)


NUMBERS = {
    "61.32": 61.32, "12,416": 12416, "1,048,576": 1048576, "1,048,576.25": 1048576.25, "61,32": 61.32,
    "1.048.576": 1048576, "1.048.576,25": 1048576.25, "1 048 576": 1048576, "1'048'576": 1048576, "1\u202f048,5": 1048.5,
    "0,125": 0.125, "-3": -3, "1e3": 1000, "0": 0, "n/a": None, "(!) n/a": None, "": None, "nan": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), NUMBERS.items(), ids=[f"number{index}" for index in range(len(NUMBERS))])
def test_numbers_of_any_locale(text: str, value: float | None) -> None:
    assert number(text) == value


def test_counters_that_a_gpu_does_not_have_are_none() -> None:
    row = counters("2", ("1", "50"), ("1", "25"), "n/a")
    for text in (
        printed((GEMM, row), units=UNITS | {"dram__bytes.sum": ""}),
        printed((GEMM, row)).replace("dram__", "x__"),
    ):
        (found,) = kernels(text)
        assert found["dram_bytes"] is None
        assert (found["l1_hit_rate"], found["l2_hit_rate"]) == (0.5, 0.25)


def test_what_cannot_be_read_is_one_sentence() -> None:
    row = counters("1", ("1", "1"), ("1", "1"), "1")
    text = printed((GEMM, row))
    for broken, says in (
        ("==PROF== Connected\n==WARNING== No kernels were profiled.\n", "no table of kernels"),
        (quoted(COLUMNS), "no table of kernels"),
        (text.replace(".sum", "").replace(".pct", ""), "none of gpu__time_duration.sum"),
        (printed((GEMM, row), units=UNITS | {"dram__bytes.sum": "furlong"}), "dram__bytes.sum in furlong"),
        (printed((GEMM, row | {"dram__bytes.sum": "many"})), "'many' where a number should be"),
    ):
        with pytest.raises(NsightError, match=says) as caught:
            kernels(broken)
        assert "\n" not in str(caught.value)
