"""The taxonomy against records whose every number is handed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.tables import model_taxonomy
from tests.reports.attention_records import attention, operator, save_run

UNET = {"components": {"unet": {"config": {"block_out_channels": [32, 64], "layers_per_block": 2}},
                       "vae": {"config": {"block_out_channels": [8], "layers_per_block": 9}}}}  # fmt: skip


def test_shape_of_a_unet_is_read_from_its_calls_and_its_configuration(tmp_path: Path) -> None:
    calls = [attention("spatial", length, length, module=f"denoiser.block.{length}.attn1") for length in (64, 16)]
    calls += [attention("cross", length, 77, module=f"denoiser.block.{length}.attn2") for length in (64, 16)]
    calls += [attention("temporal", 12, 12), attention("causal", 77, 77, module="text_encoder.layer")]
    peaks = [{"stage": "generate", "allocated_bytes": 300, "weights_bytes": 100, "activations_bytes": 200}]
    operators = [operator("convolution", 1.5, 40), operator("linear", 0.5, 2)]
    save_run(
        tmp_path, calls=calls, operators=operators, peaks=peaks, dimensions=UNET, num_steps=50,
        parts={"denoiser": 100, "text_encoder": 11},
    )  # fmt: skip
    (row,) = model_taxonomy.build(load(tmp_path)).to_dict("records")
    assert (row["num_parameters"], row["denoiser_parameters"], row["num_steps"]) == (111, 100, 50)
    assert (row["num_layers"], row["widths"], row["head_dims"]) == (2, "512", "64")
    assert (row["lengths"], row["frames"], row["text_lengths"]) == ("64, 16", "12", "77")
    assert (row["channels"], row["num_res_blocks"]) == ("32, 64", "2")
    assert (row["flops"], row["peak_bytes"]) == (42, 300)
    assert row["seconds"] == pytest.approx(2)


def test_tokens_that_grow_are_told_by_their_ends(tmp_path: Path) -> None:
    calls = [attention("causal", 1, keys, step=keys) for keys in range(1, 33)]
    (row,) = model_taxonomy.build(load(save_run(tmp_path, calls=calls))).to_dict("records")
    assert (row["lengths"], row["num_layers"], row["channels"]) == ("1 to 32", 1, None)


def test_a_level_that_attends_to_itself_and_text_at_once_counts_as_a_layer(tmp_path: Path) -> None:
    (row,) = model_taxonomy.build(load(save_run(tmp_path, calls=[attention("cross", 64, 141)]))).to_dict("records")
    assert (row["num_layers"], row["lengths"], row["text_lengths"]) == (1, "64", "141")


def test_each_workload_has_one_row(tmp_path: Path) -> None:
    for stack in ("baseline_attention", "flash_attention"):
        save_run(tmp_path, stack=stack, operators=[operator("convolution", 1.0, 10)])
    assert len(model_taxonomy.build(load(tmp_path))) == 1
