"""Memory, time and fidelity of stacks whose every number is known.

Names for the mirror: reports.tables.trade_offs, reports.figures.trade_offs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from reports import load
from reports.exhibits import build_table, draw_figure
from reports.figures import trade_offs as figure
from reports.style import house_style
from reports.tables import trade_offs as table
from reports.trade_offs import trade_offs
from suite.record import Sample
from tests.reports.streamlined_records import GIB, SECOND, save_run


def seconds(stack: Sequence[float], box: Sequence[float]) -> list[Sample]:
    pairs = (("stack", stack), ("out_of_the_box", box))
    return [
        Sample(metric="latency_s", value=v, trial=n, arm=arm) for arm, values in pairs for n, v in enumerate(values)
    ]


def fidelity(**metrics: float) -> list[Sample]:
    return [Sample(metric=name, value=value) for name, value in metrics.items()]


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    box = [4.0, 4.0, 5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    save_run(tmp_path, (), 20, samples=seconds(box, []))
    slower = seconds([1.5 * value for value in box], box) + fidelity(max_relative_error=2e-6, psnr_db=120.0, ssim=1.0)
    save_run(tmp_path, ("operator_grouping",), 5, samples=slower)
    wrong = seconds(box, box) + fidelity(max_relative_error=0.3, psnr_db=20.0)
    save_run(tmp_path, ("broken",), 20, samples=wrong)
    same = seconds(box, box) + fidelity(max_relative_error=0.0)
    save_run(tmp_path, ("vae_slicing",), 10, samples=same)
    faster = seconds([value / 2 for value in box], box)
    faster += fidelity(max_relative_error=0.5, psnr_db=23.5, ssim=0.8, latent_relative_error=0.1)
    save_run(tmp_path, ("step_rehash",), 20, exact=False, samples=faster)
    return tmp_path


def test_ratios_are_over_the_workload_out_of_the_box(measured: Path) -> None:
    frame = trade_offs(load(measured)).set_index("stack")
    assert frame["relative_memory"].to_dict() == {
        "out_of_the_box": 1, "broken": 1, "operator_grouping": 0.25, "step_rehash": 1, "vae_slicing": 0.5,
    }  # fmt: skip
    assert frame.loc["operator_grouping", "weights_bytes"] == 2 * GIB
    assert frame.loc["operator_grouping", "relative_beside"] == pytest.approx((5 - 2) / (20 - 2))
    times = frame["relative_time"].to_dict()
    assert times["operator_grouping"] == pytest.approx(1.5)
    assert times["step_rehash"] == pytest.approx(0.5)
    assert pd.isna(times["out_of_the_box"])
    ends = frame.loc["operator_grouping", ["time_low", "time_high"]]
    assert ends.tolist() == pytest.approx([1.5, 1.5]), "every pair has the same ratio"
    assert frame.loc[["operator_grouping", "step_rehash", "vae_slicing"], "verdict"].tolist() == [
        "SLOWER",
        "FASTER",
        "SAME",
    ]


def test_an_interval_of_times_has_its_ends_in_order(tmp_path: Path) -> None:
    save_run(tmp_path, (), 20, samples=seconds([4.0] * 5, []))
    save_run(tmp_path, ("a",), 5, samples=seconds([4.0, 5.0, 6.0, 7.0, 8.0], [4.0] * 5))
    row = trade_offs(load(tmp_path)).set_index("stack").loc["a"]
    assert row[["time_low", "relative_time", "time_high"]].tolist() == pytest.approx([1.0, 1.5, 2.0])


def test_output_is_told_by_what_was_found_not_by_what_was_promised(measured: Path) -> None:
    words = table.build(load(measured)).set_index("stack")["output"].to_dict()
    assert words == {
        "out_of_the_box": "itself", "operator_grouping": "exact (2e-06)", "vae_slicing": "identical",
        "step_rehash": "changed", "broken": "not exact (3e-01)",
    }  # fmt: skip


def test_a_simulation_has_estimates_and_no_fidelity(tmp_path: Path) -> None:
    save_run(tmp_path, (), 20)
    save_run(tmp_path, ("operator_grouping",), 5, [2 * SECOND] * 4)
    save_run(tmp_path, ("step_rehash",), 20, [SECOND] * 2, exact=False)
    frame = table.build(load(tmp_path)).set_index("stack")
    assert frame.loc["operator_grouping", "relative_time"] == pytest.approx(2)
    assert frame.loc["step_rehash", "relative_time"] == pytest.approx(0.5)
    assert frame.loc["step_rehash", "time_is"] == "estimated, NVIDIA A100 80GB SXM"
    assert frame["output"].to_dict() == {
        "out_of_the_box": "itself", "operator_grouping": "exact by construction", "step_rehash": "may change",
    }  # fmt: skip
    with house_style():
        assert draw_figure(figure, load(tmp_path)) is not None


def test_groups_with_nothing_to_compare_with_are_left_out(tmp_path: Path) -> None:
    save_run(tmp_path, ("vae_slicing",), 10)
    save_run(tmp_path, ("operator_grouping",), 10)
    assert trade_offs(load(tmp_path)).empty
    assert build_table(table, load(tmp_path)) is None
    assert draw_figure(figure, load(tmp_path)) is None


def test_figure_and_table_tell_all_three(measured: Path) -> None:
    runs = load(measured)
    with house_style():
        drawn = draw_figure(figure, runs)
    assert drawn is not None
    times = "\N{MULTIPLICATION SIGN}"
    assert f"operator_grouping: 4.00{times} less memory, 1.50{times} slower, output exact (2e-06)" in drawn.alt_text
    built = build_table(table, runs)
    assert built is not None
    by_stack = {row[1]: dict(zip(built.rendered.headers, row, strict=True)) for row in built.rendered.rows}
    assert by_stack["step_rehash"]["PSNR (dB)"] == "23.5"
    assert by_stack["operator_grouping"]["Time over out of the box"].startswith(f"1.50{times}")
