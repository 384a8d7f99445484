"""Operators that are not run again: the second outcome against a fake operator's own, shapes, strides, storages and all.

Names for the mirror: suite.simulation.fakes, suite.simulation.operator_calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from suite.simulation.fakes import described, made, new_storage, storage_of, tell, unseen
from suite.simulation.known_operators import KnownOperators
from suite.simulation.observer import Observer

MODE = FakeTensorMode()


def observer() -> tuple[Observer, list[str]]:
    """One that has nothing known, and the names of the operators that it runs."""
    ran: list[str] = []

    def compute(function: Any, args: Any, kwargs: Any) -> Any:
        ran.append(function._schema.name)
        return function(*args, **kwargs)

    return Observer("cpu", compute, KnownOperators(MODE)), ran


def fake(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    with MODE:
        return torch.empty(shape, dtype=dtype)


def geometry(output: Any) -> list[tuple[Any, ...]]:
    tensors = output if isinstance(output, (tuple, list)) else [output]
    return [(one.shape, one.stride(), one.storage_offset(), one.dtype, one.device) for one in tensors]


def sharing(output: Any, given: list[torch.Tensor]) -> list[list[bool]]:
    """Which of the outputs and of what was given lie on one storage."""
    tensors = [*(output if isinstance(output, (tuple, list)) else [output]), *given]
    return [[storage_of(one) == storage_of(other) for other in tensors] for one in tensors]


OPERATORS: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "pointwise": lambda x, y: x + y,
    "broadcast": lambda x, y: x[:, :1] * y[:1],
    "cast": lambda x, y: x.to(torch.float16),
    "narrow": lambda x, y: x.narrow(1, 2, 3),
    "chain of views": lambda x, y: x.transpose(0, 1)[2:5].unsqueeze(0),
    "split": lambda x, y: x.split([2, 4], dim=1),
    "chunks": lambda x, y: x.chunk(3, dim=1),
    "expand": lambda x, y: x[:1].expand(4, 6),
    "concatenation": lambda x, y: torch.cat([x, y, x[:1]]),
    "two outputs": lambda x, y: x.max(dim=1),
    "in place": lambda x, y: x.add_(y),
    "into a slice": lambda x, y: x[1:3].copy_(y[:2]),
    "out of a slice": lambda x, y: x[1:3].mul_(2.0),
    "norm": lambda x, y: torch.nn.functional.layer_norm(x, (6,)),
    "product": lambda x, y: x @ y.t(),
    "new": lambda x, y: x.new_empty((2, 9)),
    "channels last": lambda x, y: x[None, :, :, None].contiguous(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_a_known_operator_returns_what_it_would_have_returned(name: str) -> None:
    operator = OPERATORS[name]
    watch, ran = observer()
    with watch, MODE:
        first = operator(x := torch.empty(4, 6), y := torch.empty(4, 6))
        num_run = len(ran)
        again = operator(v := torch.empty(4, 6), w := torch.empty(4, 6))
    assert ran[num_run:] == ["aten::empty"] * 2, "what has no fake tensor among its arguments always runs"
    assert geometry(again) == geometry(first)
    assert sharing(again, [v, w]) == sharing(first, [x, y])
    assert all(isinstance(one, FakeTensor) for one in (again if isinstance(again, (tuple, list)) else [again]))
    once = dict(zip(*_spell(name), strict=True))
    twice = dict(zip((spell := watch.tally.freeze()).keys, spell.costs.tolist(), strict=True))
    assert {key: cost for key, cost in twice.items() if key.operator != "aten::empty"} == {
        key: [2 * value for value in cost] for key, cost in once.items() if key.operator != "aten::empty"
    }


def _spell(name: str) -> tuple[Any, Any]:
    watch, _ = observer()
    with watch, MODE:
        OPERATORS[name](torch.empty(4, 6), torch.empty(4, 6))
    spell = watch.tally.freeze()
    return spell.keys, spell.costs.tolist()


def test_a_view_of_what_begins_elsewhere_begins_elsewhere() -> None:
    watch, ran = observer()
    x = fake(40)
    with watch, MODE:
        near, far = x[0:10], x[20:30]
        before = len(ran)
        views = [near.narrow(0, 2, 3), far.narrow(0, 2, 3)]
    assert len(ran) == before + 1
    assert [view.storage_offset() for view in views] == [2, 22]


@pytest.mark.parametrize(
    "operator",
    [lambda x: x.as_strided((2,), (1,), 5), lambda x: x.unsqueeze_(0), lambda x: x.resize_(3)],
    ids=["offset in the storage", "reshaped in place", "resized"],
)
def test_what_cannot_be_repeated_runs_every_time(operator: Callable) -> None:
    watch, ran = observer()
    with watch, MODE:
        for _ in range(2):
            operator(torch.empty(12))
    assert len([name for name in ran if name != "aten::empty"]) == 2


def test_arguments_that_do_not_tell_are_not_known() -> None:
    with MODE:
        constant = torch.tensor(3.0)
    assert isinstance(constant, FakeTensor)
    assert constant.constant is not None
    for value in (torch.ones(2), constant, object(), {"a": 1}):
        assert not tell([value], [], [])
    told: list[Any] = []
    tensors: list[FakeTensor] = []
    assert tell([fake(2, 3), [1, 2.0, (True, None)], torch.float16, torch.Size([2])], told, tensors)
    assert [tensor.shape for tensor in tensors] == [(2, 3)]
    hash(tuple(told))


def test_true_is_not_one() -> None:
    lists: list[list[Any]] = [[], [], []]
    for value, told in zip((True, 1, 1.0), lists, strict=True):
        tell([value], told, [])
    assert len({tuple(told) for told in lists}) == 3


def test_tensors_are_made_from_their_descriptions_in_inference_mode_too() -> None:
    x = fake(4, 6).t()[1:3]
    (one,) = described([x], {storage_of(x): 0})
    with torch.inference_mode(), unseen():
        again = made(one, new_storage(96), MODE)
    assert geometry(again) == geometry(x)
    assert again.untyped_storage().nbytes() == 96
    with MODE:
        assert (again + 1).shape == (2, 4)


def test_no_mode_sees_what_runs_unseen() -> None:
    class Seeing(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            raise AssertionError(func)

    with Seeing():
        with unseen():
            torch.empty(2)
        with pytest.raises(AssertionError, match="empty"):
            torch.empty(2)
