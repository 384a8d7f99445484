"""Skipped steps beside their published scores, on runs whose every number is known.

Names for the mirror: reports.tables.streamlined_table_2, reports.figures.streamlined_table_2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import load
from reports.claims.sources.zhan_2024 import SOURCE
from reports.exhibits import build_table, draw_figure
from reports.figures import streamlined_table_2 as figure
from reports.streamlined_quality import beside_published_scores
from reports.style import house_style
from reports.tables import streamlined_table_2 as table
from suite.record import Sample
from tests.reports.streamlined_records import SECOND, save_run

SMOKE: dict[str, Any] = {"scale": "smoke", "request": {"num_inference_steps": 25}}


def distance(latents: float, psnr: float) -> list[Sample]:
    named = {"latent_relative_error": latents, "psnr_db": psnr, "max_relative_error": 0.5}
    return [Sample(metric=metric, value=value) for metric, value in named.items()]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    reused = [SECOND, SECOND // 4] * 2
    save_run(tmp_path, (), 4, samples=[Sample(metric="latency_s", value=1.0)], **SMOKE)
    save_run(tmp_path, ("fewer_steps",), 4, [SECOND] * 2, exact=False, samples=distance(0.2, 30.0), **SMOKE)
    save_run(tmp_path, ("step_rehash",), 4, reused, exact=False, samples=distance(0.1, 40.0), **SMOKE)
    save_run(tmp_path, ("deepcache",), 2, reused, exact=False, samples=distance(0.05, 42.0), **SMOKE)
    save_run(tmp_path, ("vae_slicing",), 3, samples=[Sample(metric="latency_s", value=1.0)], **SMOKE)
    return tmp_path


def test_published_scores_stand_beside_the_methods_that_have_them(study: Path) -> None:
    frame = beside_published_scores(load(study))
    assert frame["stack"].tolist() == ["out_of_the_box", "deepcache", "step_rehash", "fewer_steps"]
    columns = [f"published_{name}" for name in ("ucf101_fvd", "ucf101_clip", "msrvtt_fvd", "msrvtt_clip")]
    found = frame.set_index("stack")[columns]
    assert found.loc["out_of_the_box"].tolist() == [758.7, 28.89, 607.1, 29.40]
    assert found.loc["deepcache"].tolist() == [840.2, 28.15, 615.8, 29.06]
    assert found.loc["step_rehash"].tolist() == [784.5, 28.71, 603.9, 29.29]
    assert found.loc["fewer_steps"].isna().all()


def test_one_published_run_serves_both_tables() -> None:
    """The paper prints the scores of Step Rehash on UCF-101 twice, in Table 1 as its whole method."""
    for kind in ("fvd", "clip"):
        first, second = SOURCE.claims[f"table_1_{kind}"].cases, SOURCE.claims[f"table_2_ucf101_{kind}"].cases
        for workload in ("animatediff", "stable_video_diffusion"):
            assert first[f"{workload} streamlined"] == second[f"{workload} step_rehash"]


def test_ours_are_work_steps_and_distances(study: Path) -> None:
    frame = beside_published_scores(load(study)).set_index("stack")
    assert frame.loc["deepcache", ["steps", "full_steps"]].tolist() == [4, 2]
    assert frame["relative_work"].tolist() == pytest.approx([1, 2.5 / 4, 2.5 / 4, 0.5])
    assert frame["relative_memory"].tolist() == [1, 0.5, 1, 1]
    assert frame["latent_relative_error"].tolist()[1:] == [0.05, 0.1, 0.2]
    assert set(frame["own_scores"]) == {"need pretrained weights"}, "they are not made up"


@pytest.mark.parametrize(
    "changes", [{"request": {"num_inference_steps": 5}}, {"request": {"num_inference_steps": None}}]
)
def test_other_numbers_of_steps_are_not_held_against_it(tmp_path: Path, changes: dict) -> None:
    save_run(tmp_path, (), 4, **changes)
    save_run(tmp_path, ("step_rehash",), 4, exact=False, **changes)
    runs = load(tmp_path)
    assert beside_published_scores(runs).empty
    assert build_table(table, runs) is None
    assert draw_figure(figure, runs) is None


def test_the_table_prints_scores_as_the_paper_does(study: Path) -> None:
    built = build_table(table, load(study))
    assert built is not None
    places = [built.rendered.headers.index(name) for name in ("CLIP, MSR-VTT", "FVD, MSR-VTT", "Full steps")]
    assert [[row[place] for place in places] for row in built.rendered.rows][:2] == [
        ["29.40", "607.1", "4"],
        ["29.06", "615.8", "2"],
    ]


def test_the_figure_draws_published_ratios_and_our_distances(study: Path) -> None:
    runs = load(study)
    drawn = figure.draw(runs)
    assert drawn is not None
    published, distances, cost = drawn.axes
    points = sorted(float(line.get_xdata()[0]) for line in published.lines if line.get_marker() == "D")  # pyright: ignore
    assert points == pytest.approx([603.9 / 607.1, 615.8 / 607.1, 784.5 / 758.7, 840.2 / 758.7])
    assert [bar.get_width() for bar in distances.patches] == pytest.approx([5, 10, 20])  # pyright: ignore
    assert [bar.get_width() for bar in cost.patches] == pytest.approx([0.625, 0.625, 0.5])  # pyright: ignore
    with house_style():
        exhibit = draw_figure(figure, runs)
    assert exhibit is not None
    assert "deepcache: 5.0 %, PSNR 42.0 dB" in exhibit.alt_text
    assert "scale smoke" in exhibit.caption


def test_a_simulation_has_costs_and_no_distances(tmp_path: Path) -> None:
    save_run(tmp_path, (), 4, request={"num_inference_steps": 25})
    save_run(tmp_path, ("step_rehash",), 4, [SECOND, SECOND // 2] * 2, exact=False, request={"num_inference_steps": 25})
    runs = load(tmp_path)
    (_, row) = beside_published_scores(runs).to_dict("records")
    assert pd.isna(row["latent_relative_error"])
    assert row["time_is"] == "estimated, NVIDIA A100 80GB SXM"
    assert row["relative_time"] == pytest.approx(0.75)
    drawn = figure.draw(runs)
    assert drawn is not None
    assert "no values in a simulation" in [text.get_text() for text in drawn.axes[1].texts]
