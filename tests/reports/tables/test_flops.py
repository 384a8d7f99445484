"""Runs that nobody timed: reports.tables.flops, reports.breakdown, reports.figures.operator_breakdown."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from reports import load
from reports.breakdown import by_segment
from reports.figures import operator_breakdown
from reports.table import render
from reports.tables import flops
from suite.machine import Machine
from suite.units import AT_LEAST, NONE
from tests.reports.simulated import ROWS, save_simulated


def test_a_run_without_a_clock_has_its_flops_and_no_rate(tmp_path: Path) -> None:
    runs = load(save_simulated(tmp_path))
    table = flops.build(runs).set_index("segment")
    assert table.loc["convolution", "share"] == pytest.approx(312 / 468)
    assert table.loc["all classes", "flops"] == 468e12
    assert table["flops_per_s"].isna().all()
    assert by_segment(runs).empty


def made(operator_class: str, operator: str, flops: int | None, vector_flops: int | None) -> dict[str, Any]:
    return {"stage": "decode", "operator": operator, "operator_class": operator_class, "calls": 1,
            "flops": flops, "vector_flops": vector_flops}  # fmt: skip


def test_what_is_not_known_is_never_zero(tmp_path: Path) -> None:
    rows = [
        made("linear", "aten::mm", 6_000_000, 0),
        made("linear", "mine::linear", None, None),
        made("normalization", "aten::group_norm", 0, 0),
        made("normalization", "aten::native_group_norm", 0, 2_000_000),
        made("elementwise", "aten::normal_", 0, None),
        made("elementwise", "aten::empty_like", 0, 0),
        made("embedding", "aten::embedding", 0, 0),
    ]
    table = flops.build(load(save_simulated(tmp_path, rows=rows)))
    shown = render(table, flops.COLUMNS)
    cells = {row[2]: dict(zip(shown.headers, row, strict=True)) for row in shown.rows}
    told = {
        name: (row["Matrix FLOPs (MFLOP)"], row["Share"], row["Vector FLOPs (MFLOP)"]) for name, row in cells.items()
    }
    assert told == {
        "linear": (f"{AT_LEAST} 6.00", "100 %", NONE),
        "normalization": ("0", "0 %", "2.00"),
        "elementwise": ("0", "0 %", NONE),
        "embedding": ("0", "0 %", "0"),
        "all classes": (f"{AT_LEAST} 6.00", "100 %", f"{AT_LEAST} 2.00"),
    }
    assert AT_LEAST in flops.CAPTION


def test_wrappers_of_zero_hide_no_null_in_records_without_the_column(tmp_path: Path) -> None:
    folder = save_simulated(
        tmp_path, rows=[made("linear", "aten::mm", 6, 0), made("normalization", "aten::group_norm", 0, 0),
                        made("normalization", "aten::native_group_norm", None, None)]
    )  # fmt: skip
    (path,) = folder.rglob("operators.parquet")
    parquet.write_table(parquet.read_table(path).drop_columns(["vector_flops"]), path)
    table = flops.build(load(folder)).set_index("segment")
    assert table["flops"].to_dict() == pytest.approx({"linear": 6, "normalization": nan, "all classes": 6}, nan_ok=True)
    assert table["flops_is_least"].to_dict() == {"linear": False, "normalization": False, "all classes": True}
    assert table["vector_flops"].isna().all()


def test_estimated_seconds_are_drawn_under_the_name_of_their_machine(tmp_path: Path) -> None:
    rows = [row | {"estimated_s": seconds} for row, seconds in zip(ROWS, (1.0, 1.0, 0.5, 0.0), strict=True)]
    runs = load(save_simulated(tmp_path, machine=Machine(name="a toy machine"), rows=rows))
    frame = by_segment(runs).set_index("segment")
    assert set(frame["clock"]) == {"estimated time on a toy machine"}
    assert frame.loc["convolution", "share"] == pytest.approx(0.4)
    assert "estimated time on a toy machine" in operator_breakdown.caption(runs)
    assert "profiled pass" not in operator_breakdown.caption(runs)
    assert flops.build(runs)["flops_per_s"].isna().all(), "an estimated rate is no achieved one"
