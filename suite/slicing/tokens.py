"""A transformer block as two passes over tokens: keys and values of all, then the rest block by block of queries.

    norm, keys, values by tokens | norm, queries, attention, residual, cross attention, norm, feed-forward, residual by tokens

Attention is the only thing in a block through which tokens see each other, and it needs all keys but few queries at a time.
What is there whole is what goes in, what comes out, keys and values. Softmax over a query's keys is never cut: this is exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from suite.slicing.plan import SlicePlan, cuts
from suite.slicing.recipe import replace_forward
from suite.slicing.sliced import computing_slice, empty_of_length

if TYPE_CHECKING:
    from torch import Tensor, nn

TOKENS = 1
"""Axis of tokens in ``[B, N, ...]``."""


class Stream(ABC):
    """Tokens ``[B, N, D]`` that one block treats alike, such as an image's or a text's; how, a subclass says.

    Every method gets some of the tokens, ``[B, n, ...]``, and `where` they are, for what depends on positions.
    """

    answers: bool = True
    """Whether anybody needs its output; if not, it gives keys and values only."""
    tokens: Tensor
    attention: Any
    """The module that is called around the next three methods, so that whoever watches its calls sees where attention is."""

    @abstractmethod
    def enter(self, x: Tensor, where: slice) -> Tensor:
        """What attention is given: norm and modulation."""

    @abstractmethod
    def keys_and_values(self, entered: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        """``[B, n, H, K]`` each."""

    @abstractmethod
    def queries(self, entered: Tensor, where: slice) -> Tensor:
        """``[B, n, H, K]``."""

    @abstractmethod
    def project(self, mixed: Tensor) -> Tensor:
        """The projection after attention, ``[B, n, H * K]`` -> ``[B, n, D]``."""

    @abstractmethod
    def leave(self, x: Tensor, entered: Tensor, attended: Tensor, where: slice) -> Tensor:
        """The block's output: all that follows attention, residuals to `x` included."""


def run_streams(plan: SlicePlan, streams: Sequence[Stream], mask: Tensor | None = None) -> tuple[Tensor, ...]:
    """The outputs of a block whose streams attend to each other and to themselves, of those that answer.

    Args:
        streams: in the order in which their keys follow each other.
        mask: of keys, ``[B, 1, 1, S]``; the same for all queries.
    """
    import torch

    key, value = _keys_and_values(plan, streams)
    outputs = []
    for stream in (stream for stream in streams if stream.answers):
        output = None
        for where in blocks(plan, stream.tokens):
            with computing_slice():
                x = stream.tokens[:, where]
                entered = stream.enter(x, where)

                def attend(entered: Tensor, stream: Stream = stream, where: slice = where) -> Tensor:
                    query = stream.queries(entered, where).transpose(1, 2)
                    # Looked up at every call, since kernels are chosen by replacing it.
                    mixed = torch.nn.functional.scaled_dot_product_attention(
                        query, key.transpose(1, 2), value.transpose(1, 2), attn_mask=mask
                    )
                    return stream.project(mixed.transpose(1, 2).flatten(2).to(query.dtype))

                attended = call_as(stream.attention, attend, entered)
                result = stream.leave(x, entered, attended, where)
                if output is None:
                    output = empty_of_length(result, TOKENS, stream.tokens.shape[TOKENS])
                output[:, where] = result
            del x, entered, attended, result  # not alive while the next block is computed
        assert output is not None
        outputs.append(output)
    return tuple(outputs)


def _keys_and_values(plan: SlicePlan, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
    """Of all streams, one after another: ``[B, S, H, K]`` each."""
    total = sum(stream.tokens.shape[TOKENS] for stream in streams)
    whole: list[Tensor] = []
    first = 0
    for stream in streams:
        for where in blocks(plan, stream.tokens):
            with computing_slice():
                entered = stream.enter(stream.tokens[:, where], where)

                def project(entered: Tensor, stream: Stream = stream, where: slice = where) -> tuple[Tensor, Tensor]:
                    return stream.keys_and_values(entered, where)

                parts = call_as(stream.attention, project, entered)
            whole = whole or [empty_of_length(part, TOKENS, total) for part in parts]
            for tensor, part in zip(whole, parts, strict=True):
                tensor[:, first + where.start : first + where.stop] = part
            del entered, parts
        first += stream.tokens.shape[TOKENS]
    key, value = whole
    return key, value


def blocks(plan: SlicePlan, tokens: Tensor) -> Iterator[slice]:
    """Where to cut ``[B, N, ...]`` along its tokens."""
    count = plan.affordable(plan.token_slices, tokens.numel())
    return (slice(start, stop) for start, stop in cuts(tokens.shape[TOKENS], count))


def by_rows(
    plan: SlicePlan, function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor | None]
) -> tuple[Tensor, ...]:
    """``function(*inputs)`` on a few elements of the batch at a time, such as one half of guidance.

    Args:
        function: gives several tensors, each with a row for every element it was given.
        inputs: of one number of rows; None is passed on as None.
    """
    length = next(len(tensor) for tensor in inputs if tensor is not None)
    if min(plan.batch_slices, length) == 1:
        return function(*inputs)
    outputs: list[Tensor] = []
    for start, stop in cuts(length, plan.batch_slices):
        results = function(*(None if tensor is None else tensor[start:stop] for tensor in inputs))
        outputs = outputs or [empty_of_length(result, 0, length) for result in results]
        for output, result in zip(outputs, results, strict=True):
            output[start:stop] = result
        del results
    return tuple(outputs)


def call_as(module: nn.Module, function: Callable[..., Any], *args: Any) -> Any:
    """Call `module` with `args`, but let it compute `function`: whoever watches its calls sees this one."""
    undo = replace_forward(module, function)
    try:
        return module(*args)
    finally:
        undo()
