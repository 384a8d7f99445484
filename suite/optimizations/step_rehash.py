"""Step Rehash: some denoising steps reuse features of an earlier one (Zhan et al. 2024, arXiv 2411.01171, section 4.3).

The paper leaves open what exactly a skipped step computes; three readings of it are here, see docs/decisions/step_rehash.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.rehash.search import (
    FEWEST_FULL_STEPS,
    checked_key_steps,
    num_full_steps_of,
    search_key_steps,
    uniform_key_steps,
)
from suite.workload import NotApplicableError, UnsupportedError, Workload, has_values

if TYPE_CHECKING:
    from suite.optimizations.rehash.schedules import Schedule

REUSES = ("rehash", "recursion", "last_layer")


@dataclass(frozen=True)
class StepRehash:
    """Run some steps in full, and in the others only the denoiser's last part on features of the last full one.

    One of the four arguments from `num_full_steps` to `online_threshold` says which steps are full; with none of them
    `fraction` does. The first step is always full, and so is the last, unless `key_steps` lists others.

    Args:
        reuse: ``rehash`` reuses the output of the last temporal layer of the last up block (of a transformer, of its last
            block), as the paper's text has it; ``recursion`` runs that layer again on its own last output, as its appendix B
            may be read; ``last_layer`` runs the first convolution and the last layer with the new timestep, which is
            DeepCache's shallowest branch (of a transformer, the first and the last block).
        fraction: of the steps that are full, rounded up and at least two, spread evenly; 0.5 gives 13 of 25, as published.
        num_full_steps: how many are, at least two, spread evenly.
        key_steps: which are, step 0 among them.
        similarity_threshold: the paper's gamma. The model is run once in full to measure how similar features are between
            steps, and Algorithm 1 picks the key steps.
        online_threshold: relative change of the denoiser's input since the last full step from which on a step is full,
            above 0.
    """

    reuse: str
    fraction: float
    num_full_steps: int | None
    key_steps: Sequence[int] | None
    similarity_threshold: float | None
    online_threshold: float | None
    exact: ClassVar[bool] = False
    _found: WeakKeyDictionary[Workload, list[int]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.reuse not in REUSES:
            raise ConfigError(f"step_rehash.reuse={self.reuse}: one of {', '.join(REUSES)} is accepted")
        for name, needed in self._wrong():
            raise ConfigError(f"step_rehash.{name}={getattr(self, name)}: {needed}")
        ways = ("num_full_steps", "key_steps", "similarity_threshold", "online_threshold")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"step_rehash: {' and '.join(given)} are set; one of {', '.join(ways)} can be")

    def _wrong(self) -> Iterator[tuple[str, str]]:
        """Arguments that cannot be used, and what is needed instead."""
        if not (_is_number(self.fraction) and 0 < self.fraction <= 1):
            yield "fraction", "a number above 0 and at most 1 is needed"
        count = self.num_full_steps
        if count is not None and not (_is_whole(count) and count >= FEWEST_FULL_STEPS):
            fewest = "since the first step and the last are always full (key_steps=[0] runs the first alone)"
            yield "num_full_steps", f"a whole number of at least {FEWEST_FULL_STEPS} is needed, {fewest}"
        listed = self.key_steps
        if listed is not None and not (isinstance(listed, Sequence) and all(_is_whole(step) for step in listed)):
            yield "key_steps", "a list of steps such as [0, 2, 4] is needed"
        gamma, change = self.similarity_threshold, self.online_threshold
        if gamma is not None and not (_is_number(gamma) and gamma >= -1):
            yield "similarity_threshold", "a number of at least -1 is needed"
        if change is not None and not (_is_number(change) and change > 0):
            yield "online_threshold", "a number above 0 is needed"

    def apply(self, workload: Workload) -> Handle:
        from suite.optimizations.rehash.install import require_reusable, reuse_between_steps

        require_reusable(workload)
        schedule, full = self._schedule(workload)
        handle = Handle("")
        reused = reuse_between_steps(workload, self.reuse, schedule, handle.undo)
        handle.changes = f"{full} in full; others reuse {reused}"
        return handle

    def _schedule(self, workload: Workload) -> tuple[Schedule, str]:
        """Which steps are full, and a few words for it."""
        from suite.optimizations.rehash.schedules import InputChange, KeySteps

        if self.online_threshold is not None:
            _require_values(workload, "online_threshold")
            return InputChange(self.online_threshold), f"steps whose input has changed by {self.online_threshold:g} run"
        planned = self._choose(workload, workload.request.num_inference_steps)
        return KeySteps(lambda num_steps: self._choose(workload, num_steps)), _told(planned, workload)

    def _choose(self, workload: Workload, num_steps: int | None) -> list[int]:
        if num_steps is None:
            raise NotApplicableError("the workload has no denoising steps")
        if self.key_steps is not None:
            return checked_key_steps(self.key_steps, num_steps)
        if self.similarity_threshold is not None:
            return self._searched(workload, self.similarity_threshold)
        count = self.num_full_steps or max(num_full_steps_of(num_steps, self.fraction), FEWEST_FULL_STEPS)
        return uniform_key_steps(num_steps, count)

    def _searched(self, workload: Workload, threshold: float) -> list[int]:
        """Key steps by Algorithm 1; the map is measured once a workload and kept with the run."""
        if workload not in self._found:
            _require_values(workload, "similarity_threshold")
            from suite.optimizations.rehash.similarity import reuse_similarity

            self._found[workload] = search_key_steps(reuse_similarity(workload, self.reuse), threshold)
        return self._found[workload]


def _told(key_steps: list[int], workload: Workload) -> str:
    """
    Raises:
        NotApplicableError: every step is a key step.
    """
    num_steps: Any = workload.request.num_inference_steps
    if len(key_steps) >= num_steps:
        raise NotApplicableError(f"every one of the {num_steps} steps is a full one (request.num_inference_steps)")
    return f"{len(key_steps)} of {num_steps} steps ({', '.join(map(str, key_steps))}) run"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_values(workload: Workload, key: str) -> None:
    if not has_values(workload):
        raise UnsupportedError(f"step_rehash.{key} looks at values, which a simulation does not have")
