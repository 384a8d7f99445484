"""Attention written out, in the number format of its tensors, as models had it before scaled_dot_product_attention.

    scores = Q K^T * scale (+ mask) -> softmax -> times V, one operator after another, the N x N scores in memory

The original code of Stable Diffusion (CompVis) and diffusers' AttnProcessor compute so. PyTorch's math kernel
(`baseline_attention`) is another baseline for fused attention: it computes half precision in float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from suite.attribution.taxonomy import CALLED, EAGER
from suite.optimizations.contract import Handle
from suite.workload import Workload

if TYPE_CHECKING:
    from torch import Tensor


class EagerAttention:
    """Every call of scaled_dot_product_attention is computed by its formula, with operators of the tensors' own precision."""

    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        from torch.nn import functional

        before = functional.scaled_dot_product_attention
        handle = Handle("scaled_dot_product_attention is written out, in its tensors' precision")
        handle.undo.callback(setattr, functional, "scaled_dot_product_attention", before)
        functional.scaled_dot_product_attention = eager_attention
        return handle


def eager_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """What scaled_dot_product_attention computes, with its arguments and ``[..., heads, length, head_dim]``.

    A row that a mask leaves no key gets the mean of all values; the fused operator gives zeros there.
    """
    import torch
    from torch.overrides import handle_torch_function, has_torch_function

    if has_torch_function((query, key, value)):  # who watches calls of the operator (a mode) sees this one
        rest = (attn_mask, dropout_p, is_causal, scale, enable_gqa)
        return handle_torch_function(eager_attention, (query, key, value), query, key, value, *rest)
    if enable_gqa:
        key, value = (given.repeat_interleave(query.shape[-3] // given.shape[-3], -3) for given in (key, value))
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        is_bool = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min) if is_bool else scores + attn_mask
    weights = torch.softmax(scores, dim=-1)
    if dropout_p > 0:
        weights = torch.dropout(weights, dropout_p, train=True)
    return weights @ value


setattr(eager_attention, CALLED, EAGER)
