"""Whether an arm's trials are of one kind, and what the machine did meanwhile: the word that a record gives for its times.

    trials of an arm, load of each --assess--> steady or not, the trials that no median counts, and a sentence with the evidence

Warm-up has its own rule for when to end; what counts is the trials themselves, so they overrule it once there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.record import Arm, DeviceState, Sample
from suite.statistics import MIN_VALUES
from suite.steadiness import Steadiness, assess
from suite.units import TIMES, quantity

MIN_OTHERS_CORES = 0.2
"""Other work below this many cores explains nothing."""
MIN_WAIT_SHARE = 0.1
"""Time in which a thread was ready and had no core, over the trial's."""
OUTLIER = 3.0
"""A trial that took so many times the median of those that count is told of, although the median bears it."""


@dataclass(frozen=True)
class Processor:
    """What a run had to compute with: threads of its own and cores that it might use."""

    device: str
    num_threads: int
    num_cores: int


def certified(arm: Arm, samples: Sequence[Sample], processor: Processor) -> tuple[Arm, list[Sample]]:
    """An arm with the word of its trials, and all samples, those of its other regimes marked as set aside."""
    own = [sample for sample in samples if sample.arm == arm.name and not sample.warmup]
    seconds = _by_trial(own, "latency_s")
    if len(seconds) < MIN_VALUES:
        return arm, list(samples)
    trials, values = np.array(list(seconds)), np.array(list(seconds.values()))
    found = assess(values, latest=processor.device == "cuda")
    slow = _slow(values, found) | _stands_out(values, found)
    load = _Load.of(own, seconds, trials[slow] if slow.any() else trials)
    words = [
        _kind(trials, found),
        _outliers(trials, values, found),
        load.words(processor, throughout=not slow.any()),
        _throttled(arm),
    ]
    doubt = " ".join(word for word in words if word) or None
    aside = set(trials[~found.counted].tolist())
    marked = [
        msgspec.structs.replace(sample, set_aside=True)
        if sample.arm == arm.name and not sample.warmup and sample.trial in aside and sample.metric in _QUIET
        else sample
        for sample in samples
    ]
    return msgspec.structs.replace(arm, steady=found.is_steady, doubt=doubt), marked


_QUIET = ("latency_s", "core_wait_s", "others_cores")
"""Metrics of the quiet pass; others number their trials by themselves."""


@dataclass(frozen=True)
class _Load:
    """What other work did during some trials, on average; NaN where it is not told."""

    others_cores: float
    wait_share: float

    @classmethod
    def of(cls, samples: Sequence[Sample], seconds: dict[int, float], trials: NDArray[np.intp]) -> _Load:
        others, waited = _by_trial(samples, "others_cores"), _by_trial(samples, "core_wait_s")
        span = sum(seconds[trial] for trial in trials)
        return cls(
            sum(others.get(trial, np.nan) * seconds[trial] for trial in trials) / span,
            sum(waited.get(trial, np.nan) for trial in trials) / span,
        )

    def words(self, processor: Processor, *, throughout: bool) -> str:
        """What explains slow trials; nothing where the machine was quiet then."""
        if not (self.others_cores >= MIN_OTHERS_CORES and self.wait_share >= MIN_WAIT_SHARE):
            return ""
        free = max(processor.num_cores - self.others_cores, 0.0)
        when = "All the while" if throughout else "In the slow trials"
        told = (
            f"{when} other work kept {self.others_cores:.1f} of {processor.num_cores} cores busy and this run's threads waited "
            f"{self.wait_share:.2g} s a second for a core."
        )
        if processor.num_threads <= free + MIN_OTHERS_CORES:
            return told
        fewer = max(round(free), 1)
        advice = f"take device.num_threads={fewer} or" if fewer < processor.num_threads else ""
        return (
            f"{told} {processor.num_threads} {'thread is' if processor.num_threads == 1 else 'threads are'} more than the free "
            f"cores: {f'{advice} ' if advice else ''}measure again when the machine is quiet."
        )


def _by_trial(samples: Sequence[Sample], metric: str) -> dict[int, float]:
    return {
        sample.trial: sample.value
        for sample in samples
        if sample.metric == metric and sample.stage == "generate"
    }  # fmt: skip


def _slow(values: NDArray[np.float64], found: Steadiness) -> NDArray[np.bool_]:
    """The trials to be explained: of slower regimes, or the slower half where there are none."""
    if found.is_steady:
        return np.zeros(values.size, dtype=bool)
    return found.slower if found.kind == "step" else values > np.median(values)


def _stands_out(values: NDArray[np.float64], found: Steadiness) -> NDArray[np.bool_]:
    """Single trials that a median bears and nobody should: many times those that count, and of no regime of their own."""
    return found.counted & (values >= OUTLIER * np.median(values[found.counted]))


def _outliers(trials: NDArray[np.intp], values: NDArray[np.float64], found: Steadiness) -> str:
    """The longest of them, with how many there are."""
    which = _stands_out(values, found)
    if not which.any() or found.kind == "mixed":
        return ""
    longest = int(np.argmax(np.where(which, values, 0)))
    times = values[longest] / np.median(values[found.counted])
    others = f", and {which.sum() - 1} more stand out" if which.sum() > 1 else ""
    return f"Trial {trials[longest]} took {quantity(values[longest], 's')}, {times:.3g}{TIMES} the median{others}."


def _kind(trials: NDArray[np.intp], found: Steadiness) -> str:
    """What the trials did, with their numbers."""
    if found.kind == "step":
        stretches = [
            f"{_span(trials[one.first], trials[one.last])} took {quantity(one.median, 's')}" for one in found.regimes
        ]
        return f"Trials jump: {', '.join(stretches)}, {found.ratio:.3g}{TIMES} between them; {_whose(found)}."
    if found.kind == "drift":
        return f"Trials drift by {found.ratio:.3g}{TIMES} from the first to the last; the number is of all."
    if found.kind == "mixed":
        return f"Trials change between two speeds, {found.ratio:.3g}{TIMES} apart; the number is of all."
    return ""


def _span(first: int, last: int) -> str:
    return f"{first}-{last}"


def _whose(found: Steadiness) -> str:
    num_counted = int(found.counted.sum())
    if num_counted == found.counted.size:
        return f"none of these has {MIN_VALUES} trials, so the number is of all"
    return f"the number is of the {num_counted} that are alike"


def _throttled(arm: Arm) -> str:
    states = [state.gpu for state in (arm.before, arm.after) if state is not None and state.gpu is not None]
    reasons = sorted({reason for state in states for reason in state.throttle_reasons or () if reason in _SLOWDOWNS})
    return f"The GPU was throttled ({', '.join(reasons)}){_clocks(states)}." if reasons else ""


_SLOWDOWNS = frozenset({"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake"})
"""Of NVML's reasons those that come and go by themselves; a power cap belongs to the board."""


def _clocks(states: Sequence[DeviceState]) -> str:
    clocks = [quantity(state.sm_clock_hz, "hz") for state in states if state.sm_clock_hz is not None]
    return f", its clock {' then '.join(clocks)}" if clocks else ""
