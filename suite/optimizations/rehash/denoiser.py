"""A denoiser that reuses: which of its calls run in full, and what these leave for the others.

generate |  step 0        step 1         step 2        ...
         |  full: keeps   reused: finds  full: keeps        one slot for each call of a step, since guidance may make two
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from suite.optimizations.rehash.calls import Call, answer_calls
from suite.optimizations.rehash.schedules import Schedule
from suite.stage import STEP_STAGES
from suite.workload import CALL_VARIANT, UnsupportedError, Workload

FULL, REUSED = "full", "reused"


@dataclass
class _Slot:
    """What the n-th call of a step has left for the n-th calls of later steps."""

    shapes: Hashable = None
    """Of its last full call; None before there was one."""
    input: Tensor | None = None
    passes: list[dict[Hashable, Any]] = field(default_factory=list)
    """What it kept, by pass: a denoiser that is run slice by slice passes through its layers several times in one call."""


class ReusingDenoiser:
    """Follows the steps of a generation as a watcher, and decides for every call of `module` whether it is a full one.

    What was kept is dropped when a generation begins and after its last step, and a call of other shapes uses none of it.

    Args:
        module: the denoiser.
        workload: which knows how many steps there are.
        schedule: which steps are full.
    """

    def __init__(self, module: nn.Module, workload: Workload, schedule: Schedule) -> None:
        self.module = module
        self._workload = workload
        self._schedule = schedule
        self._forget()

    def install(self, undo: ExitStack) -> None:
        """Watch calls from now on, until `undo` is closed.

        Raises:
            UnsupportedError: somebody else decides already what the denoiser's calls do.
        """
        if hasattr(self.module, CALL_VARIANT):
            raise UnsupportedError("another optimization already reuses what this denoiser computed in earlier steps")
        undo.callback(answer_calls(self.module, self._around))
        setattr(self.module, CALL_VARIANT, lambda: REUSED if self.reusing else FULL)
        undo.callback(delattr, self.module, CALL_VARIANT)
        undo.callback(self._forget)

    def enter(self, name: str) -> None:
        if name == "generate":
            self._forget()
        elif name in STEP_STAGES:
            self._step += 1
            self._calls_in_step = 0

    def exit(self, name: str) -> None:
        if name == "generate":
            self._forget()
        elif name in STEP_STAGES and self._step + 1 == self._workload.num_steps:
            self._drop_kept()  # what comes now is decoding, which needs the memory

    @property
    def reusing(self) -> bool:
        """Whether the call that is under way reuses.

        Decided when it is first asked for, which is inside the call's stage marks: some pipelines mark a step around it.
        """
        if self._arguments is None:
            return False
        if self._reusing is None:
            self._reusing = self._decide(*self._arguments)
        return self._reusing

    @property
    def kept(self) -> dict[Hashable, Any]:
        """What this pass of the last full call kept, for this call to reuse; a full call keeps anew."""
        reusing = self.reusing  # to be asked first: it finds the slot
        passes = self._slot.passes
        if not reusing:
            if not self._keeping:
                # Not before the full call really runs: a simulation may know it already, and what was kept stays of use.
                self._keeping = True
                passes.clear()
            passes += [{}] * (self._pass >= len(passes))
        return passes[self._pass]

    def pass_through(self, module: nn.Module) -> dict[Hashable, Any]:
        """As `kept`, told that `module` is called, which happens once in every pass: a second time begins another."""
        if id(module) in self._passed:
            self._passed.clear()
            self._pass += 1
        self._passed.add(id(module))
        return self.kept

    def _forget(self) -> None:
        self._step = -1
        self._calls_in_step = 0
        self._drop_kept()
        self._begin_call(None)

    def _drop_kept(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._slot = _Slot()

    def _begin_call(self, arguments: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        self._arguments = arguments
        self._reusing: bool | None = None
        self._keeping = False
        self._pass = 0
        self._passed: set[int] = set()

    def _around(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._begin_call((args, kwargs))
        try:
            return call(*args, **kwargs)
        finally:
            self._begin_call(None)

    def _decide(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        self._slot = self._slots.setdefault(self._calls_in_step, _Slot())
        self._calls_in_step += 1
        slot, shapes, now = self._slot, _shapes(args, kwargs), _input(args, kwargs)
        if self._step >= 0 and slot.shapes == shapes and slot.input is not None:
            num_steps = self._workload.num_steps
            if not self._schedule.is_full(self._step, num_steps, now, slot.input):
                return True
        slot.shapes, slot.input = shapes, now.clone()
        return False


def denoisers(workload: Workload) -> list[nn.Module]:
    """The modules that are called to denoise: the part, or each of its members where a pipeline has several."""
    part = workload.parts["denoiser"]
    return list(part.values()) if isinstance(part, nn.ModuleDict) else [part]


def _shapes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    """Shapes and types of all tensors, by position."""
    leaves = tree_leaves((args, kwargs))
    return tuple((tuple(leaf.shape), leaf.dtype) for leaf in leaves if isinstance(leaf, Tensor))


def _input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The noisy input, or the tokens: the first argument that is a tensor of a batch."""
    values = [*args, *kwargs.values()]
    return next(value for value in values if isinstance(value, Tensor) and value.ndim > 1)
