"""Streams of tokens as diffusers' transformers have them: projections of an attention module, adaptive norms, feed-forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn

from suite.slicing.tokens import Stream

Rotation = Callable[[Tensor, slice], Tensor]
"""Turns queries or keys ``[B, n, H, K]`` by their tokens' positions."""


class Projections(NamedTuple):
    """What makes queries, keys and values of tokens, and what follows attention."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    norm_query: nn.Module | None
    """Of each head."""
    norm_key: nn.Module | None
    out: nn.Module | None

    @classmethod
    def of(cls, attention: Any) -> Projections:
        """Of what an attention module attends from; dropout after them does nothing where gradients are off."""
        out = getattr(attention, "to_out", None)
        return cls(
            attention.to_q,
            attention.to_k,
            attention.to_v,
            attention.norm_q,
            attention.norm_k,
            None if out is None else out[0],
        )

    @classmethod
    def of_added(cls, attention: Any) -> Projections:
        """Of the second input of joint attention."""
        return cls(
            attention.add_q_proj,
            attention.add_k_proj,
            attention.add_v_proj,
            attention.norm_added_q,
            attention.norm_added_k,
            getattr(attention, "to_add_out", None),
        )


class Adaptation(NamedTuple):
    """A norm, and what a condition makes of it; tensors ``[B, 1, D]``, or ``[B, N, D]`` where each token has its own."""

    norm: nn.Module
    shift: Tensor
    scale: Tensor
    gate: Tensor

    def __call__(self, x: Tensor, where: slice) -> Tensor:
        return self.norm(x) * (1 + at(self.scale, where)) + at(self.shift, where)

    def gated(self, x: Tensor, where: slice) -> Tensor:
        return at(self.gate, where) * x


class DiffusersStream(Stream):
    """Whose tokens go through projections of an attention module.

    Args:
        attention: the module.
        tokens: ``[B, N, D]``.
        projections: its own, or those of its second input.
        rotate: of queries and keys; None where these have no positions.
    """

    def __init__(
        self, attention: Any, tokens: Tensor, projections: Projections, rotate: Rotation | None = None
    ) -> None:
        self.attention, self.tokens, self.projections, self.rotate = attention, tokens, projections, rotate

    def keys_and_values(self, entered: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        key = self.placed(self.projections.key(entered), self.projections.norm_key, where)
        return key, self._heads(self.projections.value(entered))

    def queries(self, entered: Tensor, where: slice) -> Tensor:
        return self.placed(self.projections.query(entered), self.projections.norm_query, where)

    def project(self, mixed: Tensor) -> Tensor:
        return mixed if self.projections.out is None else self.projections.out(mixed)

    def placed(self, x: Tensor, norm: nn.Module | None, where: slice) -> Tensor:
        """Queries or keys ``[B, n, H, K]`` of what a projection gave."""
        x = self._heads(x)
        x = x if norm is None else norm(x)
        return x if self.rotate is None else self.rotate(x, where)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.attention.heads, -1))


class AdaptiveStream(DiffusersStream):
    """Attention and feed-forward, each adapted to the time step before and gated after.

    Args:
        first, second: of attention and of the feed-forward.
        feed_forward: of single tokens.
        between: what lies between the two, such as cross attention to a text; its output is added.
    """

    def __init__(
        self,
        attention: Any,
        tokens: Tensor,
        projections: Projections,
        first: Adaptation,
        second: Adaptation,
        feed_forward: Callable[[Tensor], Tensor],
        rotate: Rotation | None = None,
        between: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(attention, tokens, projections, rotate)
        self.first, self.second = first, second
        self.feed_forward, self.between = feed_forward, between

    def enter(self, x: Tensor, where: slice) -> Tensor:
        return self.first(x, where)

    def leave(self, x: Tensor, entered: Tensor, attended: Tensor, where: slice) -> Tensor:
        x = x + self.first.gated(attended, where)
        if self.between is not None:
            x = x + self.between(x)
        return x + self.second.gated(self.feed_forward(self.second(x, where)), where)


class ParallelStream(DiffusersStream):
    """Attention and an MLP beside each other, then one projection of both.

    Args:
        block: with ``proj_mlp``, ``act_mlp`` and ``proj_out``.
        first: of both.
    """

    def __init__(self, block: Any, tokens: Tensor, first: Adaptation, rotate: Rotation | None = None) -> None:
        super().__init__(block.attn, tokens, Projections.of(block.attn), rotate)
        self.block, self.first = block, first

    def enter(self, x: Tensor, where: slice) -> Tensor:
        return self.first(x, where)

    def leave(self, x: Tensor, entered: Tensor, attended: Tensor, where: slice) -> Tensor:
        beside = self.block.act_mlp(self.block.proj_mlp(entered))
        return x + self.first.gated(self.block.proj_out(torch.cat([attended, beside], dim=-1)), where)


def conditions(norm: Any, condition: Tensor, count: int) -> tuple[Tensor, ...]:
    """Shifts, scales and gates that an adaptive norm makes of a condition ``[B, E]``: ``[B, 1, D]`` each."""
    return norm.linear(norm.silu(condition))[:, None].chunk(count, dim=-1)


def at(x: Tensor, where: slice) -> Tensor:
    """Some tokens of ``[B, N, ...]``; all of it where it is the same for all tokens, ``[B, 1, ...]``."""
    return x if x.shape[1] == 1 else x[:, where]


def rotary(positions: tuple[Tensor, Tensor] | None, offset: int = 0) -> Rotation | None:
    """Rotation by cosines and sines ``[S, K]``, of which a stream's tokens have those from `offset` on."""
    if positions is None:
        return None

    def rotate(x: Tensor, where: slice) -> Tensor:
        there = slice(offset + where.start, offset + where.stop)
        cosines, sines = positions
        turn: Callable[..., Any] = apply_rotary_emb
        return turn(x, (cosines[there], sines[there]), sequence_dim=1)

    return rotate


def turned_in_pairs(x: Tensor, positions: tuple[Tensor, Tensor], where: slice) -> Tensor:
    """``[B, n, H, K]``, each pair of channels turned by cosines and sines ``[1, N, 1, K]``, which both of a pair share."""
    cosines, sines = at(positions[0][..., 0::2], where), at(positions[1][..., 1::2], where)
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([first * cosines - second * sines, first * sines + second * cosines], dim=-1)
    return turned.flatten(-2).type_as(x)


def computes_plainly(attention: Any, processor: type) -> bool:
    """Whether `attention` does what `processor` does and nobody answers its calls, such as a cache of diffusers."""
    found = attention.processor
    chosen = [getattr(found, name, None) for name in ("_attention_backend", "_parallel_config")]
    fused = getattr(attention, "fused_projections", False)
    return (
        type(found) is processor and chosen == [None, None] and not fused and not hasattr(attention, "_diffusers_hook")
    )
