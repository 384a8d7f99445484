"""Latency: the quiet pass. No profiler and no hooks; marks alone, read back after the trial.

    round 0            round 1            round 2
    |A g|B g|C g|      |C g|B g|A g|      |A g|B g|C g|  ...  until every arm's interval is narrow enough

Arms are interleaved in alternating order, so that drift (heat, neighbours, clocks) falls on all of them alike and trials of
the same round can be compared as pairs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from suite.clock import Clock
from suite.probes.contract import Observation
from suite.record import Sample
from suite.stage import STEP_STAGES
from suite.statistics import median_interval, relative_half_width
from suite.subject import Subject


@dataclass
class StageTimes:
    """A watcher that notes when stages begin and end on a clock, without waiting for the device."""

    clock: Clock
    _open: list[tuple[str, Any]] = field(default_factory=list)
    _spans: list[tuple[str, Any, Any]] = field(default_factory=list)

    def enter(self, name: str) -> None:
        self._open.append((name, self.clock.mark()))

    def exit(self, name: str) -> None:
        opened, start = self._open.pop()
        assert opened == name, f"stage {opened} was open when {name} ended"
        self._spans.append((name, start, self.clock.mark()))

    def samples(self, arm: str, trial: int) -> list[Sample]:
        """Every span as a sample ``latency_s``; repeated steps carry their index."""
        self.clock.synchronize()
        counts: dict[str, int] = defaultdict(int)
        samples = []
        for name, start, end in self._spans:
            step = counts[name] if name in STEP_STAGES else None
            counts[name] += 1
            seconds = self.clock.elapsed_s(start, end)
            samples.append(Sample(metric="latency_s", value=seconds, stage=name, step=step, trial=trial, arm=arm))
        return samples


@dataclass(frozen=True)
class Latency:
    """Time of whole generations and of their stages, over interleaved trials of all arms.

    Trials stop when every arm's 95 % interval of the median is narrow enough, or at the protocol's limits.
    """

    def observe(self, subject: Subject) -> Observation:
        protocol = subject.protocol
        arms = list(subject.arms)
        samples: list[Sample] = []
        deadline = time.monotonic() + protocol.max_measuring_s
        for trial in range(protocol.max_trials):
            subject.say(f"latency, round {trial + 1} of up to {protocol.max_trials}")
            for arm in arms if trial % 2 == 0 else reversed(arms):
                samples += time_stages(subject, arm, trial)
            if trial + 1 < protocol.min_trials:
                continue
            if time.monotonic() > deadline or widest_interval(samples) <= protocol.target_relative_interval:
                break
        return Observation(samples=samples)


def time_stages(subject: Subject, arm: str, trial: int) -> list[Sample]:
    """One quiet trial of one arm."""
    times = StageTimes(subject.clock)
    with subject.configured(arm):
        subject.generate([times])
    return times.samples(arm, trial)


def widest_interval(samples: list[Sample]) -> float:
    """Half width over median of the arm whose generation is known least well."""
    totals: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if sample.stage == "generate":
            totals[sample.arm].append(sample.value)
    return max(relative_half_width(median_interval(values)) for values in totals.values())
