"""Latency: the quiet pass. No profiler and no hooks; marks alone, read back after the trial.

    round 0            round 1            round 2
    |A g|B g|C g|      |C g|B g|A g|      |A g|B g|C g|  ...  until every arm is steady and its interval narrow enough

Arms are interleaved in alternating order, so that drift (heat, neighbours, clocks) falls on all of them alike and trials of
the same round can be compared as pairs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suite import machine_load
from suite.clock import Clock
from suite.environment import gpu_uuid
from suite.probes.contract import Observation
from suite.protocol import MeasurementProtocol
from suite.record import Sample
from suite.stage import STEP_STAGES
from suite.statistics import median_interval, relative_half_width
from suite.steadiness import Steadiness, assess
from suite.subject import Subject

IN_A_ROW = 5
"""Rounds after which every arm's interval must have been narrow enough."""


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

    Trials stop when every arm's are steady and their 95 % interval of the median is narrow enough and stays so, or at the
    protocol's limits (`Stopping`).
    """

    def observe(self, subject: Subject) -> Observation:
        protocol, device = subject.protocol, subject.workload.placement.device
        uuid = gpu_uuid() if device == "cuda" else None
        arms = list(subject.arms)
        samples: list[Sample] = []
        before, start = machine_load.state(device, uuid), time.monotonic()
        stopping = Stopping(protocol, device)
        for trial in range(protocol.max_trials):
            subject.say(f"latency, round {trial + 1} of up to {protocol.max_trials}")
            for arm in arms if trial % 2 == 0 else reversed(arms):
                samples += time_stages(subject, arm, trial)
            if trial + 1 >= protocol.min_trials and stopping.after(samples, time.monotonic() - start):
                break
        return Observation(samples=samples, machine_states=(before, machine_load.state(device, uuid)))


def time_stages(subject: Subject, arm: str, trial: int) -> list[Sample]:
    """One quiet trial of one arm, with what other work on the machine did meanwhile."""
    times = StageTimes(subject.clock)
    with subject.configured(arm):
        before = machine_load.read()
        subject.generate([times])
        samples = times.samples(arm, trial)
        happened = machine_load.between(before, machine_load.read())
    return samples + [Sample(metric=name, value=value, trial=trial, arm=arm) for name, value in happened.items()]


@dataclass
class Stopping:
    """Told of the trials after every round, says when more would add little, or time is up.

    Every arm's interval must be narrow enough `IN_A_ROW` rounds in a row: after the first, trials would stop where it happens
    to be narrow, and it would hold the median less often than it says (`benchmarks/steadiness.py`).

    Args:
        protocol: whose limits these are.
        device: ``cpu`` or ``cuda``, see `suite.steadiness.assess`.
    """

    protocol: MeasurementProtocol
    device: str
    _in_a_row: int = 0

    def after(self, samples: list[Sample], elapsed_s: float) -> bool:
        """Whether to stop after a round.

        Args:
            samples: of all rounds so far.
            elapsed_s: since the first of them began.
        """
        series, latest = generations(samples), self.device == "cuda"
        found = {arm: assess(values, latest=latest) for arm, values in series.items()}
        known = all(_is_known(series[arm], one, self.protocol, latest) for arm, one in found.items())
        self._in_a_row = self._in_a_row + 1 if known else 0
        slow_s = sum(float(np.asarray(series[arm])[one.slower].sum()) for arm, one in found.items())
        limit_s = self.protocol.max_measuring_s
        # A machine that got quiet late gets the time that the noise took, at most as much again.
        return self._in_a_row >= IN_A_ROW or elapsed_s - min(slow_s, limit_s) > limit_s


def _is_known(values: list[float], found: Steadiness, protocol: MeasurementProtocol, latest: bool) -> bool:
    """Whether an arm's number rests on enough trials of one kind, and on none that a better regime has overtaken."""
    counted = np.asarray(values)[found.counted]
    if found.kind in ("drift", "mixed") or counted.size < protocol.min_trials:
        return False
    if found.kind == "step" and (not found.counted[-1] if latest else (found.counted & found.slower).any()):
        return False
    return relative_half_width(median_interval(counted)) <= protocol.target_relative_interval


def generations(samples: Iterable[Sample]) -> dict[str, list[float]]:
    """Seconds of whole generations after warm-up, by arm in the order of their trials."""
    found: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if (sample.metric, sample.stage, sample.warmup) == ("latency_s", "generate", False):
            found[sample.arm].append(sample.value)
    return found
