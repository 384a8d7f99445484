"""`suite.simulation.tiles`: FLOPs of whole tiles against closed forms, and where a record tells them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.attribution.flops import attention_flops
from suite.progress import announce
from suite.record_folder import load_table
from suite.simulation.tiles import HEAD_DIMS, attention_tile_flops


def test_heads_and_lengths_are_rounded_up() -> None:
    assert attention_tile_flops((2, 8, 4096, 64), (2, 8, 4096, 64), (2, 8, 4096, 64)) == 4 * 2 * 8 * 4096 * 4096 * 64
    assert attention_tile_flops((2, 8, 4096, 40), (2, 8, 77, 40), (2, 8, 77, 40)) == 4 * 2 * 8 * 4096 * 128 * 64
    assert attention_tile_flops((1, 1, 16, 40), (1, 1, 16, 40), (1, 1, 16, 40)) == 4 * 128 * 128 * 64, "16 frames"
    assert attention_tile_flops((1, 1, 16, 160), (1, 1, 16, 160), (1, 1, 16, 160)) == 4 * 128 * 64 * 192
    assert attention_tile_flops((1, 1, 128, 512), (1, 1, 64, 512), (1, 1, 64, 512)) == 4 * 128 * 64 * 512, (
        "no such kernel"
    )


@given(st.integers(1, 4), st.integers(1, 400), st.integers(1, 400), st.integers(1, 256))
def test_never_fewer_than_are_counted(heads: int, queries: int, keys: int, size: int) -> None:
    query, key = (1, heads, queries, size), (1, heads, keys, size)
    whole = attention_tile_flops(query, key, key)
    assert whole >= attention_flops(query, key, key)
    if queries % 128 == keys % 128 == 0 and size in HEAD_DIMS:
        assert whole == attention_flops(query, key, key)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_record_tells_both(device: str, experiment: Callable, tmp_path: Path) -> None:
    words = ("workload=stable_diffusion", "execution=simulate", f"device={device}", f"output_dir={tmp_path}")
    precision = "float16" if device == "cuda" else "float32"
    found = announce(experiment(*words, f"device.precision={precision}"), rerun=False)
    rows = load_table(tmp_path / found.name, "operators").to_pandas()
    fused = rows["operator"].str.contains("flash_attention")
    assert (rows.loc[fused, "tile_flops"] >= rows.loc[fused, "flops"]).all()
    assert (rows.loc[fused, "tile_flops"] > rows.loc[fused, "flops"]).mean() > 0.9, "narrow heads and few tokens"
    others = rows[~fused & rows["flops"].notna()]
    assert (others["tile_flops"] == others["flops"]).all()
    copied = rows.groupby("operator_class")["copied_bytes"].sum()
    assert copied["convolution"] > 0
    assert copied["linear"] == 0
