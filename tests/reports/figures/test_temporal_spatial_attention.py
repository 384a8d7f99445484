"""Temporal over spatial attention against seconds and FLOPs that are handed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.exhibits import draw_figure
from reports.figures import temporal_spatial_attention
from reports.style import house_style
from tests.reports.attention_records import operator, save_run


def rows(stage: str = "denoise_step") -> list[dict]:
    values = {("spatial", "core"): (2.0, 900), ("spatial", "projection"): (1.0, 100),
              ("temporal", "core"): (4.0, 100), ("temporal", "projection"): (2.0, 100)}  # fmt: skip
    return [
        operator("attention" if part == "core" else "linear", seconds, flops, kind=kind, part=part, stage=stage)
        for (kind, part), (seconds, flops) in values.items()
    ]


def test_ratios_are_temporal_over_spatial_with_and_without_projections(tmp_path: Path) -> None:
    decoder = operator("attention", 50.0, 5000, kind="spatial", part="core", stage="decode", step=None)
    save_run(tmp_path, operators=[*rows(), decoder, operator("convolution", 9.0, 9)])
    runs = load(tmp_path)
    frame = temporal_spatial_attention.data(runs)
    times, flops = (temporal_spatial_attention.ratios(frame, measure).iloc[0] for measure in ("seconds", "flops"))
    assert times.to_dict() == pytest.approx({"core": 2.0, "with_projections": 2.0})
    assert flops.to_dict() == pytest.approx({"core": 1 / 9, "with_projections": 0.2})
    shares = frame.set_index(["kind", "part"])["relative_seconds"].to_dict()
    assert shares["spatial", "core"] == pytest.approx(2 / 3), (
        "the decoder, which has no temporal attention, is not in it"
    )
    with house_style():
        figure = draw_figure(temporal_spatial_attention, runs)
    assert figure is not None
    assert "2.00\N{MULTIPLICATION SIGN} the time, 0.111\N{MULTIPLICATION SIGN} the FLOPs" in figure.alt_text


def test_runs_without_both_kinds_or_without_a_clock_draw_nothing(tmp_path: Path) -> None:
    save_run(tmp_path, "image", operators=rows()[:2])
    save_run(tmp_path, "untimed", operators=[row | {"estimated_s": None} for row in rows()])
    assert temporal_spatial_attention.data(load(tmp_path)).empty
