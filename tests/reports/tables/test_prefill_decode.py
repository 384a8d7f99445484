"""Prefill and decode told apart by query length, and intensities against the FLOPs and bytes that are handed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.tables import prefill_decode
from tests.reports.attention_records import attention, operator, save_run


def test_a_stage_of_single_tokens_is_like_decode_and_others_like_prefill(tmp_path: Path) -> None:
    calls = [attention("causal", 16, 16, stage="prefill", step=None)]
    calls += [attention("causal", 1, 17 + step, stage="decode_step", step=step) for step in range(3)]
    calls += [attention("joint", 7, 7, stage="text_encode", step=None, module="text_encoder.layer")]
    operators = [
        operator("linear", None, 1000, stage="prefill", step=None, bytes_read=10),
        operator("attention", None, 500, stage="prefill", step=None, kind="causal", part="core", bytes_read=50),
        operator("elementwise", None, 0, stage="prefill", step=None, bytes_read=30, bytes_written=10),
    ]
    save_run(tmp_path, calls=calls, operators=operators)
    table = prefill_decode.build(load(tmp_path)).set_index("stage")
    assert list(table.index) == ["prefill", "decode_step"], "only what the denoiser attends in"
    assert table["like"].tolist() == ["prefill", "decode"]
    assert table["spans"].tolist() == [1, 3]
    assert table["calls"].tolist() == [1, 3]
    assert table.loc["decode_step", ["max_query_length", "min_key_length", "max_key_length"]].tolist() == [1, 17, 19]
    assert table.loc["prefill", "flops_per_byte"] == pytest.approx(1500 / 100)
    assert table.loc["prefill", "core_flops_per_byte"] == pytest.approx(10)
    assert table.loc["prefill", "weighted_flops_per_byte"] == pytest.approx(100)


def test_a_step_of_a_diffusion_model_is_like_prefill(tmp_path: Path) -> None:
    calls = [attention("spatial", length, length, step=step) for step in range(2) for length in (64, 16, 64)]
    save_run(tmp_path, calls=calls)
    (row,) = prefill_decode.build(load(tmp_path)).to_dict("records")
    assert (row["like"], row["spans"], row["calls"], row["min_query_length"]) == ("prefill", 2, 6, 16)


def test_runs_without_attention_have_no_row(tmp_path: Path) -> None:
    assert prefill_decode.build(load(save_run(tmp_path, operators=[operator("convolution", 1.0, 10)]))).empty
