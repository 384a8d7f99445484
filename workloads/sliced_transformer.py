"""How the blocks of `workloads.transformer` compute slice by slice: by sequences where there are many, else by queries.

Shape suffixes: see workloads.transformer; n some of the tokens.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, by_class, stock
from suite.slicing.sliced import inside_slice, sliced
from suite.slicing.tokens import TOKENS, Stream, call_as, run_streams
from workloads.transformer import Attention, TransformerBlock


class SelfAttended(Stream):
    """A block's tokens.

    Args:
        block: whose they are.
        x_BND: the tokens.
        context_BSD: what its cross attention looks at, if it has one. Its keys and values are computed once.
    """

    def __init__(self, block: TransformerBlock, x_BND: Tensor, context_BSD: Tensor | None) -> None:
        self.tokens = x_BND
        self.attention: Attention = block.self_attention
        self.block = block
        cross = block.cross_attention
        self.context = None if cross is None else call_as(cross, cross.keys_and_values, context_BSD)

    def enter(self, x: Tensor, where: slice) -> Tensor:
        return self.block.self_norm(x)

    def keys_and_values(self, entered: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        key_BHNK, value_BHNK = self.attention.keys_and_values(entered)
        return key_BHNK.transpose(1, 2), value_BHNK.transpose(1, 2)

    def queries(self, entered: Tensor, where: slice) -> Tensor:
        return self.attention.queries(entered).transpose(1, 2)

    def project(self, mixed: Tensor) -> Tensor:
        return self.attention.out(mixed)

    def leave(self, x: Tensor, entered: Tensor, attended: Tensor, where: slice) -> Tensor:
        x = x + attended
        cross = self.block.cross_attention
        if cross is not None and self.block.cross_norm is not None:
            x += call_as(cross, self._across, self.block.cross_norm(x))
        return x.add_(self.block.mlp(self.block.mlp_norm(x)))

    def _across(self, entered_BnD: Tensor) -> Tensor:
        cross = self.block.cross_attention
        assert cross is not None
        assert self.context is not None
        mixed_BHnK = nn.functional.scaled_dot_product_attention(cross.queries(entered_BnD), *self.context)
        return cross.out(mixed_BHnK.transpose(1, 2).flatten(2))


def run_block(
    block: TransformerBlock,
    plan: SlicePlan,
    x_BND: Tensor,
    context_BSD: Tensor | None = None,
    cache: Any = None,
    layer: int = 0,
) -> Tensor:
    """Some sequences at a time where there are as many as slices, since they do not see each other; else by queries.

    With a cache there are few tokens at a time already. Causal attention of a single sequence stays whole: a kernel that knows
    which keys a block of queries may see would need a mask tensor.
    """
    if cache is not None or inside_slice():
        return stock(block, x_BND, context_BSD, cache, layer)
    count = plan.affordable(plan.token_slices, x_BND.numel())
    if count <= len(x_BND):
        return sliced(lambda x, context: stock(block, x, context), [x_BND, context_BSD], 0, count)

    def sequences(x_BND: Tensor, context_BSD: Tensor | None) -> Tensor:
        stream = SelfAttended(block, x_BND, context_BSD)
        if not block.self_attention.causal:
            return run_streams(plan, [stream])[0]
        attended_BND = block.self_attention(block.self_norm(x_BND))
        return sliced(lambda x, a: stream.leave(x, x, a, slice(None)), [x_BND, attended_BND], TOKENS, count)

    return sliced(sequences, [x_BND, context_BSD], 0, plan.batch_slices, marked=False)


RECIPE = Recipe(TransformerBlock, run_block)
SLICING_RECIPES = by_class((RECIPE,))
