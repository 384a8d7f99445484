"""Peaks of hand-made tables: how much, who holds it, who would next."""

from __future__ import annotations

import pyarrow as pa
import pytest

from suite.peaks import Peak, peak_of
from suite.record_tables import TABLES


def peaks(**allocated: int | None) -> pa.Table:
    rows = [{"stage": stage, "allocated_bytes": size} for stage, size in allocated.items()]
    return pa.Table.from_pylist(rows, schema=TABLES["memory_peaks"])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"generate": 9, "text_encode": 2, "denoise_step": 7, "decode": 9}, Peak(9, ("decode",), ("denoise_step", 7))),
        ({"generate": 9, "denoise_step": 9, "decode": 9}, Peak(9, ("denoise_step", "decode"), None)),
        ({"generate": 9, "denoise_step": 7}, Peak(9, ("between stages",), ("denoise_step", 7))),
        ({"generate": 9}, Peak(9, ("between stages",), None)),
        ({"generate": 9, "denoise_step": None, "decode": 9}, Peak(9, ("decode",), None)),
        ({"decode": 9}, Peak(9, ("decode",), None)),
        ({"generate": None, "decode": None}, None),
        ({}, None),
    ],
)
def test_the_peak_is_the_largest_stage_and_the_next_is_what_would_be_left(
    sizes: dict[str, int | None], expected: Peak | None
) -> None:
    assert peak_of(peaks(**sizes)) == expected


def test_counters_are_apart() -> None:
    rows = [
        {"stage": "generate", "allocated_bytes": 5, "reserved_bytes": 8},
        {"stage": "denoise_step", "allocated_bytes": 5, "reserved_bytes": 6},
        {"stage": "decode", "allocated_bytes": 4, "reserved_bytes": 8},
    ]
    table = pa.Table.from_pylist(rows, schema=TABLES["memory_peaks"])
    assert peak_of(table) == Peak(5, ("denoise_step",), ("decode", 4))
    assert peak_of(table, "reserved") == Peak(8, ("decode",), ("denoise_step", 6))
    assert peak_of(table, "device") is None
