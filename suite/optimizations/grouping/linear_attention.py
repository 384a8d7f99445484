"""Linear attention in two passes over tokens, as Sana has it: sums over keys, then one block of queries after another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from suite.optimizations.grouping.attention_streams import Adaptation, turned_in_pairs
from suite.slicing.plan import SlicePlan
from suite.slicing.sliced import computing_slice, empty_of_length
from suite.slicing.tokens import TOKENS, blocks, call_as

TINY = 1e-15
"""Keeps a normalizer from 0."""
LARGEST_HALF = 65504


class LinearAttention:
    """The attention of one block.

    Args:
        block: with ``attn1``.
        first: its norm and conditions.
        positions: cosines and sines ``[1, N, 1, K]`` that turn queries and keys; None for none.
    """

    def __init__(self, block: Any, first: Adaptation, positions: tuple[Tensor, Tensor] | None) -> None:
        self.block, self.attention, self.first, self.positions = block, block.attn1, first, positions

    def enter(self, x: Tensor, where: slice) -> Tensor:
        return self.first(x, where).to(x.dtype)

    def sums(self, entered: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        """What queries need of some keys: values times keys ``[B, H, K, K]`` and the keys' sum ``[B, H, K, 1]``, in float32."""
        key = self._positive(self.attention.to_k(entered), self.attention.norm_k)
        value = self._heads(self.attention.to_v(entered))
        turned = self._turned(key, where)
        return value.float().permute(0, 2, 3, 1) @ turned.float().transpose(1, 2), key.float().sum(1)[..., None]

    def attend(self, entered: Tensor, products: Tensor, total: Tensor, where: slice) -> Tensor:
        """``[B, n, D]``."""
        query = self._positive(self.attention.to_q(entered), self.attention.norm_q)
        turned = self._turned(query, where).float().permute(0, 2, 3, 1)
        normalizer = total.transpose(-2, -1) @ query.float().permute(0, 2, 3, 1) + TINY
        mixed = (products @ turned).div_(normalizer).flatten(1, 2).transpose(1, 2).to(entered.dtype)
        mixed = self.attention.to_out[0](mixed)
        return mixed.clip_(-LARGEST_HALF, LARGEST_HALF) if mixed.dtype == torch.float16 else mixed

    def leave(self, x: Tensor, attended: Tensor, text: Tensor | None, mask: Tensor | None, where: slice) -> Tensor:
        """Residual and cross attention."""
        x = x + self.first.gated(attended, where)
        return self.block.attn2(x, encoder_hidden_states=text, attention_mask=mask) + x

    def _positive(self, x: Tensor, norm: Any) -> Tensor:
        return functional.relu(self._heads(x if norm is None else norm(x)))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.attention.heads, -1))

    def _turned(self, x: Tensor, where: slice) -> Tensor:
        return x if self.positions is None else turned_in_pairs(x, self.positions, where)


def attend_linearly(
    plan: SlicePlan, attention: LinearAttention, x: Tensor, text: Tensor | None, mask: Tensor | None
) -> Tensor:
    """``[B, N, D]`` after attention to itself and to the text, residuals included."""
    products: Tensor | None = None
    total: Tensor | None = None
    for where in blocks(plan, x):
        with computing_slice():
            entered = attention.enter(x[:, where], where)
            found = call_as(attention.attention, lambda entered, where=where: attention.sums(entered, where), entered)
        products = found[0] if products is None else products.add_(found[0])
        total = found[1] if total is None else total.add_(found[1])
        del entered, found
    assert products is not None
    assert total is not None
    output: Tensor | None = None
    for where in blocks(plan, x):
        with computing_slice():
            entered = attention.enter(x[:, where], where)
            attended = call_as(
                attention.attention,
                lambda entered, where=where: attention.attend(entered, products, total, where),
                entered,
            )
            result = attention.leave(x[:, where], attended, text, mask, where)
        output = empty_of_length(result, TOKENS, x.shape[TOKENS]) if output is None else output
        output[:, where] = result
        del entered, attended, result
    assert output is not None
    return output
