"""Growth with image size and with frames, on records whose FLOPs follow the closed forms.

Names for the mirror: reports.figures.image_size_scaling, reports.figures.sequence_length_distribution,
reports.figures.temporal_scaling.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from reports import load
from reports.exhibits import draw_figure
from reports.figures import image_size_scaling, sequence_length_distribution, temporal_scaling
from reports.style import house_style
from suite import record_folder
from suite.record import Outcome, Record, WorkloadFacts
from suite.record_tables import TABLES

CHANNELS = 320


def save(folder: Path, side: int, frames: int | None = None, rate: float | None = None) -> None:
    """One step of a model with one convolution, one spatial and one temporal attention over (side / 8)^2 positions."""
    positions, number = (side // 8) ** 2, frames or 1
    request = {"height": side, "width": side, "num_frames": frames, "batch_size": 1}
    found = Record(
        run_id=f"{side}-{frames}", name=f"{side}-{frames}", created="2026-01-01T00:00:00+00:00", execution="simulate",
        workload=WorkloadFacts(name="toy", scale="paper"), outcome=Outcome(status="ok"), request=request,
        config={"request": request},
    )  # fmt: skip

    def row(operator_class: str, flops: int, kind: str | None = None) -> dict:
        part = None if kind is None else "core"
        return {"stage": "denoise_step", "step": 0, "operator": "aten::op", "operator_class": operator_class, "calls": 1,
                "attention_kind": kind, "attention_part": part, "flops": flops,
                "estimated_s": None if rate is None else flops / rate}  # fmt: skip

    rows = [
        row("convolution", 18 * CHANNELS**2 * positions * number),
        row("attention", 4 * CHANNELS * positions**2 * number, "spatial"),
        row("attention", 4 * CHANNELS * positions * number**2, "temporal"),
    ]
    calls = [
        {"call": call, "stage": "denoise_step", "step": step, "attention_kind": "spatial", "batch": number, "heads": 8,
         "query_length": length, "key_length": length, "head_dim": 40}
        for call, (step, length) in enumerate([(0, positions), (1, positions), (1, positions), (1, 8)])
    ]  # fmt: skip
    peaks = [
        {"stage": "denoise_step", "weights_bytes": 10, "activations_bytes": 1000 * positions, "allocated_bytes": 10}
    ]
    tables = {"operators": rows, "attention": calls, "memory_peaks": peaks}
    record_folder.save(
        found,
        {name: pa.Table.from_pylist(rows, schema=TABLES[name]) for name, rows in tables.items()},
        folder / found.name,
    )


def test_exponents_over_image_size_are_those_of_the_closed_forms(tmp_path: Path) -> None:
    for side in (64, 128, 256, 512):
        save(tmp_path, side)
    runs = load(tmp_path)
    frame = image_size_scaling.data(runs)
    sizes = frame["request_height"]
    assert image_size_scaling.slope(sizes, frame["convolution"]) == pytest.approx(2)
    assert image_size_scaling.slope(sizes, frame["score_bytes"]) == pytest.approx(4)
    assert image_size_scaling.slope(sizes, frame["peak_activation_bytes"]) == pytest.approx(2)
    assert frame["score_bytes"].tolist() == [2 * 8 * (side // 8) ** 4 for side in (64, 128, 256, 512)]
    with house_style():
        figure = draw_figure(image_size_scaling, runs)
    assert figure is not None
    assert "fourth power" in figure.caption


def test_times_grow_as_the_work_that_takes_them(tmp_path: Path) -> None:
    for side in (64, 128, 256):
        save(tmp_path / "timed", side, rate=1e9)
        save(tmp_path / "untimed", side)
    frame = image_size_scaling.data(load(tmp_path / "timed"))
    assert image_size_scaling.slope(frame["request_height"], frame["convolution, seconds"]) == pytest.approx(2)
    assert (frame["attention core, seconds"] * 1e9).tolist() == pytest.approx(frame["attention core"].tolist())
    for name, num_panels in (("timed", 3), ("untimed", 2)):
        with house_style():
            figure = image_size_scaling.draw(load(tmp_path / name))
        assert figure is not None
        assert len(figure.axes) == num_panels
        assert ("estimated time" in image_size_scaling.caption(load(tmp_path / name))) == (name == "timed")


def test_shares_of_sequence_lengths_are_counted_call_by_call(tmp_path: Path) -> None:
    for side in (64, 128, 256):
        save(tmp_path, side)
    runs = load(tmp_path)
    frame = sequence_length_distribution.data(runs).set_index(["request_height", "query_length"])
    expected = {
        (side, length): share for side in (64, 128, 256) for length, share in [(8, 0.25), ((side // 8) ** 2, 0.75)]
    }
    assert frame["share"].to_dict() == expected
    with house_style():
        figure = draw_figure(sequence_length_distribution, runs)
    assert figure is not None
    assert "256 px up to 1,024 tokens" in figure.alt_text


def test_temporal_and_spatial_flops_cross_where_frames_equal_positions(tmp_path: Path) -> None:
    for side in (64, 128):
        for frames in (4, 8, 16):
            save(tmp_path, side, frames)
    runs = load(tmp_path)
    frame = temporal_scaling.data(runs)
    assert frame["crossing_frames"].tolist() == pytest.approx([64] * 3 + [256] * 3)
    with house_style():
        figure = draw_figure(temporal_scaling, runs)
    assert figure is not None
    assert "64 x 64 px: 64 frames; 128 x 128 px: 256 frames" in figure.caption


def test_too_few_sizes_draw_nothing(tmp_path: Path) -> None:
    save(tmp_path, 64, 4)
    save(tmp_path, 128, 4)
    assert image_size_scaling.data(load(tmp_path)).empty
    assert temporal_scaling.data(load(tmp_path)).empty
