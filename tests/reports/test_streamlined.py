"""Runs beside the published table, its table and its figure, on runs whose every number is known.

Names for the mirror: reports.tables.streamlined_table_1, reports.figures.streamlined_table_1.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports import load
from reports.exhibits import build_table, draw_figure
from reports.figures import streamlined_table_1 as figure
from reports.streamlined import beside_published
from reports.style import house_style
from reports.tables import streamlined_table_1 as table
from suite.record import Outcome, Sample
from tests.reports.streamlined_records import GIB, SECOND, save_run

pytestmark = pytest.mark.usefixtures("rooflines")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    save_run(tmp_path, (), 20)
    save_run(tmp_path, ("operator_grouping",), 5, [2 * SECOND] * 4)
    save_run(tmp_path, ("vae_slicing",), 10)
    save_run(tmp_path, ("step_rehash",), 20, [SECOND, SECOND // 10, SECOND, SECOND // 10], exact=False)
    save_run(tmp_path, ("streamlined",), 4, exact=False)
    save_run(tmp_path, ("tome",), outcome=Outcome(status="not_applicable", reason="no tokens to merge"))
    return tmp_path


def test_ratios_are_the_stacks_figures_over_the_workloads_own(study: Path) -> None:
    frame = beside_published(load(study)).set_index("stack")
    grouped = frame.loc["operator_grouping"]
    assert grouped["allocated_bytes"] == 5 * GIB
    assert grouped["relative_memory"] == 0.25
    assert (grouped["weights_bytes"], grouped["denoise_bytes"], grouped["decode_bytes"]) == (
        2 * GIB,
        1.5 * GIB,
        3 * GIB,
    )
    assert grouped["reserved_bytes"] == 6 * GIB
    assert grouped["flops"] == 8 * SECOND
    assert grouped["seconds"] == pytest.approx(8)
    assert grouped["relative_time"] == pytest.approx(2)
    assert grouped["time_is"] == "estimated, NVIDIA A100 80GB SXM"


def test_published_rows_stand_beside_the_same_method_only(study: Path) -> None:
    frame = beside_published(load(study)).set_index("stack")
    assert frame.loc["streamlined", "published_relative_memory"] == pytest.approx(11.07 / 41.71)
    assert frame.loc["streamlined", "published_relative_time"] == pytest.approx(15.15 / 24.38)
    assert frame.loc["streamlined", "published_fvd"] == 784.5
    assert frame.loc["out_of_the_box", "published_peak_bytes"] == pytest.approx(41.71 * GIB)
    assert frame.loc[["operator_grouping", "vae_slicing", "step_rehash", "tome"], "published_peak_bytes"].isna().all()


def test_a_step_that_reuses_features_is_no_full_step(study: Path) -> None:
    frame = beside_published(load(study)).set_index("stack")
    assert frame.loc["step_rehash", ["steps", "full_steps"]].tolist() == [4, 2]
    assert frame.loc["operator_grouping", ["steps", "full_steps"]].tolist() == [4, 4]


def test_exact_stacks_come_first_and_what_did_not_run_last(study: Path) -> None:
    frame = beside_published(load(study))
    ordered = ["out_of_the_box", "vae_slicing", "operator_grouping", "step_rehash", "streamlined", "tome"]
    assert frame["stack"].tolist() == ordered
    shown = table.build(load(study)).set_index("stack")
    assert shown["output"].tolist()[:-1] == ["exact"] * 3 + ["approximate"] * 2
    assert shown.loc["tome", ["outcome", "reason"]].tolist() == ["not_applicable", "no tokens to merge"]


def test_a_measured_time_is_taken_before_an_estimate(tmp_path: Path) -> None:
    for stack, seconds in (((), 6.0), (("vae_slicing",), 3.0)):
        samples = [Sample(metric="latency_s", value=seconds, trial=trial) for trial in range(5)]
        save_run(tmp_path, stack, 10, samples=samples)
    frame = beside_published(load(tmp_path)).set_index("stack")
    assert frame.loc["vae_slicing", ["seconds", "relative_time", "time_is"]].tolist() == [3.0, 0.5, "measured"]


@pytest.mark.parametrize("changes", [{"scale": "small"}, {"request": {"num_frames": 8}}, {"request": {"height": 64}}])
def test_other_scales_lengths_and_sizes_are_not_held_against_it(tmp_path: Path, changes: dict) -> None:
    save_run(tmp_path, (), 20, **changes)
    save_run(tmp_path, ("vae_slicing",), 10, **changes)
    runs = load(tmp_path)
    assert beside_published(runs).empty
    assert build_table(table, runs) is None
    assert draw_figure(figure, runs) is None


def test_without_the_workload_out_of_the_box_there_is_nothing_to_relate_to(tmp_path: Path) -> None:
    save_run(tmp_path, ("vae_slicing",), 10)
    save_run(tmp_path, ("operator_grouping",), 5)
    assert beside_published(load(tmp_path)).empty


def test_the_figure_and_the_table_tell_the_ratios(study: Path) -> None:
    runs = load(study)
    with house_style():
        drawn = draw_figure(figure, runs)
    assert drawn is not None
    words = "streamlined on animatediff, 576 x 1024 5.00x less (published: 3.77x less)"
    assert (
        words.replace("00x", "00\N{MULTIPLICATION SIGN}").replace("77x", "77\N{MULTIPLICATION SIGN}") in drawn.caption
    )
    assert "operator_grouping: 5.00 GiB, 4.00\N{MULTIPLICATION SIGN} less" in drawn.alt_text
    built = build_table(table, runs)
    assert built is not None
    place = built.rendered.headers.index("Allocated over out of the box")
    assert [row[place] for row in built.rendered.rows][2] == "0.250\N{MULTIPLICATION SIGN}"
    assert pd.isna(built.rendered.keys[-1][place])


def test_a_stack_that_no_model_took_is_named_and_not_drawn(study: Path) -> None:
    runs = load(study)
    assert "none of the models took them: tome." in figure.caption(runs)
    drawn = figure.draw(runs)
    assert drawn is not None
    labels = [tick.get_text() for axes in drawn.axes for tick in axes.get_yticklabels()]
    assert "vae slicing" in labels
    assert "tome" not in labels
