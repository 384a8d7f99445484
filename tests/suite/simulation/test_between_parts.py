"""Operators on large tensors between parts: what is not computed has the shape, the order and the cost of what would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from suite.simulation import between_parts
from suite.simulation.between_parts import LARGE, BetweenParts
from suite.simulation.generation import simulate

ATEN = torch.ops.aten
IMAGE = torch.randn(1, 3, 192, 192).to(memory_format=torch.channels_last)
NUMBERS = torch.randn(2, LARGE)
BETWEEN = BetweenParts(FakeTensorMode(), draws=False)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (ATEN.sort.default, (NUMBERS,)),
        (ATEN.mul.Tensor, (IMAGE, torch.tensor(2.0))),
        (ATEN.sum.dim_IntList, (NUMBERS, [1])),
        (ATEN.cat.default, ([IMAGE, IMAGE],)),
        (ATEN._to_copy.default, (NUMBERS.t(),)),
    ],
    ids=["sort", "mul", "sum", "cat", "copy"],
)
def test_a_stand_in_looks_like_the_answer(function: Callable, args: tuple) -> None:
    answers, zeros = function(*args), BETWEEN(function, args, {})
    pairs = zip(answers, zeros, strict=True) if isinstance(answers, tuple) else [(answers, zeros)]
    for answer, zero in pairs:
        assert not zero.any()
        assert (zero.shape, zero.dtype, zero.stride()) == (answer.shape, answer.dtype, answer.stride())


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (ATEN.mul.Tensor, (torch.randn(8), torch.tensor(2.0))),
        (ATEN.sort.default, (torch.arange(LARGE),)),
        (ATEN.view.default, (NUMBERS, [-1])),
        (ATEN.mul_.Tensor, (NUMBERS, torch.tensor(2.0))),
        (ATEN.index_select.default, (NUMBERS, 0, torch.tensor([1]))),
    ],
    ids=["small", "integers", "view", "in_place", "chosen_by_integers"],
)
def test_what_code_may_decide_by_is_computed(function: Callable, args: tuple) -> None:
    assert not BETWEEN.means_nothing(function, args, {})


def test_a_comparison_is_answered() -> None:
    assert BETWEEN(ATEN.gt.Scalar, (NUMBERS.abs(), -1.0), {}).all()


def test_of_tokens_only_the_drawing_is_not_computed() -> None:
    between = BetweenParts(FakeTensorMode(), draws=True)
    probabilities = between(ATEN._softmax.default, (NUMBERS, 1, False), {})
    assert probabilities.sum(1).allclose(torch.ones(2))
    drawn = between(ATEN.multinomial.default, (probabilities, 3), {})
    assert (drawn.tolist(), drawn.dtype) == ([[0, 0, 0], [0, 0, 0]], torch.int64)


@pytest.mark.parametrize("name", ["imagen", "muse"])
def test_the_cost_is_that_of_computing(name: str, experiment: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    run, found = experiment(f"workload={name}"), {}
    for how, large in (("computed", 1 << 60), ("not_computed", 1 << 10)):
        monkeypatch.setattr(between_parts, "LARGE", large)
        found[how] = simulate(run.make_workload(replace(run.placement, device="meta")))
    for table in ("operators", "attention", "memory", "memory_peaks"):
        assert getattr(found["computed"], table).equals(getattr(found["not_computed"], table)), table
