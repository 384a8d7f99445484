"""Dominance among stacks whose every number is known.

Names for the mirror: reports.tables.pareto, reports.figures.pareto.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import load
from reports.exhibits import build_table, draw_figure
from reports.figures import pareto as figure
from reports.pareto import dominates, pareto
from reports.style import house_style
from reports.tables import pareto as table
from suite.record import Sample
from tests.reports.streamlined_records import SECOND, save_run

BOX = [4.0] * 6


def measured(folder: Path, name: str, seconds: float, peak_gib: float, psnr_db: float | None = None) -> None:
    """A stack with the workload's own output, or with one that is so far from it."""
    samples = [
        Sample(metric="latency_s", value=value, trial=trial, arm=arm)
        for arm, values in (("stack", [seconds] * 6), ("out_of_the_box", BOX))
        for trial, value in enumerate(values)
    ]
    found = {"max_relative_error": 0.0} if psnr_db is None else {"max_relative_error": 0.5, "psnr_db": psnr_db}
    samples += [Sample(metric=metric, value=value) for metric, value in found.items()]
    save_run(folder, (name,), peak_gib, samples=samples, exact=psnr_db is None)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    box = [Sample(metric="latency_s", value=value, trial=trial) for trial, value in enumerate(BOX)]
    save_run(tmp_path, (), 20, samples=box)
    measured(tmp_path, "slower_and_larger", 5, 25)
    measured(tmp_path, "small", 6, 5)
    measured(tmp_path, "small_and_slower", 7, 5)
    measured(tmp_path, "quick", 2, 20, psnr_db=40)
    measured(tmp_path, "quick_and_worse", 2, 20, psnr_db=30)
    measured(tmp_path, "quicker_and_worse", 1, 20, psnr_db=25)
    measured(tmp_path, "as_slow_and_changed", 4, 20, psnr_db=60)
    return tmp_path


def point(**changes: Any) -> dict[str, Any]:
    row = {"relative_time": 1.0, "relative_memory": 1.0, "same_output": True, "psnr_db": math.nan}
    return row | {"time_low": math.nan, "time_high": math.nan, "changed_by": "[]"} | changes


def test_what_is_no_worse_in_all_and_better_in_one_dominates(study: Path) -> None:
    by = pareto(load(study)).set_index("stack")["dominated_by"]
    assert by.dropna().to_dict() == {
        "slower_and_larger": "out_of_the_box", "small_and_slower": "small", "quick_and_worse": "quick",
        "as_slow_and_changed": "out_of_the_box",
    }  # fmt: skip


def test_differences_within_two_percent_or_one_decibel_are_none() -> None:
    assert not dominates(point(relative_time=0.985), point())
    assert not dominates(point(), point(relative_time=0.985))
    assert dominates(point(relative_time=1.015, relative_memory=0.5), point()), "as fast, and smaller"
    assert not dominates(point(relative_time=1.03, relative_memory=0.5), point())
    changed = {"same_output": False, "psnr_db": 30.0}
    assert not dominates(point(**changed | {"psnr_db": 30.9}), point(**changed))
    assert dominates(point(**changed | {"psnr_db": 31.1}), point(**changed))


def test_a_time_is_better_only_where_the_intervals_lie_apart() -> None:
    slow = point(relative_time=1.0, time_low=0.8, time_high=1.2)
    assert not dominates(point(relative_time=0.7, time_low=0.5, time_high=0.9), slow)
    assert dominates(point(relative_time=0.7, time_low=0.65, time_high=0.75), slow)


def test_outputs_of_unknown_distance_are_as_good_as_each_other_where_the_same_changed_them() -> None:
    unknown, other = {"same_output": False, "changed_by": "bf16"}, {"same_output": False, "changed_by": "deepcache"}
    assert not dominates(point(relative_time=0.1, **unknown), point(**other))
    assert dominates(point(relative_time=0.1, **unknown), point(**unknown))
    assert not dominates(point(relative_time=0.1, **unknown), point())
    assert dominates(point(), point(**unknown))


@given(
    st.lists(
        st.tuples(st.floats(0.1, 10), st.floats(0.1, 10), st.one_of(st.just(math.inf), st.floats(5, 90))),
        min_size=1,
        max_size=6,
    )
)
def test_nothing_dominates_itself_and_no_two_dominate_each_other(points: list[tuple[float, float, float]]) -> None:
    rows = [
        point(relative_time=time, relative_memory=memory, same_output=math.isinf(psnr), psnr_db=psnr)
        for time, memory, psnr in points
    ]
    assert not any(dominates(row, row) for row in rows)
    assert not any(dominates(one, other) and dominates(other, one) for one, other in itertools.combinations(rows, 2))


def test_a_simulation_compares_what_may_change_the_output_with_exact_stacks_alone(tmp_path: Path) -> None:
    save_run(tmp_path, (), 20)
    save_run(tmp_path, ("operator_grouping",), 5, [2 * SECOND] * 4)
    save_run(tmp_path, ("step_rehash",), 20, [SECOND // 2] * 4, exact=False)
    save_run(tmp_path, ("deepcache",), 22, [SECOND // 2 + SECOND // 10] * 4, exact=False)
    save_run(tmp_path, ("useless",), 20, [SECOND] * 4, exact=False)
    save_run(tmp_path, ("deepcache", "vae_slicing"), 20, [SECOND // 2 + SECOND // 10] * 4, exact=(False, True))
    runs = load(tmp_path)
    assert pareto(runs).set_index("stack")["dominated_by"].dropna().to_dict() == {
        "useless": "out_of_the_box", "deepcache": "deepcache+vae_slicing",
    }  # fmt: skip
    assert "dominate each other only where the same techniques change them" in figure.caption(runs)


def test_too_few_stacks_are_no_scatter(tmp_path: Path) -> None:
    save_run(tmp_path, (), 20)
    save_run(tmp_path, ("vae_slicing",), 10)
    assert pareto(load(tmp_path)).empty
    assert build_table(table, load(tmp_path)) is None
    assert draw_figure(figure, load(tmp_path)) is None


def test_the_table_has_what_nothing_dominates_first_and_says_what_beats_the_rest(study: Path) -> None:
    built = build_table(table, load(study))
    assert built is not None
    rows = [dict(zip(built.rendered.headers, row, strict=True)) for row in built.rendered.rows]
    assert [row["Stack"] for row in rows[:4]] == ["quicker_and_worse", "quick", "out_of_the_box", "small"]
    assert rows[-1]["Stack"] == "small_and_slower"
    assert rows[-1]["Dominated by"] == "small"


def test_the_figure_names_what_nothing_dominates_and_no_name_lies_on_another(study: Path) -> None:
    runs = load(study)
    with house_style():
        drawn = figure.draw(runs)
        assert drawn is not None
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        axes = drawn.axes[0]
        boxes = [text.get_bbox_patch().get_window_extent() for text in axes.texts]
    names = {text.get_text() for text in axes.texts}
    assert names == {"out of the box (20.0 GiB)", "small", "quick, 40 dB", "quicker and worse, 25 dB"}
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    exhibit = draw_figure(figure, runs)
    assert exhibit is not None
    assert (
        "animatediff small: 1.50\N{MULTIPLICATION SIGN} slower, 4.00\N{MULTIPLICATION SIGN} less memory"
        in exhibit.alt_text
    )
    assert pd.notna(pareto(runs)["relative_time"]).all()
