"""FLOPs that a GPU's kernels do where shapes are no whole tiles: more than are counted, since a tile is computed in full.

Fused attention is what this matters for: heads of 40 are computed as heads of 64, 77 keys as 128. Sizes are those of
FlashAttention-2 as torch compiles it (aten/src/ATen/native/transformers/cuda/flash_attn/static_switch.h, HEADDIM_SWITCH, and
flash_fwd_launch_template.h); the smallest tile of rows and of keys is 64 there and in the memory-efficient kernel
(mem_eff_attention/kernel_forward.h).
"""

from __future__ import annotations

from collections.abc import Sequence

HEAD_DIMS = (32, 64, 96, 128, 192, 256)
TILE = 64


def attention_tile_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> int:
    """Of one call, ``[..., heads, length, dim]``, every tile that is touched counted in full."""
    *batch, query_length, head_dim = query
    pairs = _whole(query_length) * _whole(key[-2])
    heads = 1
    for size in batch:
        heads *= size
    return 2 * heads * pairs * (_head_dim(head_dim) + _head_dim(value[-1]))


def _whole(length: int) -> int:
    return -(-length // TILE) * TILE


def _head_dim(size: int) -> int:
    return next((known for known in HEAD_DIMS if size <= known), size)
