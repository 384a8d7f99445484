"""Calls inside a part that are not simulated again: equal to simulated ones, and only where a call does nothing but compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from suite.simulation import inner_calls
from suite.simulation.fakes import storage_of
from suite.simulation.generation import simulate
from suite.simulation.inner_calls import InnerCalls
from suite.simulation.known_operators import KnownOperators
from suite.simulation.observer import Observer
from suite.simulation.parts import make_fake
from suite.simulation.tables import Simulation
from suite.subject import Subject


class Block(nn.Module):
    """Plain: two operators that make something, and one temporary."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return nn.functional.silu(self.linear(x)) * scale


class Counting(Block):
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


class Keeping(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.__dict__.setdefault("kept", []).append(self.linear(x))
        return super().forward(x)


class Remembering(Block):
    """Remembers in an object of its own, as attention processors with a cache do."""

    def __init__(self) -> None:
        super().__init__()
        self.processor = type("Processor", (), {"last": None})()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.processor.last = x.shape
        return super().forward(x)


class Caching(Block):
    """Drops what it kept of the last call before it makes as much again, as causal convolutions of video decoders did."""

    kept: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.kept = None
        self.kept = self.linear(x)
        return super().forward(x)


class Idle(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Pair(Block):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = self.linear(x)
        return both[:, :2], both[:, 2:]


class Calls:
    """Calls modules on fake tensors as a sealed call does, and knows how many operators ran or were looked up."""

    def __init__(self) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.watch = Observer(
            "cpu", lambda function, args, kwargs: function(*args, **kwargs), KnownOperators(self.mode)
        )
        self.inner = InnerCalls(self.mode, self.watch)
        self.num_counted = 0

    def __call__(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        make_fake([module], self.mode)
        plain = nn.Module.__call__

        def counting(*of: Any, **named: Any) -> Any:
            self.num_counted += 1
            return plain(*of, **named)

        with torch.no_grad(), self.watch, self.mode:
            return self.inner(counting, module, args, kwargs)

    def fake(self, *shape: int) -> torch.Tensor:
        with self.mode:
            return torch.empty(shape)

    def rows(self) -> dict[str, list[int]]:
        spell = self.watch.tally.freeze()
        return {key.operator: cost for key, cost in zip(spell.keys, spell.costs.tolist(), strict=True)}


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_a_plain_call_is_simulated_once_for_each_shape_and_argument(calls: Calls) -> None:
    block = Block()
    for shape, scale in (((3, 6), 1.0), ((3, 6), 1.0), ((4, 6), 1.0), ((3, 6), 2.0), ((3, 6), 1.0)):
        assert calls(block, calls.fake(*shape), scale=scale).shape == shape
    assert calls.num_counted == 3
    once = Calls()
    once(Block(), once.fake(3, 6))
    threes, four = once.rows()["aten::silu"], 5
    assert calls.rows()["aten::silu"][0] == four
    assert calls.rows()["aten::silu"][3] == 4 * threes[3] + threes[3] * 4 // 3
    calls.inner.forget()
    calls(block, calls.fake(3, 6), scale=1.0)
    assert calls.num_counted == 4


def test_memory_of_repeated_calls_is_that_of_simulated_ones() -> None:
    events = []
    for repeating in (True, False):
        calls = Calls()
        block, held = Block(), []
        for _ in range(3):
            held.append(calls(block, calls.fake(3, 6)))
            if not repeating:
                calls.inner.forget()
        held.pop(1)
        found = calls.watch.memory.cut()
        events.append((found.ids.tolist(), found.sizes.tolist()))
    assert events[0] == events[1]
    assert sum(events[0][1]) == 2 * 3 * 6 * 4, "two outputs are still held"


def test_a_cache_that_a_call_replaces_is_gone_before_the_next_one_is_there(calls: Calls) -> None:
    block, image, each = Caching(), calls.fake(500, 6), 500 * 6 * 4
    calls(block, calls.fake(1000, 6))  # other shapes: the next call is not known to keep something
    calls.watch.memory.cut()
    calls(block, image)
    live = list(accumulate(calls.watch.memory.cut().sizes.tolist(), initial=2 * each))
    assert max(live) == 3 * each, "the new cache, a product and its activation, and no longer the old cache"
    assert live[-1] == each


def test_outputs_of_repeated_calls_have_storages_of_their_own_that_they_share_as_the_first_did(calls: Calls) -> None:
    block = Pair()
    first, again = (calls(block, calls.fake(3, 6)) for _ in range(2))
    assert calls.num_counted == 1
    assert isinstance(again, tuple)
    assert [(one.shape, one.stride(), one.storage_offset()) for one in again] == [
        (one.shape, one.stride(), one.storage_offset()) for one in first
    ]
    assert all(isinstance(one, FakeTensor) for one in again)
    assert storage_of(again[0]) == storage_of(again[1]) != storage_of(first[0])


@pytest.mark.parametrize("kind", [Counting, Keeping, Remembering, Idle])
def test_a_call_that_does_more_than_compute_is_always_simulated(kind: type[nn.Module], calls: Calls) -> None:
    block = kind()
    for _ in range(3):
        calls(block, calls.fake(3, 6))
    assert calls.num_counted == 3


def test_what_others_hook_into_or_answer_is_always_simulated(calls: Calls) -> None:
    hooked, replaced, inner_replaced = Block(), Block(), Block()
    hooked.register_forward_hook(lambda *args: None)
    replaced.forward = lambda x: x * 2
    inner_replaced.linear.forward = lambda x: x * 2
    for block in (hooked, replaced, inner_replaced):
        for _ in range(2):
            calls(block, calls.fake(3, 6))
    assert calls.num_counted == 6


def test_a_call_that_is_given_a_list_is_always_simulated(calls: Calls) -> None:
    class Summing(Block):
        def forward(self, parts: list[torch.Tensor]) -> torch.Tensor:
            return self.linear(parts.pop())

    block = Summing()
    for _ in range(2):
        calls(block, [calls.fake(3, 6)])
    assert calls.num_counted == 2


STACKS = {
    "animatediff": ("operator_grouping", "streamlined", "forward_chunking", "naive_slicing"),
    "stable_video_diffusion": ("operator_grouping_recompute", "feature_slicer"),
    "stable_diffusion": ("operator_grouping",),
}
LAYERS = "workload.scales.smoke.dimensions.components.unet.config.layers_per_block=1"
"""Half of a U-Net: what is compared is a slice with the next one, in each kind of block."""
UNEVEN = ("frame_slices=3", "pixel_slices=5", "token_slices=3")
"""Some slices are like those before them, and a last one is not."""


def counts(stack: str) -> list[str]:
    """Words for few slices, where a stack counts any."""
    if stack == "streamlined":
        return [
            f"optimization.{stack}.{one}.{words}" for one in ("feature_slicer", "operator_grouping") for words in UNEVEN
        ]
    sliced = stack.startswith("operator_grouping") or stack == "feature_slicer"
    return [f"optimization.{stack}.{words}" for words in UNEVEN] if sliced else []


@pytest.mark.parametrize(
    ("name", "stack"),
    [
        pytest.param(name, stack, marks=[pytest.mark.slow] if name == "stable_video_diffusion" else [])
        for name, stacks in STACKS.items()
        for stack in stacks
    ],
)
def test_slices_that_are_not_simulated_cost_what_simulated_ones_do(
    name: str, stack: str, experiment: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("smallest_slice=1", "request.num_inference_steps=3", LAYERS, *counts(stack))
    run = experiment(f"workload={name}", f"optimization={stack}", *words)
    known = _simulated(run)
    monkeypatch.setattr(inner_calls, "is_plain", lambda module, observer: False)
    simulated = _simulated(run)
    assert known.operators.equals(simulated.operators)
    assert known.attention.equals(simulated.attention)
    assert known.memory_peaks.equals(simulated.memory_peaks)
    for column in ("stage", "step", "allocated_bytes"):
        assert known.memory.column(column).equals(simulated.memory.column(column))


def _simulated(run: Any) -> Simulation:
    workload = run.make_workload(replace(run.placement, device="meta"))
    subject = Subject(workload, {"stack": run.stack}, run.protocol, Path())
    with subject.configured("stack"):
        return simulate(workload)
