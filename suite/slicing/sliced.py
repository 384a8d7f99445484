"""Running a function slice by slice, its outputs written into one tensor that is there from the first slice on.

A list of outputs that is concatenated at the end would hold every output twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from suite.slicing.plan import cuts
from suite.slicing.streams import OneStream, streams_for

if TYPE_CHECKING:
    from torch import Tensor

_depth = 0


def inside_slice() -> bool:
    """Whether somebody is computing a slice right now: what is seen then is small already."""
    return _depth > 0


@contextmanager
def computing_slice() -> Iterator[None]:
    """While this block runs, `inside_slice` is true."""
    global _depth  # noqa: PLW0603 - one model runs at a time; a context variable costs torch.compile its graph
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def sliced(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor | None],
    axis: int,
    count: int,
    *,
    out: Tensor | None = None,
    marked: bool = True,
) -> Tensor:
    """``function(*inputs)``, computed on views i:j of all inputs along `axis`.

    Args:
        function: works on each position of `axis` alone, so that cutting there changes nothing; its output has the inputs'
            length along `axis`. Axes other than that may change.
        inputs: of one length along `axis`; None is passed on as None.
        axis: the same for inputs and output.
        count: how many slices, see `suite.slicing.plan.cuts`. One slice calls `function` on the inputs themselves.
        out: where to write; an input may be given if `function` keeps its shape, since a slice of it is read before it is
            written and never again. Otherwise a tensor like the first slice's output is made.
        marked: whether `inside_slice` is true meanwhile; false for slices so large that others will cut them further.
    """
    first = next(tensor for tensor in inputs if tensor is not None)
    length = first.shape[axis]
    if min(count, length) <= 1 and out is None:
        return function(*inputs)
    # Slices within a slice stay on its stream, and so do slices that others cut further.
    with streams_for(first) if marked and not inside_slice() else nullcontext(OneStream()) as streams:
        for index, (start, stop) in enumerate(cuts(length, count)):
            with streams.slice(index):
                views = [None if tensor is None else tensor.narrow(axis, start, stop - start) for tensor in inputs]
                with computing_slice() if marked else nullcontext():
                    result = function(*views)
                if out is None:
                    with streams.outside():
                        out = empty_of_length(result, axis, length)
                out.narrow(axis, start, stop - start).copy_(result)
                del result, views  # not alive while the next slice is computed
    assert out is not None
    return out


def empty_of_length(slice_: Tensor, axis: int, length: int) -> Tensor:
    """An uninitialised tensor like `slice_`, but of `length` along `axis`, channels innermost where the slice's are."""
    import torch

    shape = list(slice_.shape)
    shape[axis] = length
    innermost = torch.channels_last if slice_.ndim == 4 else torch.channels_last_3d if slice_.ndim == 5 else None
    if innermost is None or slice_.is_contiguous() or not slice_.is_contiguous(memory_format=innermost):
        return slice_.new_empty(shape)
    return torch.empty(shape, dtype=slice_.dtype, device=slice_.device, memory_format=innermost)
