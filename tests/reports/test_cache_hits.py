"""Hit rates of attention's kernels: sums by hand over kernels, shapes and calls.

Names for the mirror: reports.figures.cache_hit_rates, reports.tables.cache_hit_rates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from reports import load
from reports.cache_hits import cache_hits
from reports.claims.assess import assessed
from reports.exhibits import build_table, draw_figure
from reports.figures import cache_hit_rates as figure
from reports.style import house_style
from reports.tables import cache_hit_rates as table
from suite import record_folder
from suite.record import Outcome, Record, WorkloadFacts
from suite.record_tables import TABLES


def kernel(
    kind: str, kernel_class: str, l1: tuple[float, float | None], calls: int = 1, **changes: Any
) -> dict[str, Any]:
    """One kernel; (sectors, hit rate) in L1. L2 gets half of the sectors and finds twice the share."""
    sectors, rate = l1
    row = {"attention_kind": kind, "batch": 1, "heads": 8, "query_length": 16, "key_length": 16, "head_dim": 64,
           "precision": "float16", "calls": calls, "attention_kernel": "math", "launch": 0, "kernel": f"a {kernel_class}",
           "kernel_class": kernel_class, "duration_s": 2e-6, "dram_bytes": 1000.0, "l1_sectors": sectors,
           "l1_hit_rate": rate, "l2_sectors": sectors / 2, "l2_hit_rate": None if rate is None else 2 * rate}  # fmt: skip
    return row | changes


ROWS = [
    kernel("spatial", "softmax", (100, 0.4)),
    kernel("spatial", "gemm", (100, 0.2)),
    kernel("spatial", "gemm", (300, 0.4), launch=2),
    kernel("spatial", "gemm", (100, 0.1), calls=4, query_length=64),
    kernel("temporal", "gemm", (50, 0.02)),
    kernel("temporal", "softmax", (0, None)),
    kernel("spatial", "fused_attention", (10, 0.1), attention_kernel="flash"),
]
REFUSED = kernel("temporal", "", (0, None)) | dict.fromkeys(
    ("kernel", "kernel_class", "duration_s", "dram_bytes", "l1_sectors", "l2_sectors"), None
) | {"attention_kernel": "flash", "reason": "no head dimension of 512"}  # fmt: skip


def save_run(folder: Path, rows: list[dict[str, Any]], name: str = "toy") -> Path:
    found = Record(
        run_id=name, name=name, created="2026-01-01T00:00:00+00:00", execution="measure", outcome=Outcome(status="ok"),
        workload=WorkloadFacts(name=name, scale="paper"), config={"optimization": {}},
        environment={"device": "cuda", "gpu": {"name": "NVIDIA A100"}},
    )  # fmt: skip
    columns = pa.Table.from_pylist(rows, schema=TABLES["attention_kernels"])
    record_folder.save(found, {"attention_kernels": columns}, folder / name)
    return folder


def test_kernels_weigh_as_their_sectors_and_their_calls(tmp_path: Path) -> None:
    frame = cache_hits(load(save_run(tmp_path, [*ROWS, REFUSED])))
    found = frame.set_index(["attention_kernel", "kernel_class", "attention_kind"])
    gemm = found.loc["math", "gemm", "spatial"]
    assert gemm["l1_hit_rate"] == pytest.approx((100 * 0.2 + 300 * 0.4 + 400 * 0.1) / 800)
    assert gemm["l2_hit_rate"] == pytest.approx(2 * gemm["l1_hit_rate"])
    assert gemm["num_kernels"] == 3
    assert gemm["duration_s"] == pytest.approx(6 * 2e-6)
    assert gemm["dram_bytes"] == 6000
    temporal = found.loc["math", "gemm", "temporal"]
    assert temporal["l1_over_spatial"] == pytest.approx(0.02 / gemm["l1_hit_rate"])
    assert pd.isna(found.loc["math", "softmax", "temporal"]["l1_hit_rate"]), "no sector, no rate"
    names = [name for name in frame["kernel_class"] if name is not None]
    assert names == ["gemm", "gemm", "softmax", "softmax", "fused_attention"], "as the paper has them"
    assert set(frame["device_name"]) == {"NVIDIA A100"}


def test_what_was_refused_is_told_and_not_drawn(tmp_path: Path) -> None:
    runs = load(save_run(tmp_path, [*ROWS, REFUSED]))
    built = build_table(table, runs)
    assert built is not None
    assert built.rendered.rows[-1][built.rendered.headers.index("Not launched")] == "no head dimension of 512"
    assert len(figure.data(runs)) == len(built.rendered.rows) - 1


def test_bars_are_as_long_as_the_rates(tmp_path: Path) -> None:
    runs = load(save_run(tmp_path, ROWS))
    drawn = figure.draw(runs)
    assert drawn is not None
    first, second = (
        [bar.get_path().get_extents(bar.get_transform() - axes.transData).width for bar in axes.patches]
        for axes in drawn.axes
    )
    assert sorted(first) == pytest.approx([2, 10, 22.5, 40])
    assert sorted(second) == pytest.approx([4, 20, 45, 80])
    assert [axes.get_xlabel() for axes in drawn.axes] == ["L1 hit rate (%)", "L2 hit rate (%)"]
    with house_style():
        exhibit = draw_figure(figure, runs)
    assert exhibit is not None
    assert "toy, math, gemm, temporal: L1 2.0 %, L2 4.0 %" in exhibit.alt_text
    assert "NVIDIA A100" in exhibit.caption


def test_several_runs_of_one_figure_are_told_apart_and_cut_off_where_room_ends(tmp_path: Path) -> None:
    for index in range(10):
        save_run(tmp_path, ROWS[:1], f"toy{index}")
    assert "Drawn are 8 of 10 blocks" in figure.caption(load(tmp_path))


def test_the_published_ratio_is_held_against_each_class_of_kernel(tmp_path: Path) -> None:
    found = assessed(load(save_run(tmp_path, ROWS)))
    (row,) = (row for row in found.to_dict("records") if row["claim"] == "temporal_l1_hit_rate_ratio")
    assert row["our_value"] == pytest.approx(0.02 / 0.225)
    assert (row["reading"], row["verdict"]) == ("toy, gemm kernels", "agrees")


def test_runs_without_such_kernels_have_nothing(tmp_path: Path) -> None:
    runs = load(save_run(tmp_path, []))
    assert build_table(table, runs) is None
    assert draw_figure(figure, runs) is None
    only = load(save_run(tmp_path / "refused", [REFUSED]))
    assert draw_figure(figure, only) is None
    assert build_table(table, only) is not None
