"""The roofline's numbers by hand, and that nothing passes the roof."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.exhibits import draw_figure
from reports.figures import roofline
from reports.style import house_style
from suite.machine import Machine
from tests.reports.simulated import ROWS, save_measured, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")


def test_points(tmp_path: Path) -> None:
    frame = roofline.data(load(save_simulated(tmp_path))).set_index("segment")
    assert frame.loc["whole run", "flops_per_byte"] == pytest.approx(468e12 / 2043e9)
    assert frame.loc["whole run", "flops_per_s"] == pytest.approx(468e12 / 2.5)
    assert frame.loc["convolution", "flops_per_s"] == pytest.approx(312e12)
    assert set(frame.index) == {"whole run", "convolution", "attention projection"}, "only what has FLOPs"
    roof = (frame["flops_per_byte"] * 2.039e12).clip(upper=312e12)
    assert (frame["flops_per_s"] <= roof * (1 + 1e-9)).all()


def test_it_is_drawn_and_names_its_machine(tmp_path: Path) -> None:
    machine = Machine(name="a toy machine", bandwidth_bytes_per_s=1e12, peak_flops_per_s={"bfloat16": 1e14})
    runs = load(save_simulated(tmp_path / "named", machine=machine), save_simulated(tmp_path / "other", "another"))
    with house_style():
        figure = draw_figure(roofline, runs)
    assert figure is not None
    assert figure.alt_text.startswith("Roofline of a toy machine.")
    assert "a run named" in figure.caption
    assert figure.files["png"].startswith(b"\x89PNG")
    assert "lower bound" in figure.caption


def test_default_machine_is_said(tmp_path: Path) -> None:
    assert "no run names a machine" in roofline.caption(load(save_simulated(tmp_path)))


@pytest.mark.parametrize("count", [1, 15])
def test_what_there_is_no_room_for_is_said(tmp_path: Path, count: int) -> None:
    folders = [save_simulated(tmp_path / str(index), f"toy{index}") for index in range(count)]
    runs = load(*folders)
    assert roofline.data(runs)["run_id"].nunique() == min(count, roofline.MAX_RUNS)
    assert ("of 15 workloads" in roofline.caption(runs)) == (count == 15)


def test_measured_runs_alone_draw_nothing(tmp_path: Path) -> None:
    assert roofline.data(load(save_measured(tmp_path, "NVIDIA H200", (1.0,)))).empty


def test_float32_has_the_roofs_of_what_computes_it(tmp_path: Path) -> None:
    rows = [row | {"precision": "float32"} for row in ROWS]
    save_simulated(
        tmp_path, rows=rows, device={"allow_tf32_matmul": False, "allow_tf32_cudnn": True, "precision": "float32"}
    )
    runs = load(tmp_path)
    with house_style():
        figure = roofline.draw(runs)
    assert figure is not None
    told = [text.get_text() for text in figure.axes[0].texts]
    assert {"19.5 TFLOP/s float32", "156 TFLOP/s tf32"} <= set(told)
