"""FLOPs that a GPU's kernels do where shapes are no whole tiles: more than are counted, since a tile is computed in full.

Fused attention is what this matters for: heads of 40 are computed as heads of 64, and the 16 frames of temporal attention as
128 rows and 128 keys. Sizes are those of FlashAttention-2 as torch compiles it: heads in
aten/src/ATen/native/transformers/cuda/flash_attn/static_switch.h (HEADDIM_SWITCH), tiles in flash_fwd_launch_template.h
(128 rows; 128 keys up to heads of 64, 64 above).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

HEAD_DIMS = (32, 64, 96, 128, 192, 256)
ROWS = 128
NARROW, KEYS_OF_NARROW, KEYS = 64, 128, 64
"""Heads up to the first have tiles of the second many keys, wider ones of the third."""


def attention_tile_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> int:
    """Of one call, ``[..., heads, length, dim]``, every tile that is touched counted in full."""
    *heads, query_length, head_dim = query
    size = _head_dim(head_dim)
    pairs = _whole(query_length, ROWS) * _whole(key[-2], KEYS_OF_NARROW if size <= NARROW else KEYS)
    return 2 * prod(heads) * pairs * (size + _head_dim(value[-1]))


def _whole(length: int, tile: int) -> int:
    return -(-length // tile) * tile


def _head_dim(size: int) -> int:
    return next((known for known in HEAD_DIMS if size <= known), size)
