"""Slices in turn on several streams: who waits for whom, on a stand-in for `torch.cuda` that writes down what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from suite.slicing import sliced as module
from suite.slicing.sliced import empty_of_length, sliced
from suite.slicing.streams import InTurn, OneStream, streams_for, take_turns_on


class Stream:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


class Cuda:
    """As much of `torch.cuda` as streams need."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.current = Stream("main", self.log)
        self.made = 0

    def Stream(self) -> Stream:
        self.made += 1
        return Stream(f"side {self.made - 1}", self.log)

    def current_stream(self) -> Stream:
        return self.current

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Two streams for every slicing; allocations of whole outputs are written down, too."""
    fake = Cuda()

    @contextmanager
    def streams(tensor: torch.Tensor) -> Iterator[OneStream]:
        found = InTurn(fake, 2)
        try:
            yield found
        finally:
            found.join()

    def allocate(*args: Any) -> torch.Tensor:
        fake.log.append(f"output on {fake.current.name}")
        return empty_of_length(*args)

    monkeypatch.setattr(module, "streams_for", streams)
    monkeypatch.setattr(module, "empty_of_length", allocate)
    return fake


def test_streams_take_turns_between_two_waits(cuda: Cuda) -> None:
    x = torch.randn(7, 3)

    def double(part: torch.Tensor) -> torch.Tensor:
        cuda.log.append(f"{len(part)} rows on {cuda.current.name}")
        return sliced(lambda inner: 2 * inner, [part], 1, 3)  # a slice within a slice stays where it is

    assert sliced(double, [x], 0, 3).equal(2 * x)
    assert cuda.log == [
        "side 0 waits for main",
        "side 1 waits for main",
        "3 rows on side 0",
        "output on side 0",
        "output on main",
        "3 rows on side 1",
        "output on side 1",
        "1 rows on side 0",
        "output on side 0",
        "main waits for side 0",
        "main waits for side 1",
    ]


def test_everything_waits_also_when_a_slice_fails(cuda: Cuda) -> None:
    def fail(part: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    with pytest.raises(MemoryError):
        sliced(fail, [torch.randn(4)], 0, 2)
    assert cuda.log[-2:] == ["main waits for side 0", "main waits for side 1"]


def test_slices_that_others_cut_further_stay_on_the_main_stream(cuda: Cuda) -> None:
    sliced(lambda part: part, [torch.randn(4)], 0, 2, marked=False)
    assert cuda.log == ["output on main"]


def test_on_a_cpu_there_is_one_stream_whatever_was_asked_for() -> None:
    put_back = take_turns_on(2)
    with streams_for(torch.randn(2)) as streams:
        assert type(streams) is OneStream
    put_back()
