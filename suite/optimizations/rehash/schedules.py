"""When a step runs in full: at steps that are known beforehand, or where the denoiser's input has changed enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor


class Schedule(Protocol):
    """Decides, at each call of a denoiser that could reuse something, whether it runs in full all the same.

    Args:
        step: of this generation, from 0.
        num_steps: of this generation; None where nobody knows.
        now: the noisy input (or tokens) of this call.
        then: that of the last full call.
    """

    def is_full(self, step: int, num_steps: int | None, now: Tensor, then: Tensor) -> bool: ...


class KeySteps:
    """The same steps in every generation.

    Args:
        choose: number of steps to key steps.
    """

    def __init__(self, choose: Callable[[int], Sequence[int]]) -> None:
        self._choose = choose
        self._chosen: dict[int, frozenset[int]] = {}

    def is_full(self, step: int, num_steps: int | None, now: Tensor, then: Tensor) -> bool:
        del now, then
        # A step after the last one that was announced is nobody's to skip.
        if num_steps is None or step >= num_steps:
            return True
        if num_steps not in self._chosen:
            self._chosen[num_steps] = frozenset(self._choose(num_steps))
        return step in self._chosen[num_steps]


class InputChange:
    """Whenever the denoiser's input has moved away from that of the last full step; the last step always.

    Args:
        threshold: relative change, see `relative_change`. Reading it waits for the device once a step.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def is_full(self, step: int, num_steps: int | None, now: Tensor, then: Tensor) -> bool:
        return num_steps is None or step >= num_steps - 1 or relative_change(now, then) >= self._threshold


def relative_change(now: Tensor, then: Tensor) -> float:
    """``mean |now - then| / mean |then|``; of tokens, the share that is another one."""
    if not now.is_floating_point():
        return (now != then).double().mean().item()
    return ((now - then).abs().mean(dtype=then.dtype) / then.abs().mean(dtype=then.dtype)).item()
