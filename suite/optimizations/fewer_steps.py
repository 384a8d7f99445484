"""Fewer steps: the same sampler with a shorter list of timesteps, which costs nothing to have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.rehash.search import num_full_steps_of
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class FewerSteps:
    """Denoise in a share of the steps.

    Args:
        fraction: of the request's steps, rounded up; half of 25 is 13. Used where `num_steps` is null.
        num_steps: how many.
    """

    fraction: float
    num_steps: int | None
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ConfigError(f"fewer_steps.fraction={self.fraction}: a number above 0 and at most 1 is needed")
        if self.num_steps is not None and self.num_steps < 1:
            raise ConfigError(f"fewer_steps.num_steps={self.num_steps}: a whole number of at least 1 is needed")

    def apply(self, workload: Workload) -> Handle:
        asked = workload.request
        if asked.num_inference_steps is None:
            raise NotApplicableError("the number of steps is that of the tokens to be drawn: it cannot be less")
        fewer = self.num_steps or num_full_steps_of(asked.num_inference_steps, self.fraction)
        if fewer >= asked.num_inference_steps:
            raise NotApplicableError(
                f"{fewer} steps are not fewer than the {asked.num_inference_steps} that are asked for"
            )
        workload.request = replace(asked, num_inference_steps=fewer)
        handle = Handle(f"{fewer} steps instead of {asked.num_inference_steps}")
        handle.on_revert(lambda: setattr(workload, "request", asked))
        return handle
