"""Numbers behind every figure, recomputed from the Parquet files and record.json with a few lines of pyarrow and json.

Adding a figure is adding a file. Those that have no test file of their own, for the mirror: reports.figures.attention_kinds,
reports.figures.memory_by_stage, reports.figures.memory_timeline, reports.figures.operator_breakdown,
reports.figures.operator_breakdown_relative, reports.figures.sequence_length, reports.figures.speedup.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from reports import figures
from reports.exhibits import FigureExhibit, draw_figure, found_in
from reports.figures import (
    attention_kinds,
    memory_by_stage,
    memory_timeline,
    operator_breakdown,
    operator_breakdown_relative,
    sequence_length,
    speedup,
    trade_offs,
)
from reports.loading import load
from reports.runs import Runs
from reports.style import FORMATS, house_style
from tests.reports.synthetic import make_run

NAMES = {"attention_kinds", "memory_by_stage", "memory_timeline", "operator_breakdown", "operator_breakdown_relative",
         "sequence_length", "speedup", "trade_offs"}  # fmt: skip
"""Figures of measured runs."""


def test_figures_are_found_by_listing_their_folder() -> None:
    listed = {path.stem for path in Path(figures.__path__[0]).glob("*.py")} - {"__init__"}
    assert {module.__name__ for module in found_in(figures)} == {f"reports.figures.{name}" for name in listed}


def folder_of(runs: Runs, run_id: str) -> Path:
    return Path(runs.runs.set_index("run_id").loc[run_id, "folder"])


def raw(runs: Runs, run_id: str, table: str) -> list[dict]:
    return pq.read_table(folder_of(runs, run_id) / f"{table}.parquet").to_pylist()


def test_every_figure_is_drawn_in_every_format(drawn: dict[str, FigureExhibit]) -> None:
    assert set(drawn) >= NAMES
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for figure in drawn.values():
        assert set(figure.files) == set(FORMATS)
        for kind, content in figure.files.items():
            assert content.startswith(starts[kind])
        assert figure.title
        assert len(figure.caption) > 40
        assert len(figure.alt_text) > 40
        assert figure.csv.count("\n") > 1


def test_pdf_fonts_are_embedded_and_not_bitmaps(drawn: dict[str, FigureExhibit]) -> None:
    for figure in drawn.values():
        assert b"/FontFile2" in figure.files["pdf"]
        assert b"/Subtype /Type3" not in figure.files["pdf"]


def test_operator_breakdown_matches_the_tables(runs: Runs) -> None:
    frame = operator_breakdown.data(runs)
    np.testing.assert_allclose(frame.groupby("run_id")["share"].sum(), 1.0, rtol=1e-12)
    for run_id, rows in frame.groupby("run_id"):
        operators = raw(runs, str(run_id), "operators")
        by_name = rows.set_index("segment")["seconds"]
        convolution = sum(row["host_self_s"] for row in operators if row["operator_class"] == "convolution")
        core = sum(row["host_self_s"] for row in operators if row["attention_part"] == "core")
        projection = sum(row["host_self_s"] for row in operators if row["attention_part"] == "projection")
        assert by_name["convolution"] == pytest.approx(convolution)
        assert by_name["attention core"] == pytest.approx(core)
        assert by_name["attention projection"] == pytest.approx(projection)
        assert rows["seconds"].sum() == pytest.approx(sum(row["host_self_s"] for row in operators))
    assert set(frame["clock"]) == {"host time"}


def test_relative_breakdown_divides_by_the_baseline_run(runs: Runs) -> None:
    frame = operator_breakdown_relative.data(runs)
    totals = frame.groupby(["group", "stack"])["relative"].sum()
    seconds = {
        run_id: sum(row["host_self_s"] for row in raw(runs, run_id, "operators")) for run_id in frame["run_id"].unique()
    }
    ids = frame.drop_duplicates("run_id").set_index(["group", "stack"])["run_id"]
    for (group, stack), value in totals.items():
        expected = seconds[ids[group, stack]] / seconds[ids[group, "baseline_attention"]]
        assert value == pytest.approx(expected)


def test_attention_kinds_match_the_tables(runs: Runs) -> None:
    for row in attention_kinds.data(runs).to_dict("records"):
        operators = raw(runs, row["run_id"], "operators")
        wanted = [
            o["host_self_s"]
            for o in operators
            if o["attention_kind"] == row["kind"] and o["attention_part"] == row["part"]
        ]
        assert row["seconds"] == pytest.approx(sum(wanted))
        assert row["share"] == pytest.approx(sum(wanted) / sum(o["host_self_s"] for o in operators))


def test_memory_by_stage_matches_the_tables(runs: Runs) -> None:
    frame = memory_by_stage.data(runs)
    assert "generate" not in set(frame["stage"])
    for row in frame.to_dict("records"):
        (peak,) = [p for p in raw(runs, row["run_id"], "memory_peaks") if p["stage"] == row["stage"]]
        assert row["peak_bytes"] == peak["allocated_bytes"]
        assert row["weights_bytes"] + row["activations_bytes"] == peak["allocated_bytes"]
    assert set(frame["counter"]) == {"allocated memory"}


def test_memory_timeline_is_the_table(runs: Runs) -> None:
    frame = memory_timeline.data(runs)
    for run_id, rows in frame.groupby("run_id"):
        line = raw(runs, str(run_id), "memory")
        assert rows["t_s"].tolist() == [point["t_s"] for point in line]
        assert rows["bytes"].tolist() == [point["allocated_bytes"] for point in line]


def test_sequence_length_is_the_trace_of_each_groups_baseline(runs: Runs) -> None:
    frame = sequence_length.data(runs)
    assert set(frame["stack"]) == {"baseline_attention"}
    assert list(frame["group"].unique()) == ["animatediff", "parti", "stable_diffusion"]
    for run_id, rows in frame.groupby("run_id"):
        calls = raw(runs, str(run_id), "attention")
        assert rows["query_length"].tolist() == [call["query_length"] for call in calls]
        assert rows["key_length"].tolist() == [call["key_length"] for call in calls]
    causal = frame[frame["kind"] == "causal"]
    assert set(causal["query_length"]) == {1}
    assert causal["key_length"].is_monotonic_increasing


def test_speedup_is_the_median_ratio_of_paired_trials(runs: Runs) -> None:
    frame = speedup.data(runs)
    for row in frame.to_dict("records"):
        document = json.loads((folder_of(runs, row["run_id"]) / "record.json").read_text())
        whole = [s for s in document["samples"] if s["stage"] == "generate" and not s["warmup"]]
        seconds = {arm: {s["trial"]: s["value"] for s in whole if s["arm"] == arm} for arm in ("stack", "reference")}
        ratios = [seconds["reference"][trial] / value for trial, value in seconds["stack"].items()]
        assert len(ratios) == 10
        if row["stack"] == "baseline_attention":
            assert pd.isna(row["ref_time"])
        else:
            assert 1 / row["ref_time"] == pytest.approx(np.median(ratios))
            assert 1 / max(ratios) <= row["ref_time_low"] <= row["ref_time"] <= row["ref_time_high"] <= 1 / min(ratios)
    words = frame.set_index(["workload", "stack"])["ref_verdict"]
    assert words["stable_diffusion", "flash_attention"] == "FASTER"


def test_what_trials_do_not_decide_is_not_told_as_faster_or_slower(runs: Runs) -> None:
    assert re.search(r"parti baseline_attention: [^;]* memory, 1\.02\S unclear, output", trade_offs.alt_text(runs))


def test_runs_without_data_draw_nothing(tmp_path: Path) -> None:
    from suite.record import Outcome

    make_run(tmp_path, "parti", ("vae_slicing",), outcome=Outcome(status="not_applicable", reason="no VAE"))
    empty = load(tmp_path).readable()
    for module in (attention_kinds, memory_by_stage, memory_timeline, operator_breakdown, operator_breakdown_relative,
                   sequence_length, speedup):  # fmt: skip
        assert draw_figure(module, empty) is None


def test_a_single_run_is_drawn_without_comparisons(tmp_path: Path) -> None:
    make_run(tmp_path, "stable_diffusion", num_trials=1)
    alone = load(tmp_path).readable()
    with house_style():
        for module in (operator_breakdown, attention_kinds, memory_by_stage, memory_timeline, sequence_length, speedup):
            assert draw_figure(module, alone) is not None
        assert draw_figure(operator_breakdown_relative, alone) is None
