"""Slices on a GPU in turn on several streams, so that the kernels of one fill what those of another leave idle.

    the current stream --> every stream waits for it --> slice 0 on stream 0, 1 on 1, 2 on 0, ... --> it waits for them all

Each stream computes one slice at a time, so with two of them two slices exist at once. Zhan et al. 2024, section 4.2, pipeline
the operators of a group in this way. What is computed is the same; on a CPU nothing happens at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_num_streams = 1


def take_turns_on(num_streams: int) -> Callable[[], None]:
    """Slices of CUDA tensors are computed on so many streams from now on; returns what puts the former number back."""
    global _num_streams
    before, _num_streams = _num_streams, num_streams

    def put_back() -> None:
        global _num_streams  # noqa: PLW0603
        _num_streams = before

    return put_back


class OneStream:
    """Slices one after another where everything else is computed."""

    def slice(self, index: int) -> AbstractContextManager[Any]:
        return nullcontext()

    def outside(self) -> AbstractContextManager[Any]:
        return nullcontext()


class InTurn(OneStream):
    """Slices on streams that have waited for the one that was current.

    Args:
        cuda: `torch.cuda`, or what behaves like it.
        num_streams: two or more.
    """

    def __init__(self, cuda: Any, num_streams: int) -> None:
        self.cuda, self.main = cuda, cuda.current_stream()
        self.streams = [cuda.Stream() for _ in range(num_streams)]
        for stream in self.streams:
            stream.wait_stream(self.main)

    def slice(self, index: int) -> AbstractContextManager[Any]:
        return self.cuda.stream(self.streams[index % len(self.streams)])

    def outside(self) -> AbstractContextManager[Any]:
        """Where what outlives the slices is allocated: memory of a side stream must not be used elsewhere after its free."""
        return self.cuda.stream(self.main)

    def join(self) -> None:
        """Whatever follows on the main stream, also with memory that slices have read, comes after them."""
        for stream in self.streams:
            self.main.wait_stream(stream)


@contextmanager
def streams_for(tensor: Tensor) -> Iterator[OneStream]:
    """Where slices of `tensor` are computed, until this block ends."""
    if _num_streams == 1 or not tensor.is_cuda:
        yield OneStream()
        return
    import torch

    streams = InTurn(torch.cuda, _num_streams)
    try:
        yield streams
    finally:
        streams.join()
