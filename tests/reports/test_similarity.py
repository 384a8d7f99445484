"""Similarity between steps: its map, its key steps and its figure, on matrices that are known.

Names for the mirror: reports.figures.step_similarity, reports.tables.step_similarity.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reports import load
from reports.exhibits import build_table, draw_figure
from reports.figures import step_similarity as figure
from reports.similarity import block_of, layer_name, similarity_maps, summary
from reports.style import house_style
from reports.tables import step_similarity as table
from suite import record_folder
from suite.record import Outcome, Record, WorkloadFacts
from suite.record_tables import TABLES

UP, MID = "denoiser.up_blocks.3.motion_modules.2", "denoiser.mid_block"


def falling(num_steps: int, by: float) -> np.ndarray:
    """Similarity that falls linearly with the distance between steps."""
    i, j = np.indices((num_steps, num_steps))
    return 1 - by * abs(i - j)


def save_run(folder: Path, maps: dict[str, np.ndarray], name: str = "toy", **facts: Any) -> Path:
    rows = [
        {"module": module, "step_i": i, "step_j": j, "similarity": float(values[i, j])}
        for module, values in maps.items()
        for i in range(len(values))
        for j in range(len(values))
    ]
    found = Record(
        run_id=name, name=name, created="2026-01-01T00:00:00+00:00", execution="measure", outcome=Outcome(status="ok"),
        workload=WorkloadFacts(name=name, scale="smoke", weights=facts.get("weights", "random")), config={"optimization": {}},
    )  # fmt: skip
    record_folder.save(found, {"similarity": pa.Table.from_pylist(rows, schema=TABLES["similarity"])}, folder / name)
    return folder


def test_what_falls_with_distance_is_alike_from_one_step_to_the_next(tmp_path: Path) -> None:
    """The published case in small: every second step is a key step, 13 of 25."""
    (row,) = similarity_maps(load(save_run(tmp_path, {UP: falling(25, 0.01)}))).to_dict("records")
    assert row["adjacent"] == pytest.approx(0.99)
    assert row["lowest"] == pytest.approx(1 - 24 * 0.01)
    assert row["threshold"] == pytest.approx(0.99)
    assert row["num_key_steps"] == 13
    assert row["key_steps"] == ", ".join(map(str, range(0, 25, 2)))
    np.testing.assert_array_equal(row["map"], falling(25, 0.01))


def test_two_phases_have_a_key_step_each_and_the_last() -> None:
    values = np.full((6, 6), 0.5)
    values[:2, :2] = values[2:, 2:] = 0.9
    found = summary(np.maximum(values, np.eye(6)))
    assert (found["threshold"], found["key_steps"]) == (0.9, "0, 2, 5")
    assert found["adjacent"] == pytest.approx((4 * 0.9 + 0.5) / 5)


@pytest.mark.parametrize("num_steps", [1, 2])
def test_maps_too_small_to_skip_in_have_no_key_steps(num_steps: int) -> None:
    found = summary(falling(num_steps, 0.1))
    assert (found["num_steps"], found["threshold"], found["key_steps"]) == (num_steps, None, None)


def test_names_of_layers_are_short() -> None:
    names = {UP: "up 3 motion 2", MID: "mid", "denoiser.up.1.0": "up 1 0", "denoiser.blocks.7": "block 7",
             "denoiser.down_blocks.0.resnets.1": "down 0 resnet 1", "denoiser.joint_blocks.5": "joint 5"}  # fmt: skip
    assert {module: layer_name(module) for module in names} == names
    assert (block_of(UP), block_of(MID)) == ("up_blocks.3", "mid_block")


def test_the_last_layer_of_each_block_is_drawn_and_the_table_has_all(tmp_path: Path) -> None:
    first = "denoiser.up_blocks.3.resnets.2"
    runs = load(save_run(tmp_path, {MID: falling(4, 0.1), first: falling(4, 0.02), UP: falling(4, 0.2)}))
    frame = figure.data(runs)
    assert list(frame["module"].unique()) == [MID, UP]
    pair = frame[(frame["module"] == UP) & (frame["step_i"] == 0) & (frame["step_j"] == 3)]
    assert pair["similarity"].tolist() == [pytest.approx(0.4)]
    assert table.build(runs)["module"].tolist() == [MID, first, UP]
    built = build_table(table, runs)
    assert built is not None
    assert [row[built.rendered.headers.index("Neighbours")] for row in built.rendered.rows] == [
        "0.9000",
        "0.9800",
        "0.8000",
    ]


@pytest.mark.parametrize(("lowest", "floor"), [(0.4, 0.4), (0.237, 0.2), (0.9937, 0.993), (-0.3, -1.0), (1.0, 0.0)])
def test_the_colour_scale_begins_just_below_the_lowest_value_and_says_so(
    tmp_path: Path, lowest: float, floor: float
) -> None:
    values = np.array([[1, lowest], [lowest, 1]])
    runs = load(save_run(tmp_path, {UP: values}))
    with house_style():
        drawn = figure.draw(runs)
    assert drawn is not None
    (image,) = drawn.axes[0].images
    assert image.get_clim() == (pytest.approx(floor), 1)
    assert f"lower end, {floor:g}," in figure.caption(runs)


def test_key_steps_are_dots_on_the_diagonal(tmp_path: Path) -> None:
    drawn = figure.draw(load(save_run(tmp_path, {UP: falling(5, 0.1)})))
    assert drawn is not None
    (dots,) = drawn.axes[0].lines
    assert np.asarray(dots.get_xydata()).tolist() == [[step, step] for step in (0, 2, 4)]


def test_random_weights_are_said_and_others_not(tmp_path: Path) -> None:
    random = load(save_run(tmp_path / "a", {UP: falling(4, 0.1)}))
    trained = load(save_run(tmp_path / "b", {UP: falling(4, 0.1)}, weights="pretrained"))
    assert "not of a trained model" in figure.caption(random)
    assert "random" not in figure.caption(trained)


def test_it_is_drawn_with_as_many_runs_and_layers_as_there_is_room_for(tmp_path: Path) -> None:
    maps = {f"denoiser.blocks.{index}": falling(6, 0.01) for index in range(30)}
    for index in range(7):
        save_run(tmp_path, maps, f"toy{index}")
    runs = load(tmp_path)
    frame = figure.data(runs)
    assert frame["run_id"].nunique() == figure.MAX_ROWS
    modules = list(frame["module"].unique())
    assert len(modules) == figure.MAX_LAYERS
    assert (modules[0], modules[-1]) == ("denoiser.blocks.0", "denoiser.blocks.29")
    with house_style():
        drawn = draw_figure(figure, runs)
    assert drawn is not None
    assert "Drawn are 5 of 7 runs" in drawn.caption


def test_runs_without_similarity_have_nothing(tmp_path: Path) -> None:
    runs = load(save_run(tmp_path, {}))
    assert build_table(table, runs) is None
    assert draw_figure(figure, runs) is None


def test_reports_take_the_search_and_no_torch_with_it() -> None:
    program = "import reports.similarity, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
