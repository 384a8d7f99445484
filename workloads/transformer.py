"""Pre-norm transformer blocks, as Parti, Muse, Phenaki and ViT-VQGAN build on them.

Attention is torch's scaled_dot_product_attention and never gets a mask tensor, which would shut out the Flash kernel.

Shape suffixes: B batch, N tokens, S tokens attended to, D width, H heads, K width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache


class Attention(nn.Module):
    """Multi-head attention of a sequence to itself, or to another one of the same width.

    Args:
        width: of tokens on both sides.
        num_heads: that `width` is divided among.
        causal: whether a token attends only to itself and those before it.
    """

    def __init__(self, width: int, num_heads: int, causal: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.causal = causal
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x_BND: Tensor, context_BSD: Tensor | None = None, past: DynamicCache | None = None, layer: int = 0
    ) -> Tensor:
        """``[B, N, D]``; without a context it is self-attention.

        Args:
            past: keys and values of earlier calls, for each layer. Self-attention adds those of `x`, which then is one token
                (or the first ones); those of a context are computed at the first call and stay.
            layer: number of this layer in `past`.
        """
        query_BHNK = self.queries(x_BND)
        if past is not None and context_BSD is not None and past.get_seq_length(layer):
            key_BHSK, value_BHSK = past.layers[layer].keys, past.layers[layer].values
        else:
            key_BHSK, value_BHSK = self.keys_and_values(x_BND if context_BSD is None else context_BSD)
            if past is not None:
                key_BHSK, value_BHSK = past.update(key_BHSK, value_BHSK, layer)
        # A single query comes after all keys that there are, so there is nothing to hide from it.
        is_causal = self.causal and x_BND.shape[1] > 1
        mixed_BHNK = nn.functional.scaled_dot_product_attention(query_BHNK, key_BHSK, value_BHSK, is_causal=is_causal)
        return self.out(mixed_BHNK.transpose(1, 2).flatten(2))

    def queries(self, x_BND: Tensor) -> Tensor:
        """``[B, H, N, K]``."""
        return self._heads(self.query(x_BND))

    def keys_and_values(self, source_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, H, S, K]`` each."""
        return self._heads(self.key(source_BSD)), self._heads(self.value(source_BSD))

    def _heads(self, x_BND: Tensor) -> Tensor:
        """``[B, N, D]`` -> ``[B, H, N, K]``."""
        return x_BND.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Self-attention, cross attention where asked for, and an MLP; each on normalized input and added to it.

    Args:
        width: of a token.
        mlp_width: of the hidden layer between the MLP's two.
        num_heads: of both attentions.
        crosses: whether there is cross attention.
        causal: whether self-attention looks only backwards.
    """

    def __init__(
        self, width: int, mlp_width: int, num_heads: int, *, crosses: bool = False, causal: bool = False
    ) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, num_heads, causal)
        self.cross_norm = nn.LayerNorm(width) if crosses else None
        self.cross_attention = Attention(width, num_heads) if crosses else None
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width))

    def forward(
        self,
        x_BND: Tensor,
        context_BSD: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """``[B, N, D]``. With a cache only tokens are given that it has not seen, see `Attention.forward`."""
        past = None if cache is None else cache.self_attention_cache
        context_past = None if cache is None else cache.cross_attention_cache
        x_BND = x_BND + self.self_attention(self.self_norm(x_BND), None, past, layer)
        if self.cross_norm is not None and self.cross_attention is not None:
            x_BND = x_BND + self.cross_attention(self.cross_norm(x_BND), context_BSD, context_past, layer)
        return x_BND + self.mlp(self.mlp_norm(x_BND))


class GridPositions(nn.Module):
    """Learned position embeddings of a grid, one table an axis: a token gets the sum of its row's, its column's and so on.

    Args:
        shape: of the grid, outermost axis first; tokens are in raster order.
        width: of a token.
    """

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        self.axes = nn.ParameterList(nn.Parameter(0.02 * torch.randn(length, width)) for length in shape)

    def forward(self) -> Tensor:
        """``[N, D]``."""
        total_ND, *others = self.axes
        for axis in others:
            total_ND = (total_ND[:, None] + axis).flatten(0, 1)
        return total_ND
